"""A clip of the synthetic world with what is known of it, for its card."""

from __future__ import annotations

import torch

from avsim.clip import Clip, Region, Stems
from avsim.perception.ground_truth import events, onsets
from avsim.report.card import Shown
from avsim.report.findings import Findings, Mark
from avsim.world import Truth


def shown_truth(clip: Clip, truth: Truth, label: str = "") -> Shown:
    """Its true events and onsets, and the true stem of each thing; the rest is off screen."""
    seen = [_mark(each.what.seconds, each.what.kind, each.what.material) for each in events(truth, clip.spec)]
    heard = [
        _mark(each.what.seconds, each.what.kind, each.what.material)
        for each in onsets(truth, clip.sample_rate)
        if each.clear
    ]
    shown = [k for k, mask in enumerate(truth.masks) if mask.any()]
    regions = [Region(truth.masks[k].clamp(0, 1), truth.things[k].name) for k in shown]
    waves = [truth.stems[truth.things[k].name] for k in shown]
    assert clip.wave is not None
    rest = clip.wave - torch.stack(waves).sum(0) if waves else clip.wave
    stems = Stems(torch.stack([*waves, rest]), regions, clip.sample_rate)
    return Shown(clip, truth.caption, {}, Findings((), seen, heard), stems, label=label)


def _mark(seconds: float, kind: str, material: str) -> Mark:
    return Mark(seconds, " ".join(filter(None, (material, kind))))
