"""Clips that are encoded as they are trained on: for worlds, which never give the same clip twice."""

from __future__ import annotations

from typing import Any

import torch

from avsim.clip import ClipSpec, LatentSpec
from avsim.data.batch import ClipBatch, LatentBatch
from avsim.data.datamodule import ClipData
from avsim.data.sources import Source
from avsim.devices import autocast_if_faster
from avsim.errors import InputError
from avsim.weights import codec_records, load_parts


class EncodedClips(ClipData):
    """`ClipData` whose batches leave as latents, encoded on the training's device.

    Clips that are trained on more than once are cheaper encoded once, by `avsim encode`.

    Args:
        video_codec: run or folder of a trained codec, or "small"; it stays as it is.
        audio_codec: and of one for audio.
        spec: of the clips.
        train: the clips to train on.
        validation: and to validate on.
        test: and to test on.
        batch_size: clips in a batch over all processes.
        workers: processes that make clips.
        seed: of the order.

    Raises:
        InputError: no such codec, an audio codec of another sample rate, clips without video or audio, or as
            in `ClipData`.
    """

    def __init__(
        self,
        video_codec: str,
        audio_codec: str,
        spec: ClipSpec,
        train: Source,
        validation: Source | None = None,
        test: Source | None = None,
        batch_size: int = 8,
        workers: int = 0,
        seed: int = 0,
    ) -> None:
        super().__init__(spec, train, validation, test, batch_size, workers, seed)
        paths = {"video_codec": video_codec, "audio_codec": audio_codec}
        self.codecs = codec_records(paths)
        models: Any = load_parts(paths)
        self.video_codec, self.audio_codec = models["video_codec"], models["audio_codec"]
        if (made_for := self.audio_codec.sample_rate) != spec.sample_rate:
            folder = self.codecs["audio"]["folder"]
            raise InputError(f"{folder}: a codec of {made_for} Hz; the clips have {spec.sample_rate} Hz")
        strides = self.video_codec.time_stride, self.video_codec.space_stride, self.audio_codec.hop
        self.latent_spec = LatentSpec(spec, *strides)

    @property
    def vocabulary(self) -> frozenset[str] | None:
        """The words of the captions that are trained on, where their source knows them."""
        return getattr(self.sources["train"], "vocabulary", None)

    @property
    def channels(self) -> tuple[int, int]:
        """Dv and Da of the latents."""
        return self.video_codec.channels, self.audio_codec.channels

    @torch.no_grad()
    def on_after_batch_transfer(self, batch: ClipBatch, dataloader_idx: int) -> LatentBatch:
        """Frames (B, 3, T, H, W) and wave (B, A, N) -> latents (B, Dv, t, h, w) and (B, Da, l)."""
        if batch.frames is None or batch.wave is None:
            missing = "video" if batch.frames is None else "audio"
            raise InputError(f"{batch.names[0]}: has no {missing}; latents need both")
        device = batch.frames.device
        with autocast_if_faster(device):
            video = self.video_codec.to(device).encode(batch.frames).float()
            audio = self.audio_codec.to(device).encode(batch.wave).float()
        return LatentBatch(self.latent_spec, video, audio, batch.captions, batch.names, int(batch.rows[0]))
