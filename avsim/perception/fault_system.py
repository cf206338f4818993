"""Training of the fault detector on clips of the world with faults, half of them through a video codec."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torchmetrics.classification import BinaryAUROC

from avsim.perception.fault_detector import FaultDetector, FaultPrediction, pooled
from avsim.perception.fault_samples import FaultBatch, cell_change
from avsim.perception.system import _DetectorSystem
from avsim.perception.video_detector import VideoDetector
from avsim.training.optimizers import Recipe
from avsim.weights import load_model, part_folder

VISIBLE, UNSEEN = 0.03, 0.01  # change of a cell from which on a fault is seen, and below which it is not
ALARMS = 0.02  # share of true frames that may reach the threshold
CODED = 2  # one clip in so many goes through the codec
HEDGED = 0.5  # of the clips through the codec: latents as an unsure generator draws them
FEW = 0.1  # standard deviation up to which noise on latents is the codec's and no fault


class FaultSystem(_DetectorSystem):
    """Trains a `FaultDetector`.

    Args:
        model: what is trained.
        recipe: its optimizer and schedule.
        seed: from which all random numbers derive, with the step and the row.
        codecs: a run with a video codec, through which half of the clips go; None: no clips do.
        weights: of the loss's parts, where they aren't 1.
        detector: a run of the video detector that the model keeps and begins from; None: as it is.
        length: frames of a training stretch.
    """

    name, codec = "fault_detector", "video_codec"
    model: FaultDetector  # type: ignore[assignment]

    def __init__(
        self,
        model: FaultDetector,
        recipe: Recipe | None = None,
        seed: int = 0,
        codecs: str | None = None,
        weights: dict[str, float] | None = None,
        detector: str | None = None,
        length: int = 8,
    ) -> None:
        super().__init__(model, recipe, seed, codecs, weights)  # type: ignore[arg-type]
        self.length = length
        if detector is not None:
            model.start_from(load_model(part_folder(detector, "video_detector"), expected=VideoDetector))
        self.aurocs: Any = torch.nn.ModuleDict({name: BinaryAUROC() for name in ("clip", "frame", "cell")})
        self.true_frames: list[Tensor] = []  # probabilities of validation's true frames

    @torch.no_grad()
    def coded(self, batch: FaultBatch, step: int) -> tuple[Tensor, Tensor, Tensor]:
        """Frames, change and kind of a batch, every second clip of it through the codec.

        Some of those are hedged: later latents are smaller or noisy, and what that changes is a fault too.
        """
        assert batch.frames is not None and batch.change is not None and batch.kind is not None
        frames, change, kind = batch.frames, batch.change, batch.kind
        if (codec := self.through[0]) is None:
            return frames, change, kind
        codec = codec.to(self.device)
        frames, change, kind = frames.clone(), change.clone(), kind.clone()
        turn = ((batch.rows + step) % CODED == 0).nonzero().flatten()
        latents = codec.encode(frames[turn])
        drawn, hedged = latents.clone(), torch.zeros(len(turn), dtype=torch.bool)
        for place, row in enumerate(batch.rows[turn].tolist()):
            draws = self.draws(row) if step >= 0 else torch.Generator().manual_seed(row)
            hedge, size, noise = torch.rand(3, generator=draws).tolist()
            hedged[place] = hedge < HEDGED
            scale = 0.3 + 0.6 * size if hedged[place] else 0.96 + 0.08 * size
            deviation = 0.3 * noise**2 if hedged[place] else FEW * noise**2
            drawn[place, :, 1:] *= scale
            drawn[place] += deviation * torch.randn(drawn[place].shape, generator=draws).to(drawn)
        made = codec.decode(drawn, batch.spec).to(frames)
        if hedged.any():
            rate, grid, rows = batch.spec.frames_per_second, self.model.grid, turn[hedged.to(turn.device)]
            as_it_was = codec.decode(latents[hedged], batch.spec).to(frames)
            own = cell_change(made[hedged], as_it_was, rate, grid)
            change[rows] = torch.maximum(change[rows], own.to(change))
            kind[rows] = -1  # of several
        frames[turn] = made
        return frames, change, kind

    def training_step(self, batch: FaultBatch, batch_index: int) -> Tensor:
        """A stretch of each clip, beside the frame 0 and the median of all of it."""
        frames, change, kind = self.coded(batch, self.global_step)
        seen = self.model.grid.resample_video(frames, batch.spec.frames_per_second)
        first, median = seen[:, :, :1], seen.median(2, keepdim=True).values
        length, starts = min(self.length, seen.shape[2]), []
        for row in batch.rows.tolist():
            draws = self.draws(row + 10**6)
            late = int(torch.randint(-4, seen.shape[2] - length + 1, (), generator=draws))
            starts.append(max(0, late))
        cut = torch.stack([each[:, k : k + length] for each, k in zip(seen, starts, strict=True)])
        changed = torch.stack([each[k : k + length] for each, k in zip(change, starts, strict=True)])
        return self.total(fault_losses(self.model(cut, first, median), changed, kind), batch)

    def validation_step(self, batch: FaultBatch, batch_index: int) -> None:
        """Whole clips, every second one through the codec."""
        frames, change, kind = self.coded(batch, -1)
        predicted = self.model(self.model.grid.resample_video(frames, batch.spec.frames_per_second))
        losses = fault_losses(predicted, change, kind)
        self.log_dict(
            {f"val/loss/{name}": value for name, value in losses.items()}, batch_size=len(batch.names)
        )
        for name, logits, state in _judged(predicted, change):
            self.aurocs[name].update(logits[state >= 0].sigmoid(), state[state >= 0])
        self.true_frames.append(predicted.frame.float().sigmoid()[frame_state(change) == 0])
        there = (cell_state(change) == 1) & (kind >= 0)[:, None, None, None]
        right = predicted.kind.argmax(-1) == kind[:, None, None, None]
        self.gather("kind/accuracy", right[there])

    test_step = validation_step  # type: ignore[assignment]

    def on_validation_epoch_end(self) -> None:  # noqa: D102
        for name, auroc in self.aurocs.items():
            self.gather(f"{name}/auroc", auroc.compute().reshape(1))
            auroc.reset()
        true = torch.cat(self.true_frames) if self.true_frames else torch.zeros(0)
        if len(true):
            self.model.frame_threshold.fill_(float(true.quantile(1 - ALARMS)))
        self.true_frames.clear()
        self.conclude({})

    on_test_epoch_end = on_validation_epoch_end


def cell_state(change: Tensor) -> Tensor:
    """1 where a fault is seen, 0 where none is, -1 in between."""
    return (change >= VISIBLE).long() - ((change < VISIBLE) & (change >= UNSEEN)).long()


def frame_state(change: Tensor) -> Tensor:
    """As `cell_state`, of whole frames, (B, T, h, w) -> (B, T)."""
    return cell_state(change.amax((-2, -1)))


def _judged(predicted: FaultPrediction, change: Tensor) -> list[tuple[str, Tensor, Tensor]]:
    """Logits and states of clips, frames and cells, by name."""
    frame = frame_state(change)
    clip = cell_state(change.amax((1, 2, 3)))
    return [
        ("clip", pooled(predicted.frame), clip),
        ("frame", predicted.frame, frame),
        ("cell", predicted.cell, cell_state(change)),
    ]


def fault_losses(predicted: FaultPrediction, change: Tensor, kind: Tensor) -> dict[str, Tensor]:
    """The parts of the loss: cross-entropy of cells, frames, clips, and of the kind where there is a fault.

    A fault is few cells: those count as much as all others.
    """
    parts: dict[str, Any] = {}
    for name, logits, state in _judged(predicted, change):
        lost = F.binary_cross_entropy_with_logits(logits.float(), (state == 1).float(), reduction="none")
        if name == "cell":
            faulty, clean = (lost[state == k].sum() / (state == k).sum().clamp(min=1) for k in (1, 0))
            parts[name] = 0.3 * faulty + 0.7 * clean
        else:
            parts[name] = (lost * (state >= 0)).sum() / (state >= 0).sum().clamp(min=1)
    there = (cell_state(change) == 1) & (kind >= 0)[:, None, None, None]
    of = kind[:, None, None, None].expand_as(there)[there]
    logits = predicted.kind[there].float()
    parts["kind"] = F.cross_entropy(logits, of) if len(of) else predicted.kind.sum() * 0.0
    return parts
