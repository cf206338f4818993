"""Frames <-> video latents; waveform <-> audio latents."""

from avsim.codecs.audio import AudioAutoencoder
from avsim.codecs.protocol import AudioCodec, VideoCodec
from avsim.codecs.video import VideoAutoencoder

__all__ = ["AudioAutoencoder", "AudioCodec", "VideoAutoencoder", "VideoCodec"]
