"""Training of an audio tower beside a pretrained video transformer under Lightning."""

from pathlib import Path
from typing import Any, Literal

from avsim.data.batch import LatentBatch
from avsim.diffusion.system import GeneratorSystem
from avsim.errors import InputError
from avsim.models.joint_generator import JointGenerator
from avsim.models.lora import LoRA, add_lora
from avsim.training.optimizers import configure
from avsim.weights import CONFIG, load_model, part_folder

VideoMode = Literal["freeze", "lora", "full"]


class AddAudioSystem(GeneratorSystem):
    """Trains what `avsim add-audio` added to a video transformer, on latents with text embeddings.

    Args:
        base: the folder that `avsim add-audio` wrote, or a run to continue from (`--init` of `avsim fit`).
        video: what is trained in the video transformer: "freeze" nothing, "lora" adapters, "full" all of it.
        lora: the adapters' rank and target layers.
        fusion_learning_rate: of the fusion; None: the recipe's, which is that of the audio tower.
        video_learning_rate: of the video transformer or its adapters; None: the recipe's.
        gradient_checkpointing: recompute blocks in the backward pass, to save memory.
        **settings: as `GeneratorSystem`'s, except for its model. The codecs are by default those of `base`.

    Raises:
        InputError: no such model, adapters that don't fit, or noise levels that vary within a clip for a
            video transformer that has one level per clip.
    """

    def __init__(
        self,
        base: str | None = None,
        video: VideoMode = "freeze",
        lora: LoRA = LoRA(),  # noqa: B008  # frozen
        fusion_learning_rate: float | None = None,
        video_learning_rate: float | None = None,
        gradient_checkpointing: bool = False,
        **settings: Any,
    ) -> None:
        if base is None:
            raise InputError("no model to train: give the folder that avsim add-audio wrote, --init DIR")
        model = load_model(part_folder(base, "generator"), expected=JointGenerator)
        for part in ("video_codec", "audio_codec"):  # of a model's folder, or of a run
            folders = (Path(base) / part, Path(base) / "simulator" / part)
            if settings.get(part) is None:
                settings[part] = next((str(each) for each in folders if (each / CONFIG).is_file()), None)
        super().__init__(model.train(), **settings)
        joint = model.joint
        if video == "full":
            if joint.lora is not None:
                raise InputError(f"{base}: has LoRA adapters; train these (video: lora), not the whole model")
            joint.video.requires_grad_(True)
            joint.video_frozen = False
        elif video == "lora":
            if joint.lora is None:
                add_lora(joint, lora)
        else:
            joint.freeze_video()
        joint.train()
        if gradient_checkpointing:
            joint.enable_gradient_checkpointing()
        if model.levels == "clip" and self.levels.temporal_share > 0:
            raise InputError(
                f"{base}: its video transformer takes one noise level per clip; set "
                "--model.init_args.levels.temporal_share 0 (animate and extend need several: they won't work)"
            )
        self.base = base
        self.rates = {"joint.fusion.": fusion_learning_rate, "joint.video.": video_learning_rate}

    def configure_optimizers(self) -> Any:
        """The recipe's optimizer and schedule, with the learning rates of the parts."""
        rates = {start: rate for start, rate in self.rates.items() if rate is not None}
        return configure(self.model, self.recipe, int(self.trainer.estimated_stepping_batches), rates)

    def on_before_batch_transfer(self, batch: Any, dataloader_idx: int) -> Any:
        """The batch, with its embeddings: the text encoder never runs in a training step.

        Raises:
            InputError: latents without text embeddings, or embeddings of another width.
        """
        if isinstance(batch, LatentBatch):
            width = self.model.joint.audio.text_width
            if batch.text is None or not batch.text.is_floating_point():
                raise InputError(
                    "these latents have no text embeddings; encode the clips with avsim encode --model DIR"
                )
            if batch.text.shape[2] != width:
                raise InputError(
                    f"text embeddings are {batch.text.shape[2]} wide; the video transformer takes {width}"
                )
        return batch
