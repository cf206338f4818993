"""Whether clips look like those that the judges were calibrated on.

A film of animals is judged by detectors that know eleven players and some shapes: they find something in it,
and nothing that they find was ever proven. This says so, from how far clips lie from the nearest true one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import Tensor

from avsim.clip import Clip
from avsim.evaluation.embeddings import picture_features
from avsim.files import atomic
from avsim.perception.video_detector import PictureDetector
from avsim.seeds import generator

FAMILIAR = Path(__file__).parent / "calibrations" / "familiar.safetensors"  # embeddings of true clips
STRANGE = 1.5  # times the distance that true clips hardly ever have: foreign; full worlds lie below
DRAWS, SURE = 1000, 0.99  # of sets of true clips, none but one in a hundred of which lies as far off


@dataclass(frozen=True, eq=False)
class Familiar:
    """Embeddings of true clips, (n, d), of a judge's calibration, and sha256 of the weights that embed."""

    known: Tensor
    sha256: str = ""

    @classmethod
    def of(cls, sha256: str | None) -> Familiar | None:
        """What ships of a detector, by the hash of its weights; None where nothing was measured with it."""
        found = cls.load(FAMILIAR) if FAMILIAR.is_file() else None
        return found if found is not None and found.sha256 == sha256 else None

    @classmethod
    def load(cls, path: str | Path) -> Familiar:
        """What `save` wrote."""
        with safe_open(path, "pt") as file:
            return cls(file.get_tensor("known").double(), (file.metadata() or {}).get("sha256", ""))

    def save(self, path: str | Path) -> Path:
        """Write a file of safetensors, in half precision."""
        with atomic(path) as temporary:
            save_file({"known": self.known.half().contiguous()}, temporary, {"sha256": self.sha256})
        return Path(path)

    def distances(self, clips: Tensor) -> Tensor:
        """From each clip (m, d) to the nearest known one, in deviations, (m,)."""
        return self._away(clips).amin(1)

    def _away(self, clips: Tensor) -> Tensor:
        spread = self.known.std(0) + 1e-3
        return torch.cdist(clips.double() / spread, self.known / spread) / spread.numel() ** 0.5  # (m, n)

    def trouble(self, clips: Sequence[Tensor], margin: float = 1.0) -> str | None:
        """Why judges should not be believed on these clips; None where they are like the known ones.

        A single clip is called strange more surely by a `margin` above 1.
        """
        found = self.distances(torch.stack(list(clips))).median()
        own = self._away(self.known).fill_diagonal_(torch.inf).amin(1)
        random = generator(0, "familiar")
        drawn = own[torch.randint(len(own), (DRAWS, len(clips)), generator=random)].median(1).values
        most = drawn.quantile(SURE)
        if found <= margin * most:
            return None
        return (
            f"these clips look unlike those that the judges were calibrated on ({found:.2f} deviations from "
            f"the nearest; those lie {own.median():.2f} from each other, as many hardly ever {most:.2f}): "
            "what is found in them isn't proven"
        )


def is_foreign(clip: Clip, detector: PictureDetector | None, familiar: Familiar | None) -> bool:
    """Whether a clip, at the training's size and rate, looks unlike what a detector was trained on.

    False where the clip has no picture, or no detector or nothing familiar to it is known.
    """
    if clip.frames is None or detector is None or familiar is None:
        return False
    return familiar.trouble([picture_features(detector)(clip)], STRANGE) is not None
