"""Joint models <-> folders.

    config.json          the architectures, as plain data
    model.safetensors    audio tower, fusion and, where there is one, the LoRA of the video transformer
    transformer/         the video transformer in its own library's format; diffusers alone can load it

Nothing is pickled, only known classes are imported, and Lightning is not needed.
"""

import json
import os
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import nn

from avsim.errors import InputError, first_line_of
from avsim.files import atomic
from avsim.models.audio_tower import AudioTower
from avsim.models.backbones import ADAPTERS, adapter_of
from avsim.models.fusion import CrossAttentionFusion
from avsim.models.joint_transformer import JointTransformer
from avsim.models.lora import LoRA, add_lora, is_lora
from avsim.weights import CONFIG, FORMAT, TENSORS, hash_of, load_model, save_model

TRANSFORMER = "transformer"  # subfolder
BASE = "video.transformer."  # prefix of its weights' names in a joint model


def describe(model: JointTransformer) -> dict[str, Any]:
    """The config of a joint model, as plain data.

    Raises:
        InputError: a video model without an adapter.
    """
    transformer = getattr(model.video, "transformer", None)
    if transformer is None or adapter_of(type(transformer)) is not type(model.video):
        raise InputError(
            f"{type(model.video).__name__} can't be saved; models that can are {', '.join(ADAPTERS)}"
        )
    tower, fusions = model.audio, list(model.fusion.items())
    first: Any = fusions[0][1] if fusions else None
    lora = getattr(model, "lora", None)
    return {
        "format": FORMAT,
        "class_path": f"{type(model).__module__}.{type(model).__qualname__}",
        "architecture": type(transformer).__name__,
        "levels": model.video.levels,
        "audio": {
            "channels": tower.channels,
            "text_width": tower.text_width,
            "width": tower.width,
            "depth": tower.depth,
            "heads": tower.width // tower.head_width,
            "patch": tower.patch,
            "mlp_ratio": tower.mlp_ratio,
        },
        "fusion": {
            "blocks": [int(index) for index, _ in fusions],
            "to_video": first is not None and first.to_video is not None,
            "to_audio": first is not None and first.to_audio is not None,
        },
        "lora": None if lora is None else lora.plain(),
    }


def save_joint(
    model: JointTransformer,
    folder: str | Path,
    notes: dict[str, Any] | None = None,
    files: Mapping[str, Callable[[Path], Any]] | None = None,
    **more: Any,
) -> Path:
    """Write a joint model to `folder`, atomically; `notes` and `more` go to config.json.

    `files`: further files, by name, each with a function that writes it. A frozen video transformer that was
    loaded from a folder is linked or copied from there.

    Raises:
        InputError: a video model without an adapter, or a folder that can't be written.
    """
    config = describe(model)
    added = {
        name: value.detach().cpu().contiguous().clone()
        for name, value in model.state_dict().items()
        if not name.startswith(BASE) or is_lora(name)
    }
    with atomic(folder) as temporary:
        temporary.mkdir()
        _save_transformer(model, temporary / TRANSFORMER)
        save_file(added, temporary / TENSORS)
        for name, write in (files or {}).items():
            write(temporary / name)
        config |= {**more, "notes": notes or {}, "sha256": hash_of(temporary / TENSORS)}
        (temporary / CONFIG).write_text(json.dumps(config, indent=2))
    return Path(folder)


def _save_transformer(model: JointTransformer, folder: Path) -> None:
    transformer: Any = model.video.transformer
    source: Path | None = getattr(model, "video_source", None)
    own = [(name, weight) for name, weight in transformer.named_parameters() if not is_lora(name)]
    if source is not None and source.is_dir() and not any(weight.requires_grad for _, weight in own):
        shutil.copytree(source, folder, copy_function=_linked)
    elif not hasattr(transformer, "save_pretrained"):
        save_model(transformer, folder)
    elif any(is_lora(name) for name, _ in transformer.named_parameters()):
        folder.mkdir()
        transformer.save_config(folder)
        base = {
            name.replace(".base_layer.", "."): value.detach().cpu().contiguous().clone()
            for name, value in transformer.state_dict().items()
            if not is_lora(name)
        }
        save_file(base, folder / "diffusion_pytorch_model.safetensors", {"format": "pt"})
    else:
        transformer.save_pretrained(folder)


def _linked(source: str, target: str) -> None:
    """A hard link, to save space; a copy where links aren't supported."""
    try:
        os.link(os.path.realpath(source), target)
    except OSError:
        shutil.copy2(source, target)


def read_config(folder: str | Path) -> dict[str, Any]:
    """The config of a joint model's folder.

    Raises:
        InputError: no such folder, a damaged file, or an architecture that isn't known.
    """
    path = Path(folder) / CONFIG
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{folder}: no {CONFIG} of a joint model here ({error.strerror})") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not valid json ({error})") from error
    if not isinstance(config, dict) or not isinstance(config.get("architecture"), str):
        raise InputError(f"{path}: describes no joint model (architecture is missing)")
    if config["architecture"] not in ADAPTERS:
        raise InputError(
            f"{path}: architecture {config['architecture']!r:.80} is not known; known are "
            f"{', '.join(ADAPTERS)}"
        )
    return config


def load_joint(folder: str | Path, device: str | torch.device = "cpu") -> JointTransformer:
    """The joint model of a folder, in evaluation mode.

    Raises:
        InputError: a folder or file is missing or damaged, an unknown architecture, or tensors of other
            shapes than the config describes; shapes are checked before memory is allocated.
    """
    folder = Path(folder)
    config = read_config(folder)
    shapes = dict(_shapes([folder / TENSORS]))
    source = folder / TRANSFORMER
    transformer = _meta_transformer(source, config["architecture"])
    with torch.device("meta"):
        planned = _built(folder, config, transformer)
    own = {name: tuple(value.shape) for name, value in planned.state_dict().items()}
    added = {name: shape for name, shape in own.items() if not name.startswith(BASE) or is_lora(name)}
    _compare(added, {name: shape for name, (shape, _) in shapes.items()}, folder / TENSORS)
    if (expected := config.get("sha256")) is not None and expected != hash_of(folder / TENSORS):
        raise InputError(
            f"{folder / TENSORS}: not the file that {CONFIG} describes; it was changed or cut short"
        )
    model = _built(folder, config, load_transformer(source, config["architecture"]))
    model.load_state_dict(load_file(folder / TENSORS), strict=False)
    model.video_source = source
    return model.eval().to(device)


def load_transformer(folder: Path, architecture: str) -> nn.Module:
    """A video transformer of a local folder, loaded by its own library in the dtypes of its files.

    Raises:
        InputError: no such model there, or tensors of other shapes than its config describes.
    """
    if architecture == "JointDiT":
        return load_model(folder)
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise InputError(f"{folder}: no safetensors file of the video transformer here")
    shapes = dict(_shapes(files))
    planned = _meta_transformer(folder, architecture)
    own = {name: tuple(value.shape) for name, value in planned.state_dict().items()}
    _compare(own, {name: shape for name, (shape, _) in shapes.items()}, folder)
    try:
        transformer = _diffusers_class(architecture).from_pretrained(str(folder), use_safetensors=True)
    except (OSError, ValueError, RuntimeError) as error:
        first = first_line_of(error)
        raise InputError(f"{folder}: no {architecture} can be loaded from here ({first})") from error
    for name, weight in transformer.named_parameters():
        weight.data = weight.data.to(shapes[name][1])
    return transformer.eval()


def _meta_transformer(folder: Path, architecture: str) -> nn.Module:
    """The transformer that a folder's config describes, on the meta device."""
    if architecture == "JointDiT":
        return load_model(folder)  # small; load_model compares the shapes
    cls = _diffusers_class(architecture)
    try:
        config = cls.load_config(str(folder), local_files_only=True)
        with torch.device("meta"):
            return cls.from_config(config)
    except (OSError, ValueError, TypeError, RuntimeError, ArithmeticError) as error:
        first = first_line_of(error)
        raise InputError(f"{folder}: no config of a {architecture} ({first})") from error


def _diffusers_class(architecture: str) -> Any:
    try:
        import diffusers
    except ImportError as error:
        raise InputError(f"{architecture} needs `pip install avsim[pretrained]` ({error})") from error
    return getattr(diffusers, architecture)


def _built(folder: Path, config: dict[str, Any], transformer: nn.Module) -> JointTransformer:
    """The joint model of a config around a transformer; tower and fusion have random weights."""
    try:
        video = adapter_of(type(transformer))(transformer)
        video.levels = config["levels"]
        tower = AudioTower(**config["audio"])
        about = config["fusion"]
        flags = bool(about["to_video"]), bool(about["to_audio"])
        widths = video.width, tower.width, tower.head_width
        fusion = {int(index): CrossAttentionFusion(*widths, *flags) for index in about["blocks"]}
        model = JointTransformer(video, tower, fusion)
        if config.get("lora") is not None:
            add_lora(model, LoRA(**config["lora"]))
    except InputError as error:
        raise InputError(f"{folder / CONFIG}: {error}") from error
    except (TypeError, ValueError, LookupError, AttributeError, RuntimeError, ArithmeticError) as error:
        raise InputError(f"{folder / CONFIG}: no joint model can be built from it ({error})") from error
    return model


def _shapes(files: list[Path]) -> Iterator[tuple[str, tuple[tuple[int, ...], torch.dtype]]]:
    """Names, shapes and dtypes of the tensors in files, without reading the tensors."""
    for path in files:
        try:
            with safe_open(path, "pt") as file:
                for name in file.keys():  # noqa: SIM118
                    part = file.get_slice(name)
                    yield name, (tuple(part.get_shape()), _DTYPES[part.get_dtype()])
        except (SafetensorError, OSError, KeyError) as error:
            raise InputError(f"{path}: can't be read as safetensors ({error})") from error


_DTYPES = {"F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}


def _compare(own: dict[str, tuple[int, ...]], stored: dict[str, tuple[int, ...]], place: Path) -> None:
    for name in [*own, *stored]:
        if own.get(name) != stored.get(name):
            one, other = (sizes.get(name, "absent") for sizes in (own, stored))
            raise InputError(
                f"{place}: not the weights of this architecture ({name} is {one} by {CONFIG}, "
                f"{other} in the file)"
            )
