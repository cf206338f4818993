"""Neural engines of other packages, where these and their voices are installed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from avsim.clip import Clip
from avsim.errors import InputError, first_line_of
from avsim.speech.engines import check_text, chosen, chosen_language

# Languages of Kokoro's voices by the first letter of their names.
KOKORO_LANGUAGES = {
    "a": "en-us", "b": "en-gb", "e": "es", "f": "fr-fr", "h": "hi", "i": "it", "j": "ja", "p": "pt-br",
    "z": "cmn",
}  # fmt: skip
ALIASES = {"zh": "cmn", "en": "en-us"}


class Piper:
    """Piper (VITS), one voice file: one language, and as many speakers as it was trained on.

    Its durations and noise are random: two runs differ.

    Raises:
        InputError: the package is not installed, or no such voice file.
    """

    def __init__(self, path: str | Path) -> None:
        if not Path(path).is_file() or not Path(f"{path}.json").is_file():
            raise InputError(f"piper:{path}: no voice; expected VOICE.onnx with VOICE.onnx.json beside it")
        try:
            import piper
        except ImportError as error:
            raise InputError("speech by Piper needs `pip install piper-tts` (GPL-3)") from error
        self._package = piper
        try:
            self._voice: Any = piper.PiperVoice.load(str(path))
        except Exception as error:  # onnxruntime's own, and whatever a wrong file causes
            raise InputError(f"piper:{path}: can't be loaded ({first_line_of(error)})") from error

    def voices(self) -> Sequence[str]:
        """The names of its speakers; none where there is one."""
        return sorted(self._voice.config.speaker_id_map)

    def languages(self) -> Sequence[str]:
        """Its one language."""
        return [self._voice.config.espeak_voice]

    def speak(self, text: str, voice: str | None = None, language: str | None = None) -> Clip:
        """Speech, (1, N) at the voice's rate.

        Raises:
            InputError: another language, an unknown speaker, or a text without words.
        """
        text, own = check_text(text), self.languages()[0]
        if language is not None:
            chosen_language(language, {own: own})
        speaker = None
        if voice is not None:
            ids = {name: str(number) for name, number in self._voice.config.speaker_id_map.items()}
            speaker = int(chosen(voice, ids, "voice"))
        config = self._package.SynthesisConfig(speaker_id=speaker)
        chunks = [chunk.audio_float_array for chunk in self._voice.synthesize(text, config)]
        return _clip(np.concatenate(chunks) if chunks else np.zeros(0), self._voice.config.sample_rate, text)


class Kokoro:
    """Kokoro-82M by `kokoro-onnx`: a folder with its model (*.onnx) and voices (*.bin or *.npz).

    Raises:
        InputError: the package is not installed, or the folder has no such files.
    """

    def __init__(self, folder: str | Path) -> None:
        models = sorted(Path(folder).glob("*.onnx"))
        voices = [path for path in sorted(Path(folder).glob("*")) if path.suffix in (".bin", ".npz")]
        if not models or not voices:
            raise InputError(
                f"kokoro:{folder}: no model; expected a folder with *.onnx and voices *.bin or *.npz"
            )
        try:
            import kokoro_onnx
        except ImportError as error:
            raise InputError("speech by Kokoro needs `pip install kokoro-onnx`") from error
        try:
            self._model: Any = kokoro_onnx.Kokoro(str(models[0]), str(voices[0]))
        except Exception as error:  # onnxruntime's own, and whatever a wrong file causes
            raise InputError(f"kokoro:{folder}: can't be loaded ({first_line_of(error)})") from error

    def voices(self) -> Sequence[str]:
        """The names of its voices; the first letter is the language's."""
        return sorted(self._model.voices.keys())

    def languages(self) -> Sequence[str]:
        """The languages of its voices."""
        return sorted({KOKORO_LANGUAGES.get(name[0], "en-us") for name in self.voices()})

    def speak(self, text: str, voice: str | None = None, language: str | None = None) -> Clip:
        """Speech, (1, N) at 24 kHz; without a voice, the language's first.

        Raises:
            InputError: an unknown voice or language, or a text without words.
        """
        text, known = check_text(text), {name: name for name in self.voices()}
        if language is not None:
            own = {code: code for code in self.languages()}
            own |= {short: code for short, code in ALIASES.items() if code in own}
            language = chosen_language(language, own)
        if voice is not None:
            name = chosen(voice, known, "voice")
        else:
            wanted = language or "en-us"
            fitting = [each for each in known if KOKORO_LANGUAGES.get(each[0], "en-us") == wanted]
            name = (fitting or sorted(known))[0]
        language = language or KOKORO_LANGUAGES.get(name[0], "en-us")
        try:
            samples, rate = self._model.create(text, voice=name, lang=language)
        except Exception as error:  # a text without phonemes, a phonemizer without the language
            raise InputError(f"kokoro can't speak {text[:40]!r} ({first_line_of(error)})") from error
        return _clip(samples, rate, text)


def _clip(samples: Any, rate: int, text: str) -> Clip:
    """Samples (N,) as audio alone.

    Raises:
        InputError: none.
    """
    if not len(samples):
        raise InputError(f"no speech came of {text[:40]!r}")
    return Clip(None, torch.from_numpy(np.asarray(samples, np.float32))[None], sample_rate=rate)
