"""Captions -> text tokens: a small encoder that trains along, or a pretrained one that stays as it is."""

import re
import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from avsim.errors import InputError
from avsim.models.couplings import attend
from avsim.weights import configured

PIECES = 12  # hashes that a word may have: itself and its n-grams


class Reading(NamedTuple):
    """What an encoder makes of a caption."""

    tokens: int  # of the whole caption; those beyond the encoder's `length` are cut
    unknown: list[str]  # its words that the encoder may never have met, each once, in their order


class TextEncoder(nn.Module):
    """What the generator asks of a text encoder. An empty caption means "no caption", and has a token too."""

    width: int  # E
    length: int  # S, tokens of a caption at most

    def forward(self, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """B captions -> tokens (B, S, E) and which are there (B, S), bool, at least one in each row."""
        raise TypeError(f"{type(self).__name__} must say how it reads captions")

    def tokenize(self, captions: Sequence[str]) -> Tensor | None:
        """Token ids (B, ...) on the host, which `forward` takes too, 0 for none; None: it takes no ids."""
        return None

    def reading(self, caption: str) -> Reading:
        """What becomes of a caption: how many tokens it is, which words are strange."""
        raise TypeError(f"{type(self).__name__} must say what it can't read")


@configured
class WordEncoder(TextEncoder):
    """Words as sums of their hashed n-grams, then a small transformer. No vocabulary, no download.

    A misspelt or unseen word shares most n-grams with its relatives (fastText, 1607.04606). Captions longer
    than `length` words are cut.

    Args:
        width: of a text token.
        layers: of the transformer.
        rows: of the hash table.
        length: text tokens of every caption, the leading "here begins a caption" included.
    """

    def __init__(self, width: int = 96, layers: int = 2, rows: int = 2048, length: int = 32) -> None:
        super().__init__()
        self.width, self.rows, self.length = width, rows, length
        self.pieces = nn.Embedding(rows, width, padding_idx=0)
        self.start = nn.Parameter(torch.randn(width) * 0.5)
        self.place = nn.Parameter(torch.randn(length, width) * 0.1)
        self.layers = nn.ModuleList(TextLayer(width) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        nn.init.normal_(self.pieces.weight, std=0.5)
        with torch.no_grad():
            self.pieces.weight[0] = 0

    def forward(self, captions: Sequence[str] | Tensor) -> tuple[Tensor, Tensor]:
        """B captions, or their `hashes` (B, length - 1, PIECES) -> tokens (B, length, E), which are there."""
        ids = captions if isinstance(captions, Tensor) else self.tokenize(captions).to(self.place.device)
        here = F.pad((ids > 0).any(-1), (1, 0), value=True)  # (B, S)
        count = (ids > 0).sum(-1, keepdim=True).clamp(min=1)  # (B, S - 1, 1)
        words = self.pieces(ids).sum(2) / count.sqrt()  # (B, S - 1, E)
        x = torch.cat([self.start.expand(len(ids), 1, -1), words], dim=1) + self.place  # (B, S, E)
        for layer in self.layers:
            x = layer(x, here[:, None, None])  # (B, S, E)
        return self.norm(x), here

    def tokenize(self, captions: Sequence[str]) -> Tensor:
        """The `hashes` of B captions, (B, length - 1, PIECES) int64."""
        return torch.tensor([self.hashes(caption) for caption in captions]).view(-1, self.length - 1, PIECES)

    def hashes(self, caption: str) -> list[list[int]]:
        """A caption as (length - 1) words of PIECES table rows each; 0 where there is nothing."""
        rows = [list(word_rows(word, self.rows)) for word in words_in(caption)[: self.length - 1]]
        return rows + [[0] * PIECES] * (self.length - 1 - len(rows))

    def reading(self, caption: str) -> Reading:
        """Any word has rows; strange are those that no caption of avsim's world has, numbers aside."""
        from avsim.world.captions.parsing import VOCABULARY

        words = re.findall(r"[^\W\d_]+(?:-[^\W\d_]+)*", caption.lower())
        strange = [word for word in dict.fromkeys(words) if word not in VOCABULARY]
        return Reading(1 + len(words_in(caption)), strange)


def words_in(caption: str) -> list[str]:
    """Its words and punctuation marks, in lower case."""
    return re.findall(r"\w+|[^\w\s]", caption.lower())


@lru_cache(maxsize=65536)
def word_rows(word: str, rows: int) -> tuple[int, ...]:
    """Table rows (1 ... rows - 1) of a word and its 3-grams, PIECES of them, 0 where there are fewer."""
    marked = f"<{word}>"
    grams = [marked] + [marked[i : i + 3] for i in range(len(marked) - 2)]
    found = [1 + zlib.crc32(gram.encode()) % (rows - 1) for gram in grams[:PIECES]]
    return tuple(found + [0] * (PIECES - len(found)))


class TextLayer(nn.Module):
    """A plain pre-norm transformer layer with heads of 32."""

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
    """Any encoder of `transformers` (T5, CLIP's text tower, BERT ...), frozen; needs `avsim[pretrained]`.

    Its weights are not saved with the generator: the name is enough to find them again.

    Args:
        name: a folder, or a name on the Hugging Face hub; safetensors only, no code of its own is run.
        length: tokens that a caption is cut to.

    Raises:
        InputError: `transformers` is not installed, or nothing that can be used lies at `name`.
    """

    def __init__(self, name: str, length: int = 64) -> None:
        super().__init__()
        try:
            from transformers import AutoModel, AutoTokenizer
        except ImportError as error:
            raise InputError("pretrained text encoders need `pip install avsim[pretrained]`") from error
        try:
            self.tokenizer: Any = AutoTokenizer.from_pretrained(name)
            model: Any = AutoModel.from_pretrained(name, use_safetensors=True)
        except (OSError, ValueError) as error:
            reason = str(error).splitlines()[0]
            raise InputError(f"{name}: no text encoder could be loaded ({reason})") from error
        if not hasattr(model, "get_encoder") or not model.config.is_encoder_decoder:
            self.encoder = getattr(model, "text_model", model)
        else:
            self.encoder = model.get_encoder()
        self.encoder.requires_grad_(False)
        self.length, self.width = length, self.encoder.config.hidden_size
        self.register_state_dict_post_hook(_forget_frozen)
        self.register_load_state_dict_post_hook(_expect_no_frozen)

    def train(self, mode: bool = True) -> "PretrainedEncoder":
        """Frozen: stays in eval mode whatever the generator does."""
        return super().train(False)

    @torch.no_grad()
    def forward(self, captions: Sequence[str]) -> tuple[Tensor, Tensor]:
        """B captions -> tokens (B, length, E) and which of them are there (B, length)."""
        read = self.tokenizer(
            list(captions), padding="max_length", truncation=True, max_length=self.length, return_tensors="pt"
        ).to(self.encoder.device)
        here = read.attention_mask.bool()
        here[:, 0] = True  # a tokenizer without special tokens reads nothing in an empty caption
        tokens = self.encoder(input_ids=read.input_ids, attention_mask=here.long()).last_hidden_state
        return tokens.float(), here

    def reading(self, caption: str) -> Reading:
        """Strange are words that the tokenizer has no token for."""
        words = dict.fromkeys(re.findall(r"\w+", caption))
        unknown = self.tokenizer.unk_token_id
        strange = [
            word
            for word in words
            if unknown is not None
            and unknown in self.tokenizer(word, add_special_tokens=False, verbose=False).input_ids
        ]
        return Reading(len(self.tokenizer(caption, verbose=False).input_ids), strange)


def _forget_frozen(module: nn.Module, state: dict[str, Tensor], prefix: str, _: Any) -> None:
    for name in [name for name in state if name.startswith(f"{prefix}encoder.")]:
        del state[name]


def _expect_no_frozen(module: nn.Module, incompatible: Any) -> None:
    frozen = {name for name, _ in module.named_parameters()} | {name for name, _ in module.named_buffers()}
    missing = incompatible.missing_keys
    missing[:] = [key for key in missing if not any(key.endswith(name) for name in frozen)]
