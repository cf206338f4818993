"""Pretrained codecs of `diffusers` behind avsim's protocol: Wan, LTX-2, CogVideoX; LTX-2's audio, Oobleck.

    codec = WanVideoCodec.from_pretrained("Wan-AI/Wan2.1-T2V-1.3B-Diffusers")
    save_model(codec, "codecs/wan")      # from here on a folder like that of avsim's own codecs

Each normalises its latents by the statistics that its class publishes. `diffusers` (extra "pretrained") is
imported when one is made.
"""

import json
from typing import Any, Self

import torch
import torch.nn.functional as F
from einops import rearrange
from torch import Tensor, nn

from avsim.clip import ClipSpec
from avsim.codecs.audio import check
from avsim.codecs.video import cropped, padded
from avsim.errors import InputError, first_line_of
from avsim.weights import configured


class _Codec(nn.Module):
    """A codec of diffusers: one network of the class `kind`."""

    kind: str  # the class in diffusers

    def __init__(
        self,
        config: dict[str, Any],  # the arguments of the class in diffusers
    ) -> None:
        super().__init__()
        self.network = _made(self.kind, config)

    @classmethod
    def from_pretrained(cls, name_or_path: str, subfolder: str = "vae") -> Self:
        """The codec of a model on the hub or in a local folder.

        Raises:
            InputError: there is no such model, or it can't be fetched.
        """
        network = _fetched(cls.kind, name_or_path, subfolder)
        with torch.device("meta"):
            codec = cls(_arguments(network))
        codec.network = network
        return codec.eval()


class _VideoCodec(_Codec):
    """What LTX-2's and Wan's autoencoders share: videos in [-1, 1], one latent for the first frame."""

    channels: int
    time_stride: int
    space_stride: int

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation of each latent channel, (Dv,) each."""
        raise AssertionError("each codec has its own")

    def encode(self, frames: Tensor) -> Tensor:
        """Frames (B, 3, T, H, W) in [0, 1] -> (B, Dv, t, h, w), the posterior's mode."""
        frames = padded(frames, self.time_stride, self.space_stride)
        latents = self.network.encode(2 * frames - 1).latent_dist.mode()
        mean, std = (rearrange(value, "c -> c 1 1 1") for value in self.statistics())
        return (latents - mean) / std

    def decode(self, latents: Tensor, spec: ClipSpec) -> Tensor:
        """Latents (B, Dv, t, h, w) -> frames (B, 3, T, H, W) in [0, 1], cropped to `spec`.

        Raises:
            InputError: latents that don't cover the clip that `spec` describes.
        """
        mean, std = (rearrange(value, "c -> c 1 1 1") for value in self.statistics())
        frames = self._decoded(latents * std + mean)
        return cropped(frames / 2 + 0.5, spec).clamp(0, 1)

    def _decoded(self, latents: Tensor) -> Tensor:
        """Raw latents -> frames in [-1, 1]."""
        return self.network.decode(latents).sample


@configured
class WanVideoCodec(_VideoCodec):
    """Wan's causal video autoencoder (2503.20314): 8 x 8 x 4 in version 2.1, 16 x 16 x 4 in 2.2."""

    kind = "AutoencoderKLWan"

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        settings = self.network.config
        self.channels = settings.z_dim
        self.time_stride = settings.scale_factor_temporal
        self.space_stride = settings.scale_factor_spatial

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation of each latent channel, (Dv,) each, as the config has them."""
        like = next(self.network.parameters())
        mean, std = self.network.config.latents_mean, self.network.config.latents_std
        return like.new_tensor(mean), like.new_tensor(std)


@configured
class LTX2VideoCodec(_VideoCodec):
    """LTX-2's causal video autoencoder: 32 x 32 x 8, 128 channels."""

    kind = "AutoencoderKLLTX2Video"

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        if self.network.config.timestep_conditioning:
            raise InputError("LTX-2 codecs whose decoder denoises (timestep_conditioning) are not supported")
        settings = self.network.config
        self.channels = settings.latent_channels
        scaling = settings.spatio_temporal_scaling
        steps = [scaling] * len(settings.downsample_type) if isinstance(scaling, bool) else scaling
        kinds = [kind for kind, scaled in zip(settings.downsample_type, steps, strict=True) if scaled]
        self.time_stride = settings.patch_size_t * 2 ** sum(kind != "spatial" for kind in kinds)
        self.space_stride = settings.patch_size * 2 ** sum(kind != "temporal" for kind in kinds)

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation of each latent channel, (Dv,) each, as the weights have them."""
        return self.network.latents_mean, self.network.latents_std / self.network.config.scaling_factor


@configured
class LTXVideoCodec(_VideoCodec):
    """LTX-Video's causal video autoencoder (2501.00103): 32 x 32 x 8, 128 channels."""

    kind = "AutoencoderKLLTXVideo"

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self.channels = self.network.config.latent_channels
        self.time_stride = int(self.network.temporal_compression_ratio)
        self.space_stride = int(self.network.spatial_compression_ratio)

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation of each latent channel, (Dv,) each, as the weights have them."""
        return self.network.latents_mean, self.network.latents_std / self.network.config.scaling_factor

    def _decoded(self, latents: Tensor) -> Tensor:
        """Raw latents -> frames in [-1, 1]; a decoder that denoises gets latents without noise."""
        clean = latents.new_zeros(len(latents)) if self.network.config.timestep_conditioning else None
        return self.network.decode(latents, clean).sample


@configured
class CogVideoXVideoCodec(_VideoCodec):
    """CogVideoX's causal video autoencoder (2408.06072): 8 x 8 x 4, 16 channels.

    Its convolutions are causal; its group norms see the frames that are encoded together, so that the first
    latent of a clip is near that of its first frame alone, and not the same.
    """

    kind = "AutoencoderKLCogVideoX"

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        settings = self.network.config
        self.channels = settings.latent_channels
        self.time_stride = int(settings.temporal_compression_ratio)
        self.space_stride = 2 ** (len(settings.block_out_channels) - 1)

    def statistics(self) -> tuple[Tensor, Tensor]:
        """Mean and deviation of each latent channel, (Dv,) each: one scale for all, as the config has it."""
        like = next(self.network.parameters())
        std = like.new_full((self.channels,), 1 / self.network.config.scaling_factor)
        return torch.zeros_like(std), std


@configured
class LTX2AudioCodec(nn.Module):
    """LTX-2's audio autoencoder and vocoder: log-mel spectrograms in, 25 latents a second of 8 x 16 channels.

    It is causal, and its first latent sees one mel frame: latent j sees the sound up to about j hops. Its
    rate is the vocoder's own (24 or 48 kHz); what it encodes is resampled to the spectrograms' 16 kHz.
    """

    kind = "AutoencoderKLLTX2Audio"
    window = 1024  # samples of the mel front end, as LTX-2 was trained with

    def __init__(
        self,
        config: dict[str, Any],  # the arguments of AutoencoderKLLTX2Audio
        vocoder: dict[str, Any],  # those of its vocoder, and its "kind", the class in diffusers
    ) -> None:
        super().__init__()
        from torchaudio.transforms import MelSpectrogram

        self.network = _made(self.kind, config)
        self.vocoder = _made(vocoder["kind"], {key: value for key, value in vocoder.items() if key != "kind"})
        settings = self.network.config
        self.sample_rate = self.vocoder.config.output_sampling_rate
        self.mel_rate = settings.sample_rate
        self.mel_hop = settings.mel_hop_length * self.network.temporal_compression_ratio  # samples per latent
        self.hop, rest = divmod(self.mel_hop * self.sample_rate, self.mel_rate)
        if rest:
            raise InputError(
                f"this LTX-2 audio codec has a latent every {self.mel_hop} samples at {self.mel_rate} Hz, "
                f"which is no whole number of samples at its vocoder's {self.sample_rate} Hz"
            )
        self.bins = settings.mel_bins // self.network.mel_compression_ratio
        self.channels = settings.latent_channels * self.bins
        with torch.device("cpu"):
            self.mel = MelSpectrogram(
                self.mel_rate,
                n_fft=self.window,
                hop_length=settings.mel_hop_length,
                n_mels=settings.mel_bins,
                power=1.0,
                norm="slaney",
                mel_scale="slaney",
            )
        for name, buffer in list(self.mel.named_buffers()):  # made again from the config, not stored
            owner, _, leaf = name.rpartition(".")
            self.mel.get_submodule(owner).register_buffer(leaf, buffer, persistent=False)

    @classmethod
    def from_pretrained(
        cls, name_or_path: str, subfolder: str = "audio_vae", vocoder_subfolder: str = "vocoder"
    ) -> Self:
        """The codec of a model on the hub or in a local folder.

        Raises:
            InputError: there is no such model, or it can't be fetched.
        """
        network = _fetched(cls.kind, name_or_path, subfolder)
        kind = _class("LTX2Vocoder").load_config(name_or_path, subfolder=vocoder_subfolder)["_class_name"]
        vocoder = _fetched(kind, name_or_path, vocoder_subfolder)
        with torch.device("meta"):
            codec = cls(_arguments(network), {"kind": kind, **_arguments(vocoder)})
        codec.network, codec.vocoder = network, vocoder
        return codec.eval()

    def encode(self, wave: Tensor) -> Tensor:
        """Wave (B, A, N), A 1 or 2 -> (B, Da, l), l = ceil(N / hop); mono is given to both channels."""
        from torchaudio.functional import resample

        wave = _stereo(wave, self.network.config.in_channels)
        latents = -(-wave.shape[-1] // self.hop)
        wave = F.pad(wave, (0, latents * self.hop - wave.shape[-1]))
        wave = resample(wave.float(), self.sample_rate, self.mel_rate)[..., : latents * self.mel_hop]
        wave = F.pad(wave, (0, max(latents * self.mel_hop, self.window) - wave.shape[-1]))
        mel = self.mel(wave).clamp(min=1e-5).log().transpose(-1, -2)  # (B, A, frames, bins)
        per_latent = self.network.temporal_compression_ratio
        z = self.network.encode(mel[:, :, : per_latent * latents]).latent_dist.mode()
        z = rearrange(z, "b c l m -> b l (c m)")
        return ((z - self.network.latents_mean) / self.network.latents_std).transpose(1, 2)

    def decode(self, latents: Tensor, spec: ClipSpec) -> Tensor:
        """Latents (B, Da, l) -> wave (B, A, N) at the codec's rate, A and N as in `spec`.

        Raises:
            InputError: a spec of another sample rate or of more than two channels, or too few latents.
        """
        check(spec, self.sample_rate, latents.shape[-1] * self.hop)
        # l latents decode to 4 l - 3 mel frames; the last one is repeated so that the sound is long enough.
        z = torch.cat([latents, latents[..., -1:]], -1).transpose(1, 2)
        z = z * self.network.latents_std + self.network.latents_mean
        mel = self.network.decode(rearrange(z, "b l (c m) -> b c l m", m=self.bins)).sample
        wave = self.vocoder(mel).float()
        return _channels(wave[..., : spec.samples], spec.channels)


@configured
class OobleckCodec(_Codec):
    """Oobleck, Stable Audio Open's autoencoder (2407.14358): 21.5 latents a second at 44.1 kHz, 64 channels.

    Its latents are near unit variance by training; the class publishes no statistics.
    """

    kind = "AutoencoderOobleck"

    def __init__(
        self,
        config: dict[str, Any],  # the arguments of AutoencoderOobleck
    ) -> None:
        super().__init__(config)
        self.channels = self.network.config.decoder_input_channels
        self.hop = self.network.hop_length
        self.sample_rate = self.network.config.sampling_rate

    def encode(self, wave: Tensor) -> Tensor:
        """Wave (B, A, N), A 1 or 2 -> (B, Da, l), l = ceil(N / hop); mono is given to both channels."""
        wave = _stereo(wave, self.network.config.audio_channels)
        return self.network.encode(F.pad(wave, (0, -wave.shape[-1] % self.hop))).latent_dist.mode()

    def decode(self, latents: Tensor, spec: ClipSpec) -> Tensor:
        """Latents (B, Da, l) -> wave (B, A, N) at the codec's rate, A and N as in `spec`.

        Raises:
            InputError: a spec of another sample rate or of more than two channels, or too few latents.
        """
        check(spec, self.sample_rate, latents.shape[-1] * self.hop)
        wave = self.network.decode(latents).sample[..., : spec.samples]
        return _channels(wave, spec.channels)


def _class(kind: str) -> Any:
    """A class of diffusers by its name."""
    try:
        import diffusers
        from diffusers.pipelines.ltx2 import vocoder
    except ImportError as error:
        raise InputError(
            f"{kind} needs the extra 'pretrained' (pip install 'avsim[pretrained]'): {error}"
        ) from error
    found = getattr(diffusers, kind, None) or getattr(vocoder, kind, None)
    if found is None:
        raise InputError(f"diffusers {diffusers.__version__} has no {kind}; a newer one may")
    return found


def _made(kind: str, config: dict[str, Any]) -> Any:
    """A network of diffusers, randomly initialised."""
    return _class(kind).from_config(dict(config))


def _fetched(kind: str, name_or_path: str, subfolder: str) -> Any:
    """A network of diffusers with its published weights."""
    try:
        return _class(kind).from_pretrained(name_or_path, subfolder=subfolder)
    except (OSError, ValueError) as error:
        first = first_line_of(error)
        raise InputError(
            f"{name_or_path}/{subfolder}: no {kind} can be loaded from here ({first})"
        ) from error


def _arguments(network: Any) -> dict[str, Any]:
    """What made `network`, as plain data without the place it came from."""
    config = json.loads(network.to_json_string())
    return {key: value for key, value in config.items() if not key.startswith("_")}


def _stereo(wave: Tensor, channels: int) -> Tensor:
    """Wave (B, A, N) with as many `channels` as a network wants, heard from the middle where there is one."""
    if wave.ndim != 3 or wave.shape[1] not in (1, 2) or 0 in wave.shape:
        raise InputError(f"the wave is {tuple(wave.shape)}; expected (B, A, N) with one or two channels A")
    return _channels(wave, channels)


def _channels(wave: Tensor, channels: int) -> Tensor:
    """Wave (B, A, N) as (B, channels, N): a mean of two, or one given twice."""
    if wave.shape[1] == channels:
        return wave
    return wave.mean(1, keepdim=True) if channels == 1 else wave.expand(-1, channels, -1)
