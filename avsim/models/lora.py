"""Low-rank adapters (LoRA, 2106.09685) on a joint model's video transformer, by peft."""

from dataclasses import asdict, dataclass, replace
from typing import Any

from avsim.errors import InputError
from avsim.models.joint import JointDiT
from avsim.models.joint_transformer import JointTransformer

# The attention projections of diffusers' transformers, and of avsim's own video stream.
TARGET_MODULES = ("to_q", "to_k", "to_v", "to_out.0")
OWN_TARGET_MODULES = ("streams.video.qkv", "streams.video.out")


@dataclass(frozen=True)
class LoRA:
    """The adapters' rank and layers.

    Raises:
        InputError: a rank or scale that is not positive.
    """

    rank: int = 16
    alpha: float | None = None  # the update is scaled by alpha / rank; None: by 1
    targets: tuple[str, ...] | None = None  # suffixes of linear layers' names; None: attention projections

    def __post_init__(self) -> None:
        if self.rank < 1 or (self.alpha is not None and not self.alpha > 0):
            raise InputError(f"LoRA of rank {self.rank} and alpha {self.alpha}: both must be positive")
        if self.targets is not None:
            object.__setattr__(self, "targets", tuple(self.targets))  # json has lists

    def plain(self) -> dict[str, Any]:
        """As plain data."""
        return {**asdict(self), "targets": None if self.targets is None else list(self.targets)}


def is_lora(name: str) -> bool:
    """Whether a weight's name is of an adapter."""
    return ".lora_" in name


def add_lora(model: JointTransformer, lora: LoRA) -> None:
    """Freeze the video transformer and add adapters, whose output starts at zero.

    Raises:
        InputError: peft is not installed, or no layer of the transformer matches a target.
    """
    try:
        from peft import LoraConfig, inject_adapter_in_model
    except ImportError as error:
        raise InputError("LoRA needs `pip install avsim[pretrained]`, which brings peft") from error
    transformer = model.video.transformer
    targets = lora.targets or (OWN_TARGET_MODULES if isinstance(transformer, JointDiT) else TARGET_MODULES)
    lora = replace(lora, targets=targets)
    alpha = lora.rank if lora.alpha is None else lora.alpha
    config = LoraConfig(r=lora.rank, lora_alpha=alpha, target_modules=list(targets))  # type: ignore[arg-type]
    model.freeze_video()
    try:
        inject_adapter_in_model(config, transformer)
    except ValueError as error:
        raise InputError(
            f"LoRA targets {', '.join(targets)}: no such layers in {type(transformer).__name__}"
        ) from error
    for name, weight in transformer.named_parameters():
        weight.requires_grad_(is_lora(name))
    model.lora = lora
