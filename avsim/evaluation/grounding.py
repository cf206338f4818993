"""Grounding of separated audio: the share of its energy in the regions that should sound.

Any separator can be measured, as a function; each has to pass the controls: with another clip's audio, with
mirrored or blank video, or with the regions moved to where nothing sounds, it must no longer find what
isn't there, and it must beat the share that the regions' area would get without looking. Silence has no
share, and is counted.
"""

from collections.abc import Callable, Sequence

import torch
import torchaudio
from torch import Tensor

from avsim.clip import Clip, Region, Stems
from avsim.errors import InputError
from avsim.evaluation.bss import SILENT
from avsim.evaluation.calibration import auroc
from avsim.evaluation.corruptions import mirrored, with_sound_of
from avsim.evaluation.metric import ClipScorer, mean
from avsim.evaluation.result import NotJudged, Reason

Separate = Callable[[Clip, Sequence[Region]], Stems]
CONTROLS = ("swapped audio", "mirrored video", "positions shuffled", "blank video", "constant mask")
MASK = 1024  # samples of the window in which oracle masks are made


class Grounding(ClipScorer):
    """Shares of energy: of the truth and of each control; AUROC of truth against swapped audio."""

    width = 2 + len(CONTROLS)  # truth, controls, error of the share where an unseen source sounds too

    def update(self, clip: Clip, regions: Sequence[Region], separate: Separate, other: Clip) -> None:
        """Score one clip.

        Args:
            clip: with video and audio.
            regions: of the things that should sound.
            separate: the separator.
            other: a clip whose audio doesn't come from the regions.
        """
        try:
            truth = share(separate(clip, regions))
        except NotJudged as unjudged:
            self.skip(unjudged.reason)
            return
        assert clip.frames is not None
        blank = Clip(torch.full_like(clip.frames, 0.5), clip.wave, clip.frames_per_second, clip.sample_rate)
        area = torch.stack(
            [region.mask.float().reshape(-1, *clip.frames.shape[2:]).mean(0) for region in regions]
        )
        self.keep(
            [
                truth,
                _share_or_none(separate, with_sound_of(clip, other), regions),
                _share_or_none(separate, mirrored(clip), regions),
                _share_or_none(separate, clip, moved(regions)),
                _share_or_none(separate, blank, regions),
                area.amax(0).mean().item(),
                self._unseen(clip, regions, separate, other),
            ]
        )

    @staticmethod
    def _unseen(clip: Clip, regions: Sequence[Region], separate: Separate, other: Clip) -> float:
        """With another clip's sound added from off screen: how far the share is from the clip's own part."""
        assert clip.wave is not None and clip.frames is not None
        assert other.wave is not None
        wave = torchaudio.functional.resample(other.wave, other.sample_rate, clip.sample_rate)
        added = Clip.fitted(clip.frames, wave, clip.frames_per_second, clip.sample_rate).wave
        assert added is not None
        powers = [wave.double().square().mean() for wave in (clip.wave, added)]
        both = Clip(clip.frames, clip.wave + added, clip.frames_per_second, clip.sample_rate)
        own = (powers[0] / (powers[0] + powers[1])).item()
        return abs(_share_or_none(separate, both, regions) - own)

    def numbers(self, rows: Tensor) -> dict[str, Tensor]:
        """Means over clips, and how well the truth is distinguished from swapped audio."""
        truth, swapped = rows[..., 0], rows[..., 1]
        flat = rows.reshape(-1, *rows.shape[-2:])
        aurocs = torch.tensor([auroc(each[:, 0], each[:, 1]) for each in flat], dtype=torch.float64)
        found = {"share of the energy that falls to what sounds": mean(truth)}
        found |= {f"the same, {name}": mean(rows[..., 1 + k]) for k, name in enumerate(CONTROLS)}
        return found | {
            "error of the share beside an unseen source": mean(rows[..., 1 + len(CONTROLS)]),
            "AUROC against swapped audio": aurocs.view(swapped.shape[:-1]),
        }


def moved(regions: Sequence[Region]) -> list[Region]:
    """The regions where they cover the least of what they covered: moved sideways together, and around."""
    masks = [region.mask.float() for region in regions]
    covered = torch.stack([mask.reshape(-1, *mask.shape[-2:]).amax(0) for mask in masks]).amax(0)  # (H, W)
    width = covered.shape[1]
    step = min(range(1, width), key=lambda by: (covered.roll(by, 1) * covered).sum().item(), default=0)
    return [Region(mask.roll(step, -1), region.name) for mask, region in zip(masks, regions, strict=True)]


def share(stems: Stems) -> float:
    """The regions' part of the energy of all stems; the last is "off screen".

    Raises:
        NotJudged: all of them are silent.
    """
    power = stems.wave.double().square().mean((1, 2))
    if power.sum() <= SILENT:
        raise NotJudged(Reason.SILENT)
    return (power[:-1].sum() / power.sum()).item()


def _share_or_none(separate: Separate, clip: Clip, regions: Sequence[Region]) -> float:
    """0 where nothing sounds: there is nothing to fall to anything."""
    try:
        return share(separate(clip, regions))
    except NotJudged:
        return 0.0


def oracle(stems: Tensor) -> Separate:
    """A separator that uses the true stems (R + 1, A, N) of a clip's regions and the rest, as ratio masks.

    What another sound has in the bins of a region falls to that region: the ceiling of any mask, and of its
    controls.

    Raises:
        InputError: (at the call) another number of regions or samples than the stems have.
    """
    window = torch.hann_window(MASK)
    spectra = torch.stft(stems.flatten(0, 1), MASK, MASK // 4, window=window, return_complex=True)
    power = spectra.abs().square().unflatten(0, stems.shape[:2])
    shares = power / power.sum(0).clamp(min=1e-20)  # (R + 1, A, F, J)
    shares[-1] = 1 - shares[:-1].sum(0)  # where nothing sounds in truth, nothing seen does

    def separate(clip: Clip, regions: Sequence[Region]) -> Stems:
        if clip.wave is None or len(regions) + 1 != len(stems) or clip.wave.shape != stems.shape[1:]:
            raise InputError(
                f"oracle masks of {len(stems) - 1} regions and a wave {tuple(stems.shape[1:])} were given "
                f"for {len(regions)} regions of another sound"
            )
        mixture = torch.stft(clip.wave, MASK, MASK // 4, window=window, return_complex=True)
        cut = (shares * mixture).flatten(0, 1)
        waves = torch.istft(cut, MASK, MASK // 4, window=window, length=clip.wave.shape[1])
        return Stems(waves.view_as(stems), regions, clip.sample_rate)

    return separate
