"""Third-party codecs and text encoders -> folders in avsim's format."""

from pathlib import Path
from typing import Any

from torch import nn

from avsim.codecs import neural_audio, pretrained
from avsim.errors import InputError
from avsim.files import atomic
from avsim.models.text import PretrainedEncoder
from avsim.weights import save_model

PARTS = ("video_codec", "audio_codec", "text")
# Subfolders in which a pipeline of diffusers may keep each part, likeliest first; "" is the folder itself.
VIDEO_FOLDERS, AUDIO_FOLDERS, TEXT_FOLDERS = ("vae", ""), ("audio_vae", "vae", ""), ("text_encoder", "")
# Classes of diffusers, model types of transformers -> codecs.
VIDEO_CODECS: dict[str, Any] = {
    codec.kind: codec
    for codec in (
        pretrained.WanVideoCodec,
        pretrained.LTXVideoCodec,
        pretrained.LTX2VideoCodec,
        pretrained.CogVideoXVideoCodec,
    )
}
AUDIO_CODECS: dict[str, Any] = {
    pretrained.LTX2AudioCodec.kind: pretrained.LTX2AudioCodec,
    pretrained.OobleckCodec.kind: pretrained.OobleckCodec,
    neural_audio.DACCodec.model_type: neural_audio.DACCodec,
    neural_audio.EnCodecCodec.model_type: neural_audio.EnCodecCodec,
}


def import_codec(name: str, part: str) -> nn.Module:
    """The video or audio codec of a model or pipeline: a local folder, or a name on the hub.

    Raises:
        InputError: there is none, or it is of an unsupported class; the message lists the supported ones.
    """
    known = VIDEO_CODECS if part == "video_codec" else AUDIO_CODECS
    found: list[str] = []
    for subfolder in VIDEO_FOLDERS if part == "video_codec" else AUDIO_FOLDERS:
        kind = kind_of(name, subfolder)
        if kind in known:
            return known[kind].from_pretrained(name, subfolder=subfolder)
        found += [] if kind is None else [kind]
    there = f"found {', '.join(found)}" if found else "nothing found"
    raise InputError(
        f"{name}: no {part.replace('_', ' ')} that is known here ({there}); known are {', '.join(known)}"
    )


def import_text(name: str, folder: str | Path, length: int, layers: list[int] | None = None) -> nn.Module:
    """The text encoder of a model or pipeline, written to `folder` with its tokenizer.

    Raises:
        InputError: there is none, or it lacks some of the `layers`.
    """
    subfolder = next((each for each in TEXT_FOLDERS if kind_of(name, each) is not None), "")
    tokenizer_subfolder = "tokenizer" if subfolder else ""
    encoder = PretrainedEncoder(name, length, layers, subfolder, tokenizer_subfolder)
    with atomic(folder) as temporary:  # becomes `folder` at the end, which the config therefore names
        encoder.encoder.save_pretrained(temporary / "encoder")
        encoder.tokenizer.save_pretrained(temporary / "encoder")
        placed: Any = PretrainedEncoder(str(temporary / "encoder"), length, layers)
        placed.config["init_args"]["name"] = str(Path(folder).resolve() / "encoder")
        save_model(placed, temporary / "saved", source=name)
        for path in (temporary / "saved").iterdir():
            path.rename(temporary / path.name)
        (temporary / "saved").rmdir()
    return encoder


def save_codec(codec: nn.Module, source: str, folder: str | Path) -> Path:
    """Write an imported codec to a folder that `--video-codec` or `--audio-codec` accepts."""
    return save_model(codec, folder, source=source)


def kind_of(name: str, subfolder: str) -> str | None:
    """The class (diffusers) or model type (transformers) that a config names; None: there is no config."""
    try:
        from diffusers import AutoencoderKL
        from transformers import PretrainedConfig
    except ImportError as error:
        raise InputError(f"imports need `pip install avsim[pretrained]` ({error})") from error
    try:
        options = {"subfolder": subfolder} if subfolder else {}
        found = PretrainedConfig.get_config_dict(name, **options)[0]
        kind = (
            found.get("_class_name") or found.get("model_type") or (found.get("architectures") or [None])[0]
        )
        if kind is None and found:
            kind = AutoencoderKL.load_config(name, **options).get("_class_name")
    except (OSError, ValueError, TypeError):
        return None
    return kind if isinstance(kind, str) else None
