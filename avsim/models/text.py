"""Captions -> text tokens: a small encoder trained jointly, or a frozen pretrained one."""

import re
import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from avsim.errors import InputError, first_line_of
from avsim.models.attention import attend
from avsim.weights import configured

NGRAMS = 12  # the most rows of the hash table that a word uses, for itself and its 3-grams


class CaptionCheck(NamedTuple):
    """How much of a caption an encoder uses."""

    tokens: int  # of the whole caption; those beyond the encoder's `length` are cut
    unknown: list[str]  # words outside the encoder's vocabulary, each once, in order of appearance


class TextEncoder(nn.Module):
    """Interface of text encoders. An empty caption means "no caption", and has at least one token too."""

    width: int  # E
    length: int  # S, the largest number of tokens of a caption

    def forward(self, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """B captions -> tokens (B, S, E) and which are present (B, S), bool, at least one in each row."""
        raise TypeError(f"{type(self).__name__} has no forward")

    def tokenize(self, captions: Sequence[str]) -> Tensor | None:
        """Token ids (B, ...) on the CPU, which `forward` accepts too, 0 for padding; None: it has no ids."""
        return None

    def check(self, caption: str) -> CaptionCheck:
        """The number of a caption's tokens, and its unknown words."""
        raise TypeError(f"{type(self).__name__} has no check")


@configured
class WordEncoder(TextEncoder):
    """Words as sums of their hashed n-grams, then a small transformer. No vocabulary, no download.

    A misspelt or unseen word shares most n-grams with similar words (fastText, 1607.04606). Captions longer
    than `length` - 1 words are cut.

    Args:
        width: E of a text token.
        layers: number of transformer layers.
        rows: number of rows of the hash table.
        length: S, number of text tokens of a caption, the start token included.
    """

    def __init__(self, width: int = 96, layers: int = 2, rows: int = 2048, length: int = 32) -> None:
        super().__init__()
        self.width, self.rows, self.length = width, rows, length
        self.ngrams = nn.Embedding(rows, width, padding_idx=0)
        self.start_token = nn.Parameter(torch.randn(width) * 0.5)
        self.pos_embed = nn.Parameter(torch.randn(length, width) * 0.1)
        self.layers = nn.ModuleList(TextLayer(width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        nn.init.normal_(self.ngrams.weight, std=0.5)
        with torch.no_grad():
            self.ngrams.weight[0] = 0

    def forward(self, captions: Sequence[str] | Tensor) -> tuple[Tensor, Tensor]:
        """B captions, or their `hashes` (B, length - 1, NGRAMS) -> tokens (B, S, E), which are present."""
        ids = captions if isinstance(captions, Tensor) else self.tokenize(captions).to(self.pos_embed.device)
        present = F.pad((ids > 0).any(-1), (1, 0), value=True)  # (B, S)
        count = (ids > 0).sum(-1, keepdim=True).clamp(min=1)  # (B, S - 1, 1)
        words = self.ngrams(ids).sum(2) / count.sqrt()  # (B, S - 1, E)
        x = torch.cat([self.start_token.expand(len(ids), 1, -1), words], dim=1) + self.pos_embed  # (B, S, E)
        for layer in self.layers:
            x = layer(x, present[:, None, None])  # (B, S, E)
        return self.norm(x), present

    def tokenize(self, captions: Sequence[str]) -> Tensor:
        """The `hashes` of B captions, (B, length - 1, NGRAMS) int64."""
        return torch.tensor([self.hashes(caption) for caption in captions]).view(-1, self.length - 1, NGRAMS)

    def hashes(self, caption: str) -> list[list[int]]:
        """A caption as (length - 1) words of NGRAMS table rows each; 0 for padding."""
        rows = [list(word_rows(word, self.rows)) for word in words_in(caption)[: self.length - 1]]
        return rows + [[0] * NGRAMS] * (self.length - 1 - len(rows))

    def check(self, caption: str) -> CaptionCheck:
        """As `TextEncoder.check`; unknown: words in no caption of avsim's synthetic world, except numbers."""
        from avsim.world.captions.parsing import VOCABULARY

        words = re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)*", caption.lower())
        unknown = [word for word in dict.fromkeys(words) if word not in VOCABULARY]
        return CaptionCheck(1 + len(words_in(caption)), unknown)


def words_in(caption: str) -> list[str]:
    """The words and punctuation marks of a caption, in lower case."""
    return re.findall(r"\w+|[^\w\s]", caption.lower())


@lru_cache(maxsize=65536)
def word_rows(word: str, rows: int) -> tuple[int, ...]:
    """Table rows (1 ... rows - 1) of a word and its 3-grams, NGRAMS of them, padded with 0."""
    marked = f"<{word}>"
    grams = [marked] + [marked[i : i + 3] for i in range(len(marked) - 2)]
    found = [1 + zlib.crc32(gram.encode()) % (rows - 1) for gram in grams[:NGRAMS]]
    return tuple(found + [0] * (NGRAMS - len(found)))


class TextLayer(nn.Module):
    """A plain pre-norm transformer layer with heads of width 32."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.heads = max(1, width // 32)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.out = nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Linear(4 * width, width))

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """(B, S, E), mask (B, 1, 1, S) -> (B, S, E)."""
        q, k, v = rearrange(self.qkv(self.norm1(x)), "b s (n h d) -> n b h s d", n=3, h=self.heads)
        x = x + self.out(attend(q, k, v, mask))
        return x + self.mlp(self.norm2(x))


@configured
class PretrainedEncoder(TextEncoder):
    """Any encoder of `transformers` (T5, UMT5, CLIP, Gemma, Qwen ...), frozen; needs `avsim[pretrained]`.

    Of a text-image model, the text tower is used. Its weights are not saved with the generator, which
    stores the name alone.

    Args:
        name: a folder, or a name on the Hugging Face hub; safetensors only, no remote code is run.
        length: S; longer captions are cut, shorter ones padded.
        layers: whose hidden states are concatenated, 0 the embeddings, -1 the last; None: the model's output.
        subfolder: of `name`, that holds the model; in a pipeline of diffusers "text_encoder".
        tokenizer_subfolder: that holds the tokenizer; in a pipeline "tokenizer".

    Raises:
        InputError: `transformers` is not installed, no usable text encoder at `name`, or one without such
            layers.
    """

    def __init__(
        self,
        name: str,
        length: int = 64,
        layers: list[int] | None = None,
        subfolder: str = "",
        tokenizer_subfolder: str = "",
    ) -> None:
        super().__init__()
        try:
            import transformers
        except ImportError as error:
            raise InputError("pretrained text encoders need `pip install avsim[pretrained]`") from error
        try:
            self.tokenizer: Any = transformers.AutoTokenizer.from_pretrained(
                name, subfolder=tokenizer_subfolder
            )
            # T5 has an encoder-only class; other families are loaded whole, and the text part kept.
            kind = transformers.AutoConfig.from_pretrained(name, subfolder=subfolder).model_type
            encoder_only = kind in ("t5", "umt5", "mt5")
            auto = transformers.AutoModelForTextEncoding if encoder_only else transformers.AutoModel
            model: Any = auto.from_pretrained(name, subfolder=subfolder, use_safetensors=True)
        except (OSError, ValueError) as error:
            reason = first_line_of(error)
            raise InputError(f"{name}: no text encoder could be loaded ({reason})") from error
        if getattr(model.config, "is_encoder_decoder", False) and not encoder_only:
            self.encoder: Any = model.get_encoder()
        else:
            towers = (getattr(model, name, None) for name in ("text_model", "language_model"))
            self.encoder = next((tower for tower in towers if tower is not None), model)
        self.encoder.requires_grad_(False)
        if self.tokenizer.pad_token is None:  # as in decoder-only models
            self.tokenizer.pad_token = self.tokenizer.eos_token
        self.tokenizer.padding_side = "right"
        settings = self.encoder.config.get_text_config()
        count = settings.num_hidden_layers
        if layers is not None and not (layers and all(-count - 1 <= each <= count for each in layers)):
            raise InputError(f"layers is {layers}; {name} has hidden states 0 to {count}")
        self.layers = layers
        self.length, self.width = length, settings.hidden_size * (1 if layers is None else len(layers))
        self.register_state_dict_post_hook(_drop_frozen_keys)
        self.register_load_state_dict_post_hook(_ignore_missing_frozen_keys)

    def train(self, mode: bool = True) -> "PretrainedEncoder":
        """Stay in eval mode, whatever the generator's mode."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """B captions -> tokens (B, length, E) and which of them are present (B, length)."""
        encoded = self.tokenizer(
            list(captions), padding="max_length", truncation=True, max_length=self.length, return_tensors="pt"
        ).to(self.encoder.device)
        present = encoded.attention_mask.bool()
        present[:, 0] = True  # without special tokens, an empty caption has no token
        found = self.encoder(
            input_ids=encoded.input_ids,
            attention_mask=present.long(),
            output_hidden_states=self.layers is not None,
        )
        if self.layers is None:
            return found.last_hidden_state.float(), present
        return torch.cat([found.hidden_states[layer] for layer in self.layers], -1).float(), present

    def check(self, caption: str) -> CaptionCheck:
        """As `TextEncoder.check`; unknown are words with the tokenizer's "unknown" token."""
        words = dict.fromkeys(re.findall(r"\w+", caption))
        unknown_id = self.tokenizer.unk_token_id
        unknown = [
            word
            for word in words
            if unknown_id is not None
            and unknown_id in self.tokenizer(word, add_special_tokens=False, verbose=False).input_ids
        ]
        return CaptionCheck(len(self.tokenizer(caption, verbose=False).input_ids), unknown)


def _drop_frozen_keys(module: nn.Module, state: dict[str, Tensor], prefix: str, _: Any) -> None:
    for name in [name for name in state if name.startswith(f"{prefix}encoder.")]:
        del state[name]


def _ignore_missing_frozen_keys(module: nn.Module, incompatible: Any) -> None:
    frozen = {name for name, _ in module.named_parameters(remove_duplicate=False)} | {
        name for name, _ in module.named_buffers()
    }
    missing = incompatible.missing_keys
    missing[:] = [key for key in missing if not any(key.endswith(name) for name in frozen)]
