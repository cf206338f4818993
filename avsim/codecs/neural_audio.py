"""DAC and EnCodec of `transformers` behind avsim's protocol, by the latents before their quantisers.

    codec = DACCodec.from_pretrained("descript/dac_44khz")

Neither publishes statistics of these latents: `observe` measures them on waves, before anything is trained.
"""

from collections.abc import Iterable
from typing import Any, Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from avsim.clip import ClipSpec
from avsim.codecs.audio import check
from avsim.codecs.pretrained import _channels, _stereo
from avsim.errors import InputError, first_line_of
from avsim.weights import configured


class _NeuralAudioCodec(nn.Module):
    """What both share.

    Args:
        config: the arguments of the config's class in transformers.
    """

    model_type: str  # in transformers
    mean: Tensor  # (Da,) of the latents
    std: Tensor  # (Da,)

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__()
        transformers = _transformers(type(self).__name__)
        given = {key: value for key, value in config.items() if key != "model_type"}
        settings = transformers.CONFIG_MAPPING[self.model_type](**given)
        self.network: Any = transformers.AutoModel.from_config(settings)
        self.channels = int(settings.hidden_size)
        self.hop = int(settings.hop_length)
        self.sample_rate = int(settings.sampling_rate)
        self.audio_channels = int(getattr(settings, "audio_channels", 1))
        self.register_buffer("mean", torch.zeros(self.channels))
        self.register_buffer("std", torch.ones(self.channels))

    @classmethod
    def from_pretrained(cls, name_or_path: str, subfolder: str = "") -> Self:
        """The codec of a model on the hub or in a local folder.

        Raises:
            InputError: there is no such model, or it can't be fetched.
        """
        transformers = _transformers(cls.__name__)
        try:
            network = transformers.AutoModel.from_pretrained(
                name_or_path, subfolder=subfolder, use_safetensors=True
            )
        except (OSError, ValueError) as error:
            first = first_line_of(error)
            raise InputError(
                f"{name_or_path}: no {cls.model_type} can be loaded from here ({first})"
            ) from error
        if network.config.model_type != cls.model_type:
            raise InputError(
                f"{name_or_path}: holds a {network.config.model_type}; expected {cls.model_type}"
            )
        codec = cls(network.config.to_diff_dict())
        codec.network = network
        return codec.eval()

    @torch.no_grad()
    def observe(self, waves: Iterable[Tensor]) -> None:
        """Measure mean and deviation of the latents on waves (A, N), for latents of unit variance.

        Raises:
            InputError: no waves.
        """
        found = [self._raw(wave[None])[0] for wave in waves]
        if not found:
            raise InputError("no waves to measure the latents' statistics on")
        latents = torch.cat(found, 1)  # (Da, l of all)
        self.mean.copy_(latents.mean(1))
        self.std.copy_(latents.std(1).clamp(min=1e-6))

    def encode(self, wave: Tensor) -> Tensor:
        """Wave (B, A, N), A 1 or 2 -> (B, Da, l), l = ceil(N / hop)."""
        return (self._raw(wave) - self.mean[:, None]) / self.std[:, None]

    def decode(self, latents: Tensor, spec: ClipSpec) -> Tensor:
        """Latents (B, Da, l) -> wave (B, A, N) at the codec's rate, A and N as in `spec`.

        Raises:
            InputError: a spec of another sample rate or of more than two channels, or too few latents.
        """
        check(spec, self.sample_rate, latents.shape[-1] * self.hop)
        wave = self.network.decoder(latents * self.std[:, None] + self.mean[:, None])[..., : spec.samples]
        wave = F.pad(wave, (0, spec.samples - wave.shape[-1]))  # decoders may end some samples early
        return _channels(wave, spec.channels)

    def _raw(self, wave: Tensor) -> Tensor:
        """The encoder's latents (B, Da, l) as they are."""
        wave = _stereo(wave, self.audio_channels)
        return self.network.encoder(F.pad(wave, (0, -wave.shape[-1] % self.hop)))


@configured
class DACCodec(_NeuralAudioCodec):
    """Descript's audio codec (2306.06546): mono; 86 latents a second at 44.1 kHz."""

    model_type = "dac"

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)


@configured
class EnCodecCodec(_NeuralAudioCodec):
    """EnCodec (2210.13438): mono at 24 kHz with 75 latents a second, or stereo at 48 kHz with 150."""

    model_type = "encodec"

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)


def _transformers(name: str) -> Any:
    try:
        import transformers
    except ImportError as error:
        raise InputError(f"{name} needs the extra 'pretrained' (pip install 'avsim[pretrained]')") from error
    return transformers
