"""What a speech engine is, and which one a name means."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from avsim.clip import Clip
from avsim.errors import InputError
from avsim.weights import allowed_function

DEFAULT = "espeak"
Speak = Callable[[str, str | None, str | None], Clip]
"""speak(text, voice, language) -> a clip of audio alone."""


class Engine(Protocol):
    """Text to speech."""

    def voices(self) -> Sequence[str]:
        """The names of its voices."""
        ...

    def languages(self) -> Sequence[str]:
        """The codes of its languages, such as "en-us" or "zh"."""
        ...

    def speak(self, text: str, voice: str | None = None, language: str | None = None) -> Clip:
        """Speech as audio alone, (1, N) at the engine's own rate; its default voice and language for None.

        Raises:
            InputError: an unknown voice or language (known ones are listed), or a text without words.
        """
        ...


@dataclass(frozen=True)
class FunctionEngine:
    """A user's function as an engine; it has voices and languages of its own."""

    function: Speak
    name: str

    def voices(self) -> Sequence[str]:
        """Unknown."""
        return ()

    def languages(self) -> Sequence[str]:
        """Unknown."""
        return ()

    def speak(self, text: str, voice: str | None = None, language: str | None = None) -> Clip:
        """What the function returns.

        Raises:
            InputError: what it returns is no clip with audio.
        """
        made = self.function(text, voice, language)
        if not isinstance(made, Clip) or made.wave is None:
            raise InputError(f"{self.name} returned {made!r:.60}; expected an avsim.Clip with audio")
        return Clip(None, made.wave.mean(0, keepdim=True), sample_rate=made.sample_rate)


def engine_of(name: str = DEFAULT) -> Engine:
    """The engine of a name.

    Args:
        name: "espeak"; "piper:VOICE.onnx"; "kokoro:FOLDER"; or "module:function", a function of (text, voice,
            language) that returns a `Clip`, of a module that is allowed (`--allow-module`).

    Raises:
        InputError: no such engine, or one that is not installed.
    """
    kind, found, rest = name.partition(":")
    if name == DEFAULT:
        from avsim.speech.espeak import Espeak

        return Espeak()
    if kind == "piper" and rest:
        from avsim.speech.neural import Piper

        return Piper(rest)
    if kind == "kokoro" and rest:
        from avsim.speech.neural import Kokoro

        return Kokoro(rest)
    if not found or kind in ("espeak", "piper", "kokoro"):
        raise InputError(
            f"speech engine {name!r:.60}: expected espeak, piper:VOICE.onnx, kokoro:FOLDER or module:function"
        )
    return FunctionEngine(allowed_function(name), name)


def chosen(name: str, known: Mapping[str, str], what: str, listed: Sequence[str] | None = None) -> str:
    """The value of a name among known ones, whatever the case of its letters.

    Raises:
        InputError: an unknown name; the message lists all that are known, or those that are `listed`.
    """
    if name.lower() not in (lowered := {each.lower(): value for each, value in known.items()}):
        names = sorted(known if listed is None else listed)
        raise InputError(f"no {what} {name[:40]!r}; there are {len(names)}: {', '.join(names) or 'none'}")
    return lowered[name.lower()]


def chosen_language(language: str, known: Mapping[str, str]) -> str:
    """The value of a language code, or of the nearest one: "zh-Hans-CN" is "zh", and "fr" "fr-fr".

    Raises:
        InputError: as `chosen`.
    """
    code = language.lower().replace("_", "-")
    while code:
        near = [each for each in known if each.lower() == code]
        near += sorted(each for each in known if each.lower().startswith(f"{code}-"))
        if near:
            return known[near[0]]
        code = code.rpartition("-")[0]
    return chosen(language, known, "language")


def check_text(text: str) -> str:
    """A text without control characters.

    Raises:
        InputError: nothing that could be spoken.
    """
    spoken = " ".join("".join(each if each.isprintable() else " " for each in text).split())
    if not any(each.isalnum() for each in spoken):
        raise InputError(f"no words to speak in {text[:40]!r}")
    return spoken
