"""Lightning's `predict`: prompts -> clips -> the stem of every region."""

from __future__ import annotations

from lightning.pytorch import LightningModule
from torch import nn

from avsim import separation
from avsim.diffusion import Guidance
from avsim.diffusion.generate import STEPS
from avsim.simulator.datamodule import Prompts
from avsim.simulator.loading import load
from avsim.simulator.samples import Sample


class SimulatorSystem(LightningModule):
    """Generates a clip for each prompt and, with a separator, finds its regions and separates them.

    Args:
        simulator: a run's folder (or its `simulator` folder) with the generator and the codecs;
            "small": the bundled model.
        separator: the separator's own folder; None: that of `simulator`, if it has one.
        seconds: length of the clips; that of the training clips by default.
        steps: of the sampler.
        guidance: text guidance scale, or a `Guidance`; None: the defaults.
        regions: number of regions to find in each clip; None: it is estimated.
    """

    def __init__(
        self,
        simulator: str = "small",
        separator: str | None = None,
        seconds: float | None = None,
        steps: int = STEPS,
        guidance: float | Guidance | None = None,
        regions: int | None = None,
    ) -> None:
        super().__init__()
        self.simulator = load(simulator, separator)
        self.models = nn.ModuleDict(self.simulator.parts())  # so that Lightning moves them to its devices
        self.seconds, self.steps, self.guidance, self.regions = seconds, steps, guidance, regions

    def predict_step(self, batch: Prompts, batch_index: int) -> list[Sample]:
        """Generate the clips of a batch and separate their audio."""
        clips = self.simulator.batch(
            batch.captions, self.seconds, batch.seed, steps=self.steps, guidance=self.guidance
        )
        samples = []
        for row, (caption, clip) in enumerate(zip(batch.captions, clips, strict=True)):
            stems = None
            if self.simulator.separator is not None:
                regions = separation.find_regions(self.simulator.separator, clip, self.regions)
                stems = self.simulator.separate(clip, regions)
            samples.append(Sample(clip, caption, batch.seed + row, "joint", stems))
        return samples
