"""Clips -> latent shards: what the generator trains on, and which codecs it was seen through."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from avsim.clip import ClipSpec, LatentSpec
from avsim.data.latent_shards import text_name
from avsim.data.resuming import PARTS, check_settings, holds, kept_result
from avsim.data.shards import SHARDS, write_index, write_json, write_shard
from avsim.data.sources import Source
from avsim.data.workers import bar
from avsim.devices import autocast_if_faster, fast_in_bfloat16
from avsim.errors import InputError
from avsim.files import claimed
from avsim.seeds import generator
from avsim.weights import codec_records, load_model

if TYPE_CHECKING:
    from avsim.codecs.protocol import AudioCodec, VideoCodec

Embed = Callable[[Sequence[str]], Tensor]
"""embed(captions) -> embeddings (B, S, E), zeros where no token is."""
PART = 64  # clips in a shard: the most that a kill can lose


def encode(
    sources: Mapping[str, Source],
    spec: ClipSpec,
    video_codec: str | Path,
    audio_codec: str | Path,
    out: str | Path,
    *,
    batch_size: int = 8,
    device: str = "cpu",
    seed: int = 0,
    embed: Embed | None = None,
) -> dict[str, int]:
    """Encode the clips of each split's source at `spec`; returns how many latents each split has.

    Writes float16 latents of unit variance, and with `embed` the captions' embeddings, part by part: a run
    that was killed goes on where it stopped. The index records the codecs' folders and the sha256 of their
    weights.

    Raises:
        InputError: a codec is missing or made for another sample rate, a source can't give the spec, or
            `out` holds latents of other codecs or clips.
    """
    if batch_size < 1:
        raise InputError(f"batch_size is {batch_size}; it must be at least 1")
    codecs = codec_records({"video_codec": video_codec, "audio_codec": audio_codec})
    of_video = _codec(Path(codecs["video"]["folder"]), ("time_stride", "space_stride"), device)
    of_audio = _codec(Path(codecs["audio"]["folder"]), ("hop", "sample_rate"), device)
    if of_audio.sample_rate != spec.sample_rate:
        raise InputError(
            f"{codecs['audio']['folder']}: encodes {of_audio.sample_rate} Hz; the clips have "
            f"{spec.sample_rate} Hz"
        )
    about: dict[str, Any] = {
        "time_stride": of_video.time_stride,
        "space_stride": of_video.space_stride,
        "hop": of_audio.hop,
        "video_channels": of_video.channels,
        "audio_channels": of_audio.channels,
    }
    if embed is not None:
        about["text_width"] = int(embed([""]).shape[2])
    shape = LatentSpec(spec, of_video.time_stride, of_video.space_stride, of_audio.hop)
    settings = {
        "spec": asdict(spec),
        "codecs": {name: codec["sha256"] for name, codec in codecs.items()},
        "clips": {split: _digest(source) for split, source in sources.items()},
        "bfloat16": fast_in_bfloat16(device),
        "seed": seed,
        **({} if embed is None else {"text_width": about["text_width"]}),
    }
    parts = [
        (split, first, min(first + PART, len(source)))
        for split, source in sources.items()
        for first in range(0, len(source), PART)
    ]
    for source in sources.values():
        source.sample(0, spec, generator(seed, "look"))  # errors come before anything is written
    items: list[dict[str, Any]] = []
    with claimed(out) as folder, bar() as progress, torch.inference_mode():
        check_settings(folder, settings, "latents encoded")
        for split, first, last in progress.track(parts, description="latents"):
            kept, shard = folder / PARTS / f"{split}-{first:08d}.json", f"{split}-{first:08d}.safetensors"
            found = kept_result(kept)
            if not (_is_part(found, last - first) and (folder / SHARDS / shard).exists()):
                found, tensors = _encode_part(
                    sources[split], range(first, last), shape, of_video, of_audio, batch_size, device, seed
                )
                if embed is not None:
                    tensors |= _texts(found, embed, batch_size)
                for row, item in enumerate(found):
                    item |= {"shard": shard, "row": row, "split": split}
                write_shard(folder / SHARDS / shard, tensors)
                write_json(kept, found)
            items += found
        write_index(folder, "latents", {"spec": asdict(spec), "latents": about, "codecs": codecs}, items)
    return {split: len(source) for split, source in sources.items()}


def _is_part(found: Any, count: int) -> bool:
    fields = {"name": str, "group": str, "caption": str, "shard": str, "row": int, "split": str}
    return isinstance(found, list) and len(found) == count and all(holds(item, fields) for item in found)


def _texts(items: list[dict[str, Any]], embed: Embed, batch_size: int) -> dict[str, Tensor]:
    """Embeddings of the items' captions, and of those of each style; what lacks a style has its caption."""
    own = [item["caption"] or "" for item in items]
    styles = sorted({style for item in items for style in item.get("styles", {})})
    of = {"": own}
    for style in styles:
        of[style] = [
            item.get("styles", {}).get(style, caption) for item, caption in zip(items, own, strict=True)
        ]
    return {text_name(style): _embedded(captions, embed, batch_size) for style, captions in of.items()}


def _embedded(captions: list[str], embed: Embed, batch_size: int) -> Tensor:
    """Embeddings (n, S, E) of captions, trimmed to the longest of them."""
    batches = [captions[first : first + batch_size] for first in range(0, len(captions), batch_size)]
    text = torch.cat([embed(batch).to("cpu", torch.float16) for batch in batches])
    used = (text != 0).any(-1).any(0).nonzero()  # token positions that any caption has
    return text[:, : int(used.max()) + 1 if len(used) else 1].contiguous()


def _digest(source: Source) -> str:
    """A name for what a source holds: which shots or videos, in which order, and their captions by style."""
    groups = json.dumps([source.group(index) for index in range(len(source))])
    styles = [item["styles"] for item in getattr(source, "items", ()) if "styles" in item]
    held = groups + json.dumps(styles) if styles else groups
    return hashlib.blake2b(held.encode(), digest_size=8).hexdigest()


def _codec(folder: Path, has: tuple[str, ...], device: str) -> Any:
    """Load a codec and check that it is one of the kind that has these attributes."""
    model = load_model(folder, device)
    missing = [name for name in ("channels", "encode", "decode", *has) if not hasattr(model, name)]
    if missing:
        kind = "a video codec" if "time_stride" in has else "an audio codec"
        raise InputError(f"{folder}: holds a {type(model).__name__}; expected {kind} ({', '.join(missing)})")
    assert isinstance(model, nn.Module)
    return model


def _encode_part(
    source: Source,
    indices: range,
    shape: LatentSpec,
    video_codec: VideoCodec,
    audio_codec: AudioCodec,
    batch_size: int,
    device: str,
    seed: int,
) -> tuple[list[dict[str, Any]], dict[str, Tensor]]:
    """The latents of some clips: what is known of each, and video (n, Dv, t, h, w), audio (n, Da, l)."""
    items, videos, audios = [], [], []
    for first in range(indices.start, indices.stop, batch_size):
        some = range(first, min(first + batch_size, indices.stop))
        samples = [source.sample(index, shape.clip, generator(seed, "encode", index)) for index in some]
        frames = [sample.frames for sample in samples if sample.frames is not None]
        waves = [sample.wave for sample in samples if sample.wave is not None]
        if len(frames) < len(samples) or len(waves) < len(samples):
            raise InputError(f"{samples[0].name}: lacks video or audio; latents need both")
        with autocast_if_faster(device):
            video_latents = video_codec.encode(torch.stack(frames).to(device))
            audio_latents = audio_codec.encode(torch.stack(waves).to(device))
        videos.append(video_latents.to("cpu", torch.float16))
        audios.append(audio_latents.to("cpu", torch.float16))
        for index, sample in zip(some, samples, strict=True):
            item = {"name": sample.name, "group": source.group(index), "caption": sample.caption}
            items.append(item | ({"styles": dict(sample.styles)} if sample.styles else {}))
    video, audio = torch.cat(videos), torch.cat(audios)
    # What a codec says of itself must hold: every later length and time is derived from it.
    if tuple(video.shape[2:]) != shape.video or audio.shape[2] != shape.audio:
        raise InputError(
            f"latents are {tuple(video.shape[2:])} and {audio.shape[2]}; the codecs' strides say "
            f"{shape.video} and {shape.audio}"
        )
    return items, {"video": video, "audio": audio}
