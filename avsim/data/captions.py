"""Captions of videos: the files beside them, other captions by style, and which of them a sample has."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch

from avsim.errors import InputError
from avsim.untrusted import MALFORMED, read_text

Value = TypeVar("Value")
STYLED = ".captions.json"  # ends the name of the file beside a video that `avsim caption` writes


@dataclass(frozen=True)
class Captions:
    """Captions of spans of a video, (start, end, caption) in seconds; and those of other styles."""

    spans: tuple[tuple[float, float, str], ...] = ()
    styled: tuple[tuple[float, float, dict[str, str]], ...] = ()

    def at(self, start: float, seconds: float) -> str:
        """The caption that covers most of a span, else the first style's, else ""."""
        return _covering(self.spans, start, seconds) or next(
            iter(self.styles_at(start, seconds).values()), ""
        )

    def styles_at(self, start: float, seconds: float) -> dict[str, str]:
        """Captions by style that cover most of a span; none where it has none."""
        return _covering(self.styled, start, seconds) or {}

    @classmethod
    def beside(cls, video: Path) -> Captions:
        """Captions from the files beside a video that bear its name, those there are of:

        NAME.txt: one caption of the whole video. NAME.json: {"caption": ...}, a list of {"start", "end",
        "caption"}, or both as {"caption": ..., "captions": [...]}. NAME.csv: columns start, end, caption.
        NAME.captions.json: by style, as `avsim caption` writes it.

        Raises:
            InputError: a sidecar with other content.
        """
        spans: list[tuple[float, float, str]] = []
        styled: list[tuple[float, float, dict[str, str]]] = []
        sidecars = ((".txt", _text, spans), (".json", _json, spans), (".csv", _csv, spans))
        for suffix, reader, found in (*sidecars, (STYLED, _styled, styled)):
            path = video.with_suffix(suffix)
            if path.is_file():
                try:
                    found += reader(read_text(path))  # type: ignore[operator]
                except InputError:
                    raise
                except MALFORMED as error:
                    raise InputError(f"{path}: not captions as avsim reads them ({error!r})") from error
        return cls(tuple(spans), tuple(styled))


def sample_caption(caption: str, styles: Mapping[str, str], generator: torch.Generator) -> tuple[str, str]:
    """One of a clip's captions, each as likely: its style ("" of the clip's own caption) and itself.

    Where there is one caption the generator is left as it is.
    """
    choices = {each: style for style, each in reversed([("", caption), *styles.items()]) if each}
    if not choices:
        return "", ""
    index = 0 if len(choices) == 1 else int(torch.randint(len(choices), (), generator=generator))
    each = sorted(choices)[index]
    return choices[each], each


def _text(text: str) -> list[tuple[float, float, str]]:
    return [(0.0, math.inf, " ".join(text.split()))]


def _json(text: str) -> list[tuple[float, float, str]]:
    value = json.loads(text)
    whole = [(0.0, math.inf, str(value["caption"]))] if isinstance(value, dict) and "caption" in value else []
    rows = value.get("captions", []) if isinstance(value, dict) else value
    if not whole and not rows:
        raise ValueError("neither caption nor captions in it")
    return whole + [_span(row) for row in rows]


def _csv(text: str) -> list[tuple[float, float, str]]:
    return [_span(row) for row in csv.DictReader(text.splitlines())]


def _styled(text: str) -> list[tuple[float, float, dict[str, str]]]:
    rows = json.loads(text)["captions"]
    return [(*_span(row | {"caption": ""})[:2], check_styles(row["styles"])) for row in rows]


def check_styles(found: Any) -> dict[str, str]:
    """Captions by style, from a file.

    Raises:
        TypeError: something else.
    """
    if not isinstance(found, dict) or not all(isinstance(caption, str) for caption in found.values()):
        raise TypeError(f"styles is {found!r:.60}; expected captions by style")
    return found


def _covering(spans: Sequence[tuple[float, float, Value]], start: float, seconds: float) -> Value | None:
    """What covers most of a span; of equals, what fits it most closely; None where nothing does."""

    def fit(span: tuple[float, float, Value]) -> tuple[float, float]:
        return min(span[1], start + seconds) - max(span[0], start), span[0] - span[1]

    best = max(spans, key=fit, default=None)
    return best[2] if best is not None and fit(best)[0] > 0 else None


def _span(row: dict) -> tuple[float, float, str]:
    start, end = float(row["start"]), float(row["end"])
    if not start < end:
        raise ValueError(f"a caption from {start:g} to {end:g} s")
    return start, end, str(row["caption"])
