"""Losses of the detectors, in float32; each part is a mean over its labeled cells or columns."""

import torch
import torch.nn.functional as F
from torch import Tensor

from avsim.perception.audio_detector import AudioPrediction
from avsim.perception.labels import Labels
from avsim.perception.video_detector import VideoPrediction

HOT = 0.2  # of a heat: from here on what is labeled at a moment or middle is labeled
UNLIKELY = 4.0  # power of the doubt about cells near a peak


def heat_loss(logits: Tensor, heat: Tensor) -> Tensor:
    """The focal loss of Objects as Points (1904.07850, equation 1), per peak; nothing is labeled below 0.

    -(1 - p)^2 log p  where h = 1,    -(1 - h)^4 p^2 log(1 - p)  elsewhere
    """
    logits, heat = logits.float(), heat.float()
    p, peak = logits.sigmoid(), heat == 1
    right = (1 - p).square() * F.softplus(-logits)  # -log p
    wrong = (1 - heat).clamp(0, 1) ** UNLIKELY * p.square() * F.softplus(logits)  # -log(1 - p)
    lost = torch.where(peak, right, wrong) * (heat >= 0)
    return lost.sum() / peak.sum().clamp(min=1)


def video_losses(predicted: VideoPrediction, labels: Labels) -> dict[str, Tensor]:
    """The parts of a video detector's loss.

    A thing's attributes are trained around its middle, where they are read: a small one counts as much as a
    large one. Every cell also has its own kind.
    """
    kind, hot = labels.kind.long(), labels.event > HOT
    there, middles = kind > 0, labels.centre > HOT
    own = there & middles
    return {
        "centre": heat_loss(predicted.centre, labels.centre),
        "event": heat_loss(predicted.event, labels.event),
        "kind": _named(predicted.kind, kind, own),
        "cells": 0.5 * (_named(predicted.kind, kind, there) + _named(predicted.kind, kind, ~there)),
        "material": _named(predicted.material, labels.material.long(), own),
        "colour": _named(predicted.colour, labels.colour.long(), own),
        "size": _near(predicted.size, labels.size, middles),
        "moment": _near(predicted.moment, labels.moment, hot),
        "speed": _near(predicted.speed, labels.speed, hot & labels.speed.isfinite()),
        "place": F.cross_entropy(predicted.place.float(), labels.place.long()),
    }


def audio_losses(predicted: AudioPrediction, labels: Labels) -> dict[str, Tensor]:
    """The parts of the audio detector's loss."""
    hot = labels.onset > HOT
    known = hot & (labels.onset_kind > 0)  # what sounds off screen is nothing's
    return {
        "onset": heat_loss(predicted.onset, labels.onset),
        "level": _near(predicted.level / 10, labels.level / 10, hot),
        "kind": _named(predicted.kind, labels.onset_kind.long(), known),
        "material": _named(predicted.material, labels.onset_material.long(), known),
        "kinds": F.binary_cross_entropy_with_logits(predicted.kinds.float(), labels.kinds.float()) * 10,
        "materials": F.binary_cross_entropy_with_logits(predicted.materials.float(), labels.materials.float())
        * 4,
        "place": F.cross_entropy(predicted.place.float(), labels.place.long()),
        "decay": F.smooth_l1_loss(predicted.decay.float(), labels.decay.float()),
    }


def _named(logits: Tensor, numbers: Tensor, labeled: Tensor) -> Tensor:
    """Mean cross-entropy of (..., K) where it is labeled; 0 where nothing is."""
    lost = F.cross_entropy(logits[labeled].float(), numbers[labeled], reduction="sum")
    return lost / labeled.sum().clamp(min=1)


def _near(values: Tensor, truth: Tensor, labeled: Tensor) -> Tensor:
    """Mean smooth L1 where it is labeled; 0 where nothing is."""
    lost = F.smooth_l1_loss(values[labeled].float(), truth[labeled].float(), reduction="sum", beta=0.25)
    return lost / labeled.sum().clamp(min=1)
