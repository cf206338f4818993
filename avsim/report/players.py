"""Clips that play inside a page, with their sound on."""

import base64
import io
import tempfile
import wave as wavfile
from pathlib import Path

import torch

from avsim import media
from avsim.clip import Clip
from avsim.errors import InputError
from avsim.report.html import Html, escaped
from avsim.report.plots import spectrogram

_TYPES = {".mp4": "video/mp4", ".webm": "video/webm"}


def player(clip: Clip, label: str = "") -> Html:
    """A clip as HTML with its data inside: an mp4 (H.264 and AAC), or its spectrogram and audio alone.

    `label` is shown below it.
    """
    if clip.frames is None:
        return _sound(clip, label)
    with tempfile.TemporaryDirectory() as folder:
        path = media.write(clip, Path(folder) / "clip.mp4")
        return embed(path, label if clip.wave is not None else f"{label} (no audio)".lstrip())


def embed(path: str | Path, label: str = "") -> Html:
    """An .mp4 or .webm file as HTML with its data inside, byte for byte.

    Raises:
        InputError: the file is missing or of another kind.
    """
    path = Path(path)
    if path.suffix.lower() not in _TYPES:
        raise InputError(f"{path}: can't be played in a page; expected {' or '.join(_TYPES)}")
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    data = base64.b64encode(path.read_bytes()).decode()
    kind, caption = _TYPES[path.suffix.lower()], escaped(label)
    return Html(
        f'<figure><video controls playsinline preload="auto" aria-label="{caption}" '
        f'src="data:{kind};base64,{data}"></video><figcaption>{caption}</figcaption></figure>'
    )


def _sound(clip: Clip, label: str) -> Html:
    """Sound alone: its spectrogram over a player of 16-bit PCM, which every browser plays."""
    assert clip.wave is not None
    samples = clip.wave.detach().float().cpu().clamp(-1, 1).mul(32767).round().to(torch.int16)
    buffer = io.BytesIO()
    with wavfile.open(buffer, "wb") as out:
        out.setnchannels(samples.shape[0])
        out.setsampwidth(2)
        out.setframerate(int(clip.sample_rate))
        out.writeframes(samples.T.contiguous().numpy().astype("<i2").tobytes())
    sound, picture = (
        base64.b64encode(data).decode()
        for data in (buffer.getvalue(), spectrogram(clip.wave, clip.sample_rate))
    )
    caption = escaped(label)
    return Html(
        f'<figure class="sound"><img src="data:image/png;base64,{picture}" alt="spectrogram: {caption}">'
        f'<audio controls preload="auto" aria-label="{caption}" src="data:audio/wav;base64,{sound}"></audio>'
        f"<figcaption>{caption}</figcaption></figure>"
    )
