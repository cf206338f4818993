"""A run's folder -> a `Simulator`."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from avsim import weights
from avsim.clip import ClipSpec
from avsim.diffusion import JointDiT
from avsim.errors import InputError
from avsim.evaluation.ood import OODCheck
from avsim.models.joint_generator import JointGenerator
from avsim.models.pipelines import HUB, from_hub
from avsim.perception.audio_detector import AudioDetector
from avsim.perception.sync import SyncModel
from avsim.perception.video_detector import VideoDetector
from avsim.separation.separator import SeparationModel
from avsim.simulator.simulator import Simulator
from avsim.weights import CONFIG, TENSORS, allowing, load_model, notes_of

PARTS: dict[str, type | tuple[type, ...] | None] = {
    "generator": (JointDiT, JointGenerator),
    "student": JointDiT,
    "video_codec": None,  # any class with the methods of codecs.protocol
    "audio_codec": None,
    "separator": SeparationModel,  # a trained one, or a baseline
    "video_detector": VideoDetector,
    "audio_detector": AudioDetector,
    "sync_model": SyncModel,
}


def load(
    name_or_path: str | Path,
    separator: str | Path | None = None,
    device: str | torch.device = "cpu",
    allow_modules: Sequence[str] = (),
) -> Simulator:
    """Load the models of a run.

    Args:
        name_or_path: "small", bundled with the package; a run's folder, or the `simulator` folder in it;
            or a model on the Hugging Face hub, "owner/name" or "owner/name@revision". All parts that
            it has are loaded.
        separator: another such folder, whose separator is used.
        device: of the models.
        allow_modules: your own packages that the models' classes may come from; their code is run.

    Raises:
        InputError: no such folder, no model in it, a class of another package, or weights that don't fit.
    """
    folders = part_folders(name_or_path)
    if separator is not None:
        folders["separator"] = resolve_part(separator, "separator")
    with allowing(allow_modules):
        parts: Any = {name: load_model(folder, device, PARTS[name]) for name, folder in folders.items()}
    _check_channels(name_or_path, parts)
    notes = notes_of(folders["generator"]) if "generator" in folders else {}
    places = notes.get("places") or ()
    if not isinstance(places, list | tuple):
        raise InputError(f"{folders['generator'] / CONFIG}: places is {places!r:.60}; expected a list")
    spec, places = _spec(notes, folders, parts), tuple(map(str, places))
    detector = folders.get("video_detector")
    ood_check = None if detector is None else OODCheck.of(weights.hash_of(detector / TENSORS))
    vocabulary = _vocabulary(notes, folders)
    return Simulator(
        **parts,
        spec=spec,
        source=str(name_or_path),
        places=places,
        ood_check=ood_check,
        vocabulary=vocabulary,
    )


def _check_channels(name_or_path: str | Path, parts: dict[str, Any]) -> None:
    """Refuse codecs whose latents don't fit the generator.

    Raises:
        InputError: a codec with another number of channels.
    """
    if "generator" not in parts:
        return
    for part, channels in zip(("video_codec", "audio_codec"), parts["generator"].channels, strict=True):
        if part in parts and parts[part].channels != channels:
            raise InputError(
                f"{name_or_path}: its {part} has latents of {parts[part].channels} channels; the generator "
                f"takes {channels}"
            )


def _vocabulary(notes: dict[str, Any], folders: dict[str, Path]) -> frozenset[str] | None:
    """The words of the generator's training captions, if its run recorded them."""
    words = notes.get("vocabulary")
    if words is None:
        return None
    if not (isinstance(words, list) and all(isinstance(word, str) for word in words)):
        file = folders["generator"] / CONFIG
        raise InputError(f"{file}: vocabulary is {words!r:.60}; expected a list of words")
    return frozenset(words)


def part_folders(name_or_path: str | Path, *needed: str) -> dict[str, Path]:
    """The folders of the parts that a run exported, by name.

    Raises:
        InputError: no such folder, no part in it, or one that is `needed` is missing.
    """
    path = Path(name_or_path)
    if str(name_or_path) == "small" and not path.is_dir():
        path = weights.SMALL
    if not path.is_dir():
        if not HUB.fullmatch(str(name_or_path)) or path.parent.exists():
            raise InputError(
                f'{path}: no such folder; expected a run, the simulator folder in one, "small", or the '
                "owner/name of a model on the hub"
            )
        path = from_hub(str(name_or_path), ["*.json", "*.safetensors"])
    inside = path / "simulator" if (path / "simulator").is_dir() else path
    found = {name: inside / name for name in PARTS if (inside / name / CONFIG).is_file()}
    if missing := [name for name in needed if name not in found] or ([] if found else ["model"]):
        raise InputError(
            f"{path}: no {' and no '.join(missing)} here; expected a run that exported one to simulator/"
        )
    return found


def resolve_part(name_or_path: str | Path, part: str) -> Path:
    """The folder of one part of a run or model, or that folder itself.

    Raises:
        InputError: as `part_folders`.
    """
    path = Path(name_or_path)
    return path if (path / CONFIG).is_file() else part_folders(name_or_path, part)[part]


def _spec(notes: dict[str, Any], folders: dict[str, Path], parts: dict[str, Any]) -> ClipSpec:
    """The spec of the generator's training clips, as its run recorded it; else the default."""
    spec = ClipSpec()
    if "audio_codec" in parts:
        spec = replace(spec, sample_rate=parts["audio_codec"].sample_rate)
    try:
        return replace(spec, **notes.get("spec", {}))
    except (TypeError, ValueError) as error:
        raise InputError(f"{folders['generator'] / CONFIG}: not a clip's spec ({error})") from error
