"""Latent shards: clips as their codecs saw them, and which codecs those were."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor

from avsim.clip import ClipSpec, LatentSpec
from avsim.data.shards import ShardFolder


def text_name(style: str) -> str:
    """The tensor of the embeddings of captions of a style."""
    return f"text {style}".rstrip()


class LatentSource:
    """Latents that `avsim encode` made, of one split.

    Raises:
        InputError: no latents there, or none in the split.
    """

    def __init__(self, folder: str | Path, split: str = "train") -> None:
        self.shards = ShardFolder.open(folder, "latents")
        self.items = self.shards.items(split)
        about = self.shards.index["latents"]
        self.spec = LatentSpec(
            ClipSpec(**self.shards.index["spec"]), about["time_stride"], about["space_stride"], about["hop"]
        )
        self.channels: tuple[int, int] = about["video_channels"], about["audio_channels"]  # Dv, Da
        self.codecs: dict[str, dict[str, str]] = self.shards.index["codecs"]  # their folders and sha256

    def __len__(self) -> int:
        return len(self.items)

    def styles(self, index: int) -> dict[str, str]:
        """Item `index`'s captions of other styles."""
        return self.items[index].get("styles", {})

    def text(self, index: int, style: str = "") -> Tensor | None:
        """Embeddings (S, E) of item `index`'s caption, zeros where no token is; None: none were stored.

        `style` is that of the caption, "" of the item's own.
        """
        if "text_width" not in self.shards.index["latents"]:
            return None
        name = text_name(style)
        return self.shards.read(self.items[index], (name,))[name].float()

    def latents(self, index: int) -> tuple[Tensor, Tensor, str, str]:
        """Item `index`: video (Dv, t, h, w), audio (Da, l), its caption and its name."""
        item = self.items[index]
        stored = self.shards.read(item, ("video", "audio"))
        return stored["video"].float(), stored["audio"].float(), item["caption"], item["name"]
