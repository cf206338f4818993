"""Whether clips look like those that the judges were calibrated on.

A film of animals is judged by detectors that know eleven players and some shapes: they find something in it,
and nothing that they find was ever proven. This says so, from how far clips lie from the nearest true one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from avsim.files import atomic
from avsim.seeds import generator

DRAWS, SURE = 1000, 0.99  # of sets of true clips, none but one in a hundred of which lies as far off


@dataclass(frozen=True, eq=False)
class Familiar:
    """Embeddings of true clips, (n, d), of a judge's calibration."""

    known: Tensor

    @classmethod
    def load(cls, path: str | Path) -> Familiar:
        """What `save` wrote."""
        return cls(load_file(path)["known"].double())

    def save(self, path: str | Path) -> Path:
        """Write a file of safetensors, in half precision."""
        with atomic(path) as temporary:
            save_file({"known": self.known.half().contiguous()}, temporary)
        return Path(path)

    def distances(self, clips: Tensor) -> Tensor:
        """From each clip (m, d) to the nearest known one, in deviations, (m,); itself is left out."""
        spread = self.known.std(0) + 1e-3
        away = torch.cdist(clips.double() / spread, self.known / spread) / spread.numel() ** 0.5
        return away.masked_fill(away < 1e-6, torch.inf).amin(1)

    def trouble(self, clips: Sequence[Tensor]) -> str | None:
        """Why judges should not be believed on these clips; None where they are like the known ones."""
        found = self.distances(torch.stack(list(clips)).half()).median()
        own = self.distances(self.known)
        random = generator(0, "familiar")
        drawn = own[torch.randint(len(own), (DRAWS, len(clips)), generator=random)].median(1).values
        most = drawn.quantile(SURE)
        if found <= most:
            return None
        return (
            f"these clips look unlike those that the judges were calibrated on ({found:.2f} deviations from "
            f"the nearest; those lie {own.median():.2f} from each other, as many hardly ever {most:.2f}): "
            "what is found in them isn't proven"
        )
