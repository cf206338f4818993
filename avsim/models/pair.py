"""One value per modality. Whatever avsim keeps of a clip's picture and sound side by side is a `Pair`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, NamedTuple, TypeVar

Value = TypeVar("Value")


class Pair(NamedTuple, Generic[Value]):
    """What belongs to the picture and what belongs to the sound; None where a clip lacks that modality.

    Tokens, noise, levels, velocities and positions are all pairs, so that a model, a loss and a sampler are
    written once, and an image or a sound alone needs no code of its own.
    """

    video: Value = None  # type: ignore[assignment]  # None wherever the modality is absent
    audio: Value = None  # type: ignore[assignment]

    def each(self, function: Callable[..., Any], *others: Pair[Any]) -> Pair[Any]:
        """`function(mine, *theirs)` of each modality that is here; the absent one stays absent."""
        pairs = zip(self, *others, strict=True)
        return Pair(*(None if mine is None else function(mine, *theirs) for mine, *theirs in pairs))

    def there(self) -> list[Value]:
        """The values that are not None, video first."""
        return [value for value in self if value is not None]


NAMES = Pair("video", "audio")
Latents = Pair[Any]
"""Latents of unit variance: tensors video (B, Dv, t, h, w) and audio (B, Da, l), either may be None."""
