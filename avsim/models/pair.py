"""One value per modality: video and audio side by side."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

Value = TypeVar("Value")


class Pair(NamedTuple, Generic[Value]):
    """A value for the video and one for the audio; None if a clip lacks that modality.

    Tokens, noise, levels, velocities and positions are all pairs, so that a loss and a sampler are written
    once, and an image or audio alone needs no code of its own.
    """

    video: Value = None  # type: ignore[assignment]  # None wherever the modality is absent
    audio: Value = None  # type: ignore[assignment]

    def each(self, function: Callable[..., Any], *others: Pair[Any]) -> Pair[Any]:
        """`function(value, *others)` of each modality that is present; the absent one stays None."""
        pairs = zip(self, *others, strict=True)
        return Pair(*(None if value is None else function(value, *rest) for value, *rest in pairs))

    def present(self) -> list[Value]:
        """The values that are not None, video first."""
        return [value for value in self if value is not None]


NAMES = Pair("video", "audio")
Latents = Pair[Any]
"""Latents: tensors video (B, Dv, t, h, w) and audio (B, Da, l), either may be None."""
