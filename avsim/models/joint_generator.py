"""A joint model, and what sampling and training also need: text encoder, timestep shifts, tokens."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from avsim.clip import LatentSpec
from avsim.errors import InputError
from avsim.models.couplings import Coupling, CrossCoupling
from avsim.models.joint_folder import BASE, describe, load_joint, read_config, save_joint
from avsim.models.joint_transformer import JointTransformer
from avsim.models.lora import is_lora
from avsim.models.pair import Pair
from avsim.models.text import TextEncoder
from avsim.models.tokens import to_latents, to_tokens
from avsim.weights import CONFIG, build

EMPTY = "text.safetensors"  # the embeddings of the empty caption


class JointContext(NamedTuple):
    """What is computed once per clip and used in all sampling steps."""

    text: Tensor  # (B, S, E)
    text_mask: Tensor  # (B, S) bool, which text tokens are present
    spec: LatentSpec


class JointGenerator(nn.Module):
    """A `JointTransformer` with the interface of `JointDiT`: tokens and levels -> velocities.

    Text is given as captions, which the text encoder embeds, or as precomputed embeddings (B, S, E), in which
    a token of zeros is padding. The encoder is loaded at the first caption; training on embeddings never
    loads it.

    Args:
        joint: the model.
        text_config: of the text encoder, for `avsim.weights.build`; None: the text encoder inside the video
            model, which only avsim's own has.
        text_length: tokens to which every text is padded, as in the training of the video model.
        empty: embeddings (S, E) of the empty caption; None: a single token of zeros.
        video_shift: timestep shift of the video.
        audio_shift: timestep shift of the audio.
    """

    empty: Tensor  # (S, E)
    coupling: type[Coupling] = CrossCoupling  # what `CrossAttentionFusion` corresponds to

    def __init__(
        self,
        joint: JointTransformer,
        text_config: dict[str, Any] | None = None,
        text_length: int = 512,
        empty: Tensor | None = None,
        video_shift: float = 3.0,
        audio_shift: float = 1.0,
    ) -> None:
        super().__init__()
        self.joint, self.text_config, self.text_length = joint, text_config, text_length
        self.shifts = Pair(video_shift, audio_shift)
        self.channels = Pair(joint.video.channels, joint.audio.channels)
        empty = torch.zeros(1, joint.audio.text_width) if empty is None else empty
        self.register_buffer("empty", empty.float(), persistent=False)
        self.encoders: list[TextEncoder] = []  # in a list, so that it is not a submodule
        self.register_state_dict_post_hook(_drop_frozen_keys)
        self.register_load_state_dict_post_hook(_ignore_missing_frozen_keys)

    @property
    def config(self) -> dict[str, Any]:
        """The config of the joint model, as plain data."""
        return describe(self.joint)

    @property
    def levels(self) -> str:
        """The granularity of the video's noise levels: "clip", "frame" or "token"."""
        return self.joint.video.levels

    @property
    def text(self) -> TextEncoder:
        """The text encoder, loaded at first use.

        Raises:
            InputError: the model has none.
        """
        if not self.encoders:
            own = getattr(getattr(self.joint.video, "transformer", None), "text", None)
            if self.text_config is None and not isinstance(own, TextEncoder):
                raise InputError(
                    "this model has no text encoder; give embeddings, or add one (add-audio --text)"
                )
            encoder: Any = own if self.text_config is None else build(self.text_config)
            self.encoders.append(encoder.eval().requires_grad_(False).to(self.empty.device))
        return self.encoders[0]

    @torch.no_grad()
    def embed(self, captions: Sequence[str]) -> Tensor:
        """Captions -> embeddings (B, S, E), with zeros at padding."""
        text, present = self.text(captions)
        return text * present[..., None]

    def context(
        self, captions: Sequence[str] | Tensor, spec: LatentSpec, uncond: Tensor | None = None
    ) -> JointContext:
        """Text of B clips of `spec`, padded to the model's length; no caption where `uncond` (B,) is True."""
        text = captions if isinstance(captions, Tensor) else self.embed(captions)
        text = _padded(text.to(self.empty), self.text_length)  # (B, S, E)
        if uncond is not None:
            text = torch.where(uncond[:, None, None], _padded(self.empty[None], self.text_length), text)
        present = (text != 0).any(-1)  # (B, S)
        present[:, 0] = True  # attention needs a key
        return JointContext(text, present, spec)

    def forward(self, x: Pair[Tensor], s: Pair[Tensor], context: JointContext) -> Pair[Tensor]:
        """The velocity of every token. Shapes: x (B, L, D), s (B, K), as in `JointDiT.forward`.

        Raises:
            InputError: levels that differ within a frame.
        """
        z = to_latents(x, context.spec)
        frames = context.spec.video[0]
        if s.video is not None and s.video.shape[1] not in (1, frames):
            raise InputError("this model has one noise level per frame; parts of a frame can't be given")
        video, audio = s.each(lambda s: s[:, 0] if s.shape[1] == 1 else s)
        v = self.joint(z.video, z.audio, video, audio, context.text, context.spec, context.text_mask)
        return to_tokens(Pair(*v))

    def compile(self, *args: Any, **options: Any) -> None:
        """Have torch compile the audio tower and the fusion, block by block."""
        for block in (*self.joint.audio.blocks, *self.joint.fusion.values()):
            block.compile(*args, **options)

    def save_folder(self, folder: str | Path, notes: dict[str, Any]) -> Path:
        """Write the model to a folder that `load_folder` and `avsim.models.load_joint` read."""
        generator = {
            "text": self.text_config,
            "text_length": self.text_length,
            "video_shift": self.shifts.video,
            "audio_shift": self.shifts.audio,
        }
        place = f"{type(self).__module__}.{type(self).__qualname__}"
        files = {EMPTY: lambda path: save_file({"empty": self.empty.cpu().contiguous()}, path)}
        return save_joint(self.joint, folder, notes, files, class_path=place, generator=generator)

    @classmethod
    def load_folder(cls, folder: str | Path) -> Self:
        """The model of a folder.

        Raises:
            InputError: as `load_joint`, or a folder of `JointTransformer.save`, which holds no generator.
        """
        folder = Path(folder)
        about = read_config(folder).get("generator")
        if not isinstance(about, dict):
            raise InputError(
                f"{folder / CONFIG}: describes a joint model, but no generator with text and shifts"
            )
        try:
            empty = load_file(folder / EMPTY)["empty"]
            options = {name: about[name] for name in ("text_length", "video_shift", "audio_shift")}
            return cls(load_joint(folder), about["text"], empty=empty, **options).eval()
        except (OSError, KeyError, TypeError, json.JSONDecodeError) as error:
            raise InputError(f"{folder}: no generator can be made from it ({error})") from error


def text_encoder_of(folder: str | Path) -> TextEncoder:
    """The text encoder of a generator's folder; the transformer is loaded only if it is avsim's own.

    Raises:
        InputError: no such folder, or a model without a text encoder.
    """
    about = read_config(folder).get("generator")
    if isinstance(about, dict) and isinstance(about.get("text"), dict):
        encoder: Any = build(about["text"])
        return encoder.eval().requires_grad_(False)
    return JointGenerator.load_folder(folder).text


def _padded(text: Tensor, length: int) -> Tensor:
    """Text (B, S, E) cut or padded with zeros to `length` tokens."""
    return F.pad(text[:, :length], (0, 0, 0, max(0, length - text.shape[1])))


def _is_frozen(module: JointGenerator, name: str) -> bool:
    """Whether a weight is of the frozen video transformer: its own files hold it, and still apply."""
    return name.startswith(BASE) and module.joint.video_frozen and not is_lora(name)


def _drop_frozen_keys(module: Any, state: dict[str, Tensor], prefix: str, _: Any) -> None:
    start = f"{prefix}joint."
    for name in [name for name in state if name.startswith(start)]:
        if _is_frozen(module, name.removeprefix(start)):
            del state[name]


def _ignore_missing_frozen_keys(module: Any, incompatible: Any) -> None:
    missing = incompatible.missing_keys  # with the prefix of whatever holds this module
    missing[:] = [key for key in missing if not _is_frozen(module, key[max(0, key.find(BASE)) :])]
