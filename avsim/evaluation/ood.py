"""Out-of-distribution check: whether clips look like those that the metrics were calibrated on.

Detectors that were trained on synthetic clips also report something on videos of animals, for which no metric
is calibrated. The check compares a clip's distance to the nearest calibration clip with the distances among
those.
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
from avsim.evaluation.embeddings import video_features
from avsim.files import atomic
from avsim.perception.video_detector import VideoDetector
from avsim.seeds import generator

OOD_CHECK = Path(__file__).parent / "calibrations" / "ood_check.safetensors"  # embeddings of true clips
DRAWS, SURE = 1000, 0.99  # number of random sets of calibration clips, and the quantile of their distances
OOD_MARGIN = 1.1  # times the distance that training clips hardly ever exceed; most real videos: 1.15 or more


@dataclass(frozen=True, eq=False)
class OODCheck:
    """Embeddings of true clips, (n, d), of a metric's calibration, and sha256 of the weights that embed."""

    known: Tensor
    sha256: str = ""

    @classmethod
    def of(cls, sha256: str | None) -> OODCheck | None:
        """The shipped check of the detector with this hash of weights; None: there is none."""
        found = cls.load(OOD_CHECK) if OOD_CHECK.is_file() else None
        return found if found is not None and found.sha256 == sha256 else None

    @classmethod
    def load(cls, path: str | Path) -> OODCheck:
        """Read a file that `save` wrote."""
        with safe_open(path, "pt") as file:
            return cls(file.get_tensor("known").double(), (file.metadata() or {}).get("sha256", ""))

    def save(self, path: str | Path) -> Path:
        """Write a file of safetensors, in half precision."""
        with atomic(path) as temporary:
            save_file({"known": self.known.half().contiguous()}, temporary, {"sha256": self.sha256})
        return Path(path)

    def distances(self, clips: Tensor) -> Tensor:
        """Distance from each clip (m, d) to the nearest known one, in standard deviations, (m,)."""
        return self._away(clips).amin(1)

    def _away(self, clips: Tensor) -> Tensor:
        spread = self.known.std(0) + 1e-3
        return torch.cdist(clips.double() / spread, self.known / spread) / spread.numel() ** 0.5  # (m, n)

    def warning(self, clips: Sequence[Tensor], margin: float = 1.0) -> str | None:
        """A warning that metrics are not calibrated for these clips; None where they are like the known ones.

        A `margin` above 1 makes a warning about a single clip more certain.
        """
        found = self.distances(torch.stack(list(clips))).median()
        own = self._away(self.known).fill_diagonal_(torch.inf).amin(1)
        random = generator(0, "ood_check")
        drawn = own[torch.randint(len(own), (DRAWS, len(clips)), generator=random)].median(1).values
        most = drawn.quantile(SURE)
        if found <= margin * most:
            return None
        return (
            f"these clips look unlike those that the metrics were calibrated on ({found:.2f} standard "
            f"deviations from the nearest; those are {own.median():.2f} from each other, sets of as many "
            f"rarely {most:.2f}): results are not calibrated"
        )


def is_out_of_distribution(clip: Clip, detector: VideoDetector | None, ood_check: OODCheck | None) -> bool:
    """Whether a clip, at the training's size and rate, looks unlike what a detector was trained on.

    False where the clip has no video, or detector or check are unknown.
    """
    if clip.frames is None or detector is None or ood_check is None:
        return False
    return ood_check.warning([video_features(detector)(clip)], OOD_MARGIN) is not None
