"""espeak-ng: formant synthesis of 100 languages and more, through its C library and data from pip.

The library is GPL-3, and so is a program that is distributed with it: it is in an extra and loaded when the
engine is used. https://github.com/espeak-ng/espeak-ng, `speak_lib.h`.
"""

from __future__ import annotations

import _ctypes
import ctypes
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch

from avsim.clip import Clip
from avsim.errors import InputError
from avsim.speech.engines import check_text, chosen, chosen_language

RETRIEVAL = 1  # AUDIO_OUTPUT_RETRIEVAL: samples go to the callback
DONT_EXIT = 0x8000  # espeakINITIALIZE_DONT_EXIT
UTF8, END_PAUSE = 1, 0x1000  # espeakCHARS_UTF8, espeakENDPAUSE
SEED = 1
ENGLISH, CHINESE = "en-us", "zh"
_LOCK = threading.Lock()  # one state per process


class _Voice(ctypes.Structure):
    """`espeak_VOICE`."""

    _fields_ = [
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_void_p),  # pairs of a priority and a code, then a zero
        ("identifier", ctypes.c_char_p),
        ("gender", ctypes.c_ubyte),
        ("age", ctypes.c_ubyte),
        ("variant", ctypes.c_ubyte),
        ("xx1", ctypes.c_ubyte),
        ("score", ctypes.c_int),
        ("spare", ctypes.c_void_p),
    ]


_Callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p)


@contextmanager
def _library() -> Iterator[tuple[Any, int, Path]]:
    """The library as it is when a process starts, its sample rate and its data.

    It keeps state from one text to the next; loading it anew gives equal bits for equal texts.

    Raises:
        InputError: it is not installed, or does not start.
    """
    try:
        import espeakng_loader
    except ImportError as error:
        raise InputError("speech by espeak needs `pip install 'avsim[speech]'` (espeak-ng, GPL-3)") from error
    with _LOCK:
        try:
            data = espeakng_loader.get_data_path()
            functions = ctypes.CDLL(espeakng_loader.get_library_path())
        except (OSError, RuntimeError) as error:
            raise InputError(f"espeak-ng can't be loaded ({error})") from error
        try:
            functions.espeak_ListVoices.restype = ctypes.POINTER(ctypes.POINTER(_Voice))
            functions.espeak_ListVoices.argtypes = [ctypes.POINTER(_Voice)]
            functions.espeak_SetVoiceByName.argtypes = [ctypes.c_char_p]
            functions.espeak_SetSynthCallback.argtypes = [_Callback]
            functions.espeak_Synth.argtypes = [
                ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int, ctypes.c_uint, ctypes.c_uint,
                ctypes.c_void_p, ctypes.c_void_p,
            ]  # fmt: skip
            functions.espeak_ng_SetRandSeed.argtypes = [ctypes.c_long]
            rate = functions.espeak_Initialize(RETRIEVAL, 0, data.encode(), DONT_EXIT)
            if rate <= 0:
                raise InputError(f"espeak-ng does not start with its data in {data}")
            functions.espeak_ng_SetRandSeed(SEED)  # of breath and flutter; the time by default
            yield functions, rate, Path(data)
            functions.espeak_Terminate()
        finally:
            getattr(_ctypes, "dlclose", lambda handle: None)(functions._handle)


class _Listed(NamedTuple):
    """A voice in a list: its file, and its languages with their priorities, the lowest first."""

    name: str
    file: str
    languages: list[tuple[int, str]]


def _listed(functions: Any, kind: bytes | None = None) -> list[_Listed]:
    """All voices of the languages; of `kind` b"variant": the speakers."""
    wanted = None
    if kind is not None:
        buffer = ctypes.create_string_buffer(kind)
        wanted = ctypes.byref(_Voice(languages=ctypes.addressof(buffer)))
    found = functions.espeak_ListVoices(wanted)
    listed: list[_Listed] = []
    while found[len(listed)]:
        voice = found[len(listed)].contents
        at, languages = voice.languages, []
        while (priority := ctypes.string_at(at, 1)) != b"\0":
            code = ctypes.string_at(at + 1)
            languages.append((priority[0], code.decode()))
            at += 2 + len(code)
        listed.append(_Listed(voice.name.decode().strip(), voice.identifier.decode(), languages))
    return listed


@cache
def _languages() -> dict[str, str]:
    """The file of the voice that is preferred for each language code."""
    best: dict[str, tuple[int, str]] = {}
    with _library() as (functions, _, data):
        for _, file, languages in _listed(functions):
            if not (data / f"{Path(file).name.partition('-')[0]}_dict").is_file():
                continue  # of some languages the dictionary is left out of the package
            for priority, code in languages:
                if code not in best or priority < best[code][0]:
                    best[code] = (priority, file)
    return {code: file for code, (_, file) in best.items()}


@cache
def _speakers() -> dict[str, str]:
    """The file of each speaker by its name, such as f3 by "female3"."""
    with _library() as (functions, _, _):
        return {name: file.removeprefix("!v/") for name, file, _ in _listed(functions, b"variant")}


class Espeak:
    """espeak-ng. A voice is a speaker (its "variants"), and each speaks every language."""

    def voices(self) -> Sequence[str]:
        """The names of its speakers."""
        return sorted(_speakers())

    def languages(self) -> Sequence[str]:
        """The codes of its languages."""
        return sorted(_languages())

    def speak(self, text: str, voice: str | None = None, language: str | None = None) -> Clip:
        """Speech, (1, N) at 22,050 Hz; as default American English, of Chinese characters Mandarin.

        Raises:
            InputError: an unknown voice or language, or a text without words.
        """
        text = check_text(text)
        if language is None:
            language = CHINESE if any("一" <= each <= "鿿" for each in text) else ENGLISH
        name = chosen_language(language, _languages())
        if voice is not None:
            files = {file: file for file in _speakers().values()}
            name += f"+{chosen(voice, files | _speakers(), 'voice', self.voices())}"
        wave, rate = _synthesized(text, name)
        if not len(wave):
            raise InputError(f"no speech came of {text[:40]!r} in the language {language}")
        return Clip(None, torch.from_numpy(wave)[None], sample_rate=rate)


def _synthesized(text: str, voice: str) -> tuple[np.ndarray, int]:
    """Samples (N,) in [-1, 1] and their rate."""
    pieces: list[np.ndarray] = []

    @_Callback
    def receive(samples: Any, count: int, events: Any) -> int:
        if samples and count > 0:
            pieces.append(np.ctypeslib.as_array(samples, (count,)).astype(np.float32) / 32768)
        return 0

    with _library() as (functions, rate, _):
        if functions.espeak_SetVoiceByName(voice.encode()) != 0:
            raise InputError(f"espeak-ng has no voice {voice!r}")
        functions.espeak_SetSynthCallback(receive)
        data = text.encode()
        failed = functions.espeak_Synth(data, len(data) + 1, 0, 0, 0, UTF8 | END_PAUSE, None, None)
        functions.espeak_Synchronize()
    if failed:
        raise InputError(f"espeak-ng can't speak this text (error {failed})")
    return np.concatenate(pieces) if pieces else np.zeros(0, np.float32), rate
