"""Metrics of the field over a set of clips and a reference, each with its protocol and its warnings."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import cosine_similarity

from avsim.clip import Clip
from avsim.errors import InputError
from avsim.evaluation.field.align import av_align
from avsim.evaluation.field.networks import PAIRED, Network, network
from avsim.evaluation.frechet import frechet
from avsim.evaluation.result import NotJudged
from avsim.measures import Interval, bootstrap, jackknife

ENOUGH = (
    2048  # clips from which on a Fréchet distance or an inception score is comparable with published ones
)
GROUPS = 10  # of the jackknife
DESYNC_WINDOW = 4.8  # s that Synchformer receives


@dataclass(frozen=True)
class FieldResult:
    """A metric's value with its 95 % interval, protocol and warnings."""

    name: str
    value: Interval
    higher_is_better: bool
    protocol: str
    judged: int
    clips: int
    reference: int | None = None  # clips that it was compared with
    warnings: tuple[str, ...] = ()

    def plain(self) -> dict[str, object]:
        """As JSON values."""
        return {
            **self.value.plain(),
            "higher is better": self.higher_is_better,
            "protocol": self.protocol,
            "judged": f"{self.judged} of {self.clips}",
            "reference": self.reference,
            "warnings": [*self.warnings],
        }

    def __str__(self) -> str:
        against = "" if self.reference is None else f" against {self.reference}"
        warned = "".join(f"; warning: {each}" for each in self.warnings)
        better = "↑" if self.higher_is_better else "↓"
        return (
            f"{self.name} {better}: {self.value.mean:.4g} ({self.value.low:.4g} … {self.value.high:.4g}), "
            f"judged {self.judged} of {self.clips}{against}; {self.protocol}{warned}"
        )


@dataclass
class FieldMetric:
    """A metric that takes clips one after the other, then compares them.

    Args:
        name: as the field writes it.
        kind: one of `KINDS`.
        network: that embeds clips; None for AV-Align.
    """

    name: str
    kind: str
    network: Network | None
    rows: list[Tensor] = field(default_factory=list)
    known: list[Tensor] = field(default_factory=list)  # of the reference
    clips: int = 0
    shortest: float = math.inf  # s

    @property
    def needs_reference(self) -> bool:
        """Whether true clips must be given."""
        return self.kind in DISTANCES

    @property
    def higher_is_better(self) -> bool:
        """Whether a higher value is a better one."""
        return not (self.needs_reference or self.kind in ("desync", "lse-d"))

    def update(self, clip: Clip, caption: str = "") -> None:
        """Take in a clip."""
        self.clips += 1
        self.shortest = min(self.shortest, clip.seconds)
        row = self._row(clip, caption)
        if row is not None:
            self.rows.append(row)

    def add_reference(self, clip: Clip) -> None:
        """Take in a true clip."""
        row = self._row(clip, "") if self.needs_reference else None
        if row is not None:
            self.known.append(row)

    def _row(self, clip: Clip, caption: str) -> Tensor | None:
        """(windows, d), or (1,) of metrics of single clips; None: it can't be judged."""
        try:
            if self.network is None:
                return torch.tensor([av_align(clip)], dtype=torch.float64)
            if self.kind == "clap":
                assert self.network.text is not None
                if not caption:
                    return None
                audio = self.network.embed(clip).mean(0)
                return cosine_similarity(audio, self.network.text(caption), dim=0)[None]
            if self.kind == "is":
                assert self.network.classes is not None
                return self.network.classes(clip)
            return self.network.embed(clip)
        except NotJudged:
            return None

    def result(self) -> FieldResult:
        """Over all clips that were taken in.

        Raises:
            InputError: too few clips, or no reference.
        """
        judged = len(self.rows)
        if self.needs_reference and len(self.known) < 2:
            raise InputError(f"{self.name}: needs true clips, --reference CLIPS")
        least = 3 if self.kind in (*DISTANCES, "is") else 1
        if judged < least:
            raise InputError(f"{self.name}: judged {judged} of {self.clips} clips; it needs {least}")
        protocol = (
            "peaks of Farneback's optical flow and librosa's onsets within a frame"
            if self.network is None
            else self.network.protocol()
        )
        reference = len(self.known) if self.needs_reference else None
        return FieldResult(
            self.name,
            self._value(),
            self.higher_is_better,
            protocol,
            judged,
            self.clips,
            reference,
            tuple(self._warnings()),
        )

    def _value(self) -> Interval:
        if self.kind in DISTANCES:
            known = torch.cat(self.known)
            return self._jackknife(lambda rows: DISTANCES[self.kind](rows, known))
        if self.kind == "is":
            return self._jackknife(inception_score)
        values = torch.stack(
            [row.flatten()[0].abs() if self.kind == "desync" else row.flatten()[0] for row in self.rows]
        )
        return bootstrap(values)

    def _jackknife(self, statistic: Callable[[Tensor], float]) -> Interval:
        """A statistic of all windows, with groups of clips left out; nan where less than two are left."""
        clip = torch.tensor([k for k, row in enumerate(self.rows) for _ in row])  # of each window
        windows = torch.cat(self.rows)

        def of(kept: Tensor) -> Tensor:
            value = statistic(windows[kept]) if int(kept.sum()) > 1 else math.nan
            return torch.tensor([value], dtype=torch.float64)

        return jackknife(of, clip % min(GROUPS, len(self.rows)))[0]

    def _warnings(self) -> Iterable[str]:
        few = min(len(self.rows), len(self.known) if self.needs_reference else len(self.rows))
        if self.kind in ("fad", "fvd", "is") and few < ENOUGH:
            yield f"{few} clips; published values use {ENOUGH:,} or more"
        if self.kind == "desync" and self.shortest < DESYNC_WINDOW:
            yield f"clips of {self.shortest:g} s are shorter than Synchformer's window of {DESYNC_WINDOW:g} s"
        if self.network is not None and self.shortest < self.network.window < math.inf:
            yield f"clips of {self.shortest:g} s are shorter than the window"


def kernel_audio_distance(rows: Tensor, known: Tensor) -> float:
    """KAD (Chung et al., 2502.15602): 100 times the unbiased MMD^2 with a Gaussian kernel of median width."""
    exact = "donot_use_mm_for_euclid_dist"
    within = [torch.cdist(each, each, compute_mode=exact) for each in (rows, known)]
    width = within[1][~torch.eye(len(known), dtype=torch.bool)].median().clamp(min=1e-12)

    def kernel(distance: Tensor) -> Tensor:
        return torch.exp(-distance.square() / (2 * width**2))

    means = [(kernel(d).sum() - len(d)) / (len(d) * (len(d) - 1)) for d in within]
    cross = kernel(torch.cdist(rows, known, compute_mode=exact)).mean()
    return (100 * (means[0] + means[1] - 2 * cross)).item()


def inception_score(probabilities: Tensor) -> float:
    """IS (Salimans et al., 1606.03498): exp of the mean KL divergence from the mean, of (n, classes)."""
    p = probabilities.clamp(min=1e-12)
    return (p * (p.log() - p.mean(0).log())).sum(1).mean().exp().item()


DISTANCES: dict[str, Callable[[Tensor, Tensor], float]] = {
    "fad": frechet,
    "kad": kernel_audio_distance,
    "fvd": frechet,
}
NAMES = {"fad": "FAD", "kad": "KAD", "fvd": "FVD", "is": "IS"}
KINDS = (*NAMES, "clap", "av-align", *PAIRED)


def field_metric(spec: str) -> FieldMetric:
    """The metric that `KIND`, `KIND=SOURCE` or `KIND:NETWORK=SOURCE` names, such as `fad:clap=PATH`.

    Raises:
        InputError: an unknown kind, or a network that can't be loaded.
    """
    what, _, source = spec.partition("=")
    kind, _, by = what.partition(":")
    if kind == "av-align":
        if source or by:
            raise InputError(f"--metrics {spec}: av-align takes no network")
        return FieldMetric("AV-Align", kind, None)
    if kind == "clap":
        return FieldMetric("CLAP score", kind, network("clap", source))
    if kind in PAIRED:
        if ":" not in source:
            raise InputError(f"--metrics {spec}: expected {kind}=module:function, a function of a clip")
        return FieldMetric(PAIRED[kind], kind, network(kind, source))
    if kind not in NAMES:
        raise InputError(f"--metrics {spec}: unknown metric {kind!r}; there are {', '.join(KINDS)}")
    if not (by and source):
        example = "videomae" if kind == "fvd" else "clap" if kind != "is" else "panns"
        raise InputError(f"--metrics {spec}: expected {kind}:NETWORK=PATH, such as {kind}:{example}=PATH")
    found = network(by, source)
    if kind == "fvd" and found.modality == "audio":
        raise InputError(f"--metrics {spec}: FVD needs a network for video")
    if kind == "is" and found.classes is None:
        raise InputError(f"--metrics {spec}: IS needs a network with classes (panns, ast)")
    name = "FD" if kind == "fad" and by in ("passt", "panns", "ast") else NAMES[kind]
    return FieldMetric(f"{name}-{found.name}", kind, found)
