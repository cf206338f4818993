"""Published video models -> what a generator needs: transformer, text encoder, timestep shift, codec.

A pipeline of diffusers is a folder, local or on the hub, with `transformer`, `vae`, `text_encoder`,
`tokenizer` and `scheduler`. A run of avsim's own holds a generator and its video codec.
"""

import json
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from avsim.errors import InputError, first_line_of
from avsim.models.backbone import VideoBackbone, as_backbone
from avsim.models.backbones import ADAPTERS, REFUSED, adapter_of
from avsim.models.importing import import_codec
from avsim.models.joint import JointDiT
from avsim.models.joint_folder import load_transformer
from avsim.weights import CONFIG, build, load_model, notes_of, part_folder

HUB = re.compile(r"[\w.-]+/[\w.-]+(@[\w.-]+)?")  # a model's name there, and a revision
FILES = ["*.json", "*.safetensors", "*.model", "*.txt"]  # data only: no code, no pickles
SPECS = {  # the defaults of the diffusers pipelines
    "WanTransformer3DModel": {"seconds": 5.0625, "height": 480, "width": 832, "frames_per_second": 16.0},
    "Wan 2.2": {"seconds": 121 / 24, "height": 704, "width": 1280, "frames_per_second": 24.0},
    "LTXVideoTransformer3DModel": {
        "seconds": 161 / 25,
        "height": 512,
        "width": 704,
        "frames_per_second": 25.0,
    },
}
TEXT_LENGTHS = {"WanTransformer3DModel": 512, "LTXVideoTransformer3DModel": 128}  # of the pipelines


@dataclass(frozen=True, eq=False)
class VideoModel:
    """A video transformer and what was published with it."""

    backbone: VideoBackbone
    video_codec: nn.Module | None
    text_config: dict[str, Any] | None  # of the text encoder, for `build`
    text_length: int
    shift: float  # of timesteps
    spec: dict[str, float]  # the known fields of the `ClipSpec` of its training clips
    source: Path | None  # the folder with the transformer's files


def load_video_model(name: str, text: str | None = None, text_length: int | None = None) -> VideoModel:
    """A video model by the name of a local folder or a pipeline on the hub.

    Args:
        name: the folder of a pipeline, of a transformer alone, or of a run of avsim's own; or a hub name.
        text: the folder of a text encoder that `avsim import --part text` wrote; None: the pipeline's own.
        text_length: tokens to which every text is padded; None: the pipeline's default.

    Raises:
        InputError: no such model, one without a transformer, or of an architecture that isn't known.
    """
    folder = _folder_of(name)
    own = next((each for each in (folder, folder / "generator", folder / "simulator/generator")
                if (each / CONFIG).is_file() and "class_path" in _json(each / CONFIG)), None)  # fmt: skip
    if own is not None:
        return _own(folder, own)
    index = _json(folder / "model_index.json") if (folder / "model_index.json").is_file() else {}
    place = folder / "transformer" if (folder / "transformer").is_dir() else folder
    if index.get("transformer_2", [None])[0] is not None:
        raise InputError(
            f"{name}: has two transformers, for high and low noise; only a single one is supported"
        )
    if not (place / CONFIG).is_file():
        raise InputError(f"{name}: no transformer here; expected a folder with transformer/{CONFIG}")
    architecture = _json(place / CONFIG).get("_class_name")
    if architecture in REFUSED:
        raise InputError(f"{name}: {architecture} can't be used: {REFUSED[architecture]}")
    if architecture not in ADAPTERS:
        raise InputError(
            f"{name}: {architecture} is no known video transformer; known are {', '.join(ADAPTERS)}"
        )
    transformer = load_transformer(place, architecture)
    adapter: Any = adapter_of(type(transformer))
    one_level = architecture == "WanTransformer3DModel" and not index.get("expand_timesteps", False)
    length = text_length or TEXT_LENGTHS.get(architecture, 256)
    return VideoModel(
        backbone=adapter(transformer, levels="clip" if one_level else "token"),
        video_codec=import_codec(str(folder), "video_codec") if (folder / "vae").is_dir() else None,
        text_config=_text_config(folder, text, length),
        text_length=length,
        shift=_shift(folder / "scheduler" / "scheduler_config.json"),
        spec=SPECS["Wan 2.2" if architecture == "WanTransformer3DModel" and not one_level else architecture],
        source=place,
    )


@torch.no_grad()
def empty_text(model: VideoModel) -> Tensor | None:
    """Embeddings (S, E) of the empty caption; None where there is no text encoder.

    Raises:
        InputError: a text encoder of another width than the transformer takes.
    """
    own = getattr(getattr(model.backbone, "transformer", None), "text", None)
    encoder = own if model.text_config is None else build(model.text_config)
    if encoder is None:
        return None
    if encoder.width != model.backbone.text_width:
        raise InputError(
            f"the text encoder's embeddings are {encoder.width} wide; the video transformer takes "
            f"{model.backbone.text_width}"
        )
    text, present = encoder([""])
    return text[0][present[0]]


def _own(folder: Path, own: Path) -> VideoModel:
    """The video half of avsim's own generator, in a run's or model's folder."""
    transformer = load_model(own, expected=JointDiT)
    codec = load_model(part_folder(folder, "video_codec"))
    length, shift = transformer.text.length, transformer.shifts.video
    spec = notes_of(own).get("spec", {})
    known = {name: spec[name] for name in SPECS["Wan 2.2"] if name in spec}
    return VideoModel(as_backbone(transformer), codec, None, length, shift, known, None)


def _folder_of(name: str) -> Path:
    from avsim.weights import SMALL

    path = SMALL if name == "small" and not Path(name).is_dir() else Path(name)
    if path.is_dir():
        return path
    if not HUB.fullmatch(name) or path.parent.exists():
        raise InputError(f"{name}: no such folder; expected a pipeline's, or owner/name on the hub")
    return from_hub(name, FILES)


def from_hub(name: str, files: list[str]) -> Path:
    """The folder of a model's `files`, as patterns of their names, downloaded once.

    Raises:
        InputError: huggingface_hub isn't installed, there is no such model, or the hub can't be reached.
    """
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise InputError(
            f"{name}: no such folder; models on the hub need `pip install huggingface_hub`"
        ) from error
    repo, _, revision = name.partition("@")
    try:
        return Path(snapshot_download(repo, revision=revision or None, allow_patterns=files))
    except Exception as error:  # the hub's exceptions come from several packages
        reason = first_line_of(error)
        raise InputError(f"{name}: no such folder here, and no download from the hub ({reason})") from error


def _text_config(folder: Path, text: str | None, length: int) -> dict[str, Any] | None:
    if text is not None:
        config = _json(part_folder(text, "text") / CONFIG)
        arguments = {**config["init_args"], "length": length}
        return {"class_path": config["class_path"], "init_args": arguments}
    if not (folder / "text_encoder").is_dir():
        return None
    arguments = {
        "name": str(folder.resolve()),
        "length": length,
        "subfolder": "text_encoder",
        "tokenizer_subfolder": "tokenizer",
    }
    return {"class_path": "avsim.models.text.PretrainedEncoder", "init_args": arguments}


def _shift(path: Path) -> float:
    """The timestep shift of a scheduler's config: fixed, or the middle of a dynamic one's range."""
    config = _json(path) if path.is_file() else {}
    if config.get("use_dynamic_shifting"):
        return math.exp((config.get("base_shift", 0.5) + config.get("max_shift", 1.15)) / 2)
    return float(config.get("flow_shift") or config.get("shift") or 1.0)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid json ({error})") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: holds a {type(found).__name__}; expected an object")
    return found
