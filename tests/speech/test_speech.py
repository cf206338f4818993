"""Engines: languages, voices, equal bits, plug-ins, and what is refused."""

import json
import re
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
import torch

from avsim import Clip, InputError
from avsim.errors import first_line_of
from avsim.speech import engine_of, speak
from avsim.weights import allowing

GREETINGS = {
    "ar": "مرحبا بالعالم", "bg": "Здравей, свят", "bn": "ওহে বিশ্ব", "ca": "Hola món", "cs": "Ahoj světe",
    "cy": "Helo byd", "da": "Hej verden", "de": "Hallo Welt", "el": "Γειά σου Κόσμε", "en": "Hello world",
    "eo": "Saluton mondo", "es": "Hola mundo", "et": "Tere maailm", "fa": "سلام دنیا", "fi": "Hei maailma",
    "fr": "Bonjour le monde", "hi": "नमस्ते दुनिया", "hu": "Helló világ", "id": "Halo dunia",
    "is": "Halló heimur", "it": "Ciao mondo", "ja": "こんにちは せかい", "ko": "안녕 세상",
    "nl": "Hallo wereld",
    "pl": "Witaj świecie", "pt-br": "Olá mundo", "ro": "Salut lume", "ru": "Привет, мир", "sv": "Hej världen",
    "sw": "Salamu dunia", "ta": "வணக்கம் உலகம்", "tr": "Merhaba dünya", "uk": "Привіт світе",
    "vi": "Xin chào thế giới", "zh": "你好，世界",
}  # fmt: skip


def active(clip: Clip) -> float:
    """Seconds in which a clip of speech is louder than -40 dB of its peak, in blocks of 10 ms."""
    block = clip.sample_rate // 100
    wave = clip.wave[0, : clip.wave.shape[1] // block * block].view(-1, block)
    return float((wave.abs().amax(1) > clip.wave.abs().max() / 100).sum()) / 100


def test_there_are_many_languages_and_voices():
    engine = engine_of()
    assert len(engine.languages()) >= 29 and set(GREETINGS) <= set(engine.languages())
    assert len(engine.voices()) >= 100


@pytest.mark.parametrize("language", GREETINGS)
def test_it_speaks_a_language_in_its_own_script(language):
    assert len(GREETINGS) >= 29
    clip = speak(GREETINGS[language], language=language)
    assert clip.frames is None and clip.wave.shape[0] == 1 and clip.sample_rate == 22050
    assert 0.3 < active(clip) < 3 and 0.1 < clip.wave.abs().max() <= 1


def test_voices_sound_different_and_each_speaks():
    engine = engine_of()
    of = {name: engine.speak("a red ball", name).wave for name in engine.voices()[::8]}
    waves = list(of.values())
    assert all(active(Clip(None, wave, sample_rate=22050)) > 0.3 for wave in waves)
    same = [torch.equal(a, b) for i, a in enumerate(waves) for b in waves[:i] if a.shape == b.shape]
    assert not any(same)


def test_equal_texts_give_equal_bits_whatever_was_said_before():
    first = speak("A red ball falls.", "whisper").wave
    speak("etwas anderes", "male2", "de")
    assert torch.equal(first, speak("A red ball falls.", "whisper").wave)


def test_longer_texts_last_longer():
    short, long = (speak("A red ball falls." * count).seconds for count in (1, 4))
    assert 3 < long / short < 5


def test_names_are_matched_as_people_write_them():
    assert torch.equal(speak("hello", "ANNIE").wave, speak("hello", "Annie").wave)
    assert torch.equal(speak("hello", "f3").wave, speak("hello", "female3").wave)
    assert torch.equal(speak("你好", language="zh_Hans_CN").wave, speak("你好", language="zh").wave)
    assert torch.equal(speak("你好").wave, speak("你好", language="zh").wave)  # by its characters
    assert not torch.equal(speak("hello", language="en-gb").wave, speak("hello", language="de").wave)


@pytest.mark.parametrize(
    ("option", "value"), [("voice", "nobody"), ("language", "klingonese"), ("language", "")]
)
def test_an_unknown_name_lists_what_there_is(option, value):
    with pytest.raises(InputError) as raised:
        speak("hello", **{option: value})
    engine = engine_of()
    names = engine.voices() if option == "voice" else engine.languages()
    assert str(raised.value) == f"no {option} {value!r}; there are {len(names)}: {', '.join(names)}"


@pytest.mark.parametrize("text", ["", " \n\t", "…?!", "\0\x01"])
def test_a_text_without_words_is_refused(text):
    with pytest.raises(InputError, match="no words to speak"):
        speak(text)


def test_markup_and_control_characters_are_no_commands():
    plain = speak("hello world").wave
    assert torch.equal(speak("hello\0\x1b world").wave, plain)
    assert speak("<speak>hello</speak> [[h@l'oU]]").wave.shape[1] > plain.shape[1]  # read as it is written


def test_an_error_that_says_nothing_is_named_by_its_class():
    assert first_line_of(EOFError()) == "EOFError" and first_line_of(ValueError(" a\nb")) == "a"


@pytest.mark.parametrize("name", ["", "x", "espeak:x", "piper:", "kokoro:absent", "piper:absent.onnx"])
def test_an_unknown_engine_is_refused(name):
    with pytest.raises(InputError):
        speak("hello", engine=name)


def test_an_engine_that_is_not_installed_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "espeakng_loader", None)
    with pytest.raises(InputError, match=re.escape("pip install 'avsim[speech]'")):
        speak("hello")


@pytest.fixture
def plugin(monkeypatch):
    """A user's module with engines, good and bad."""
    module = types.ModuleType("my_speech")
    module.tone = lambda text, voice, language: Clip(
        None, torch.full((2, 10 * len(text)), 0.5), sample_rate=8000
    )
    module.wrong = lambda text, voice, language: [0.0]
    module.number = 3
    monkeypatch.setitem(sys.modules, "my_speech", module)


def test_a_function_of_an_allowed_module_is_an_engine(plugin):
    with pytest.raises(InputError, match="--allow-module my_speech"):
        speak("hello", engine="my_speech:tone")
    with allowing(["my_speech"]):
        clip = speak("hello", engine="my_speech:tone")
        assert clip.wave.shape == (1, 50) and clip.sample_rate == 8000
        for name in ("wrong", "number", "absent"):
            with pytest.raises(InputError, match=name):
                speak("hello", engine=f"my_speech:{name}")


# Stubs with the interface of the packages; the packages themselves need voice files of their own.


@dataclass
class _Chunk:
    audio_float_array: np.ndarray


class _PiperVoice:
    def __init__(self, config: dict) -> None:
        self.config = types.SimpleNamespace(**config)

    @staticmethod
    def load(path: str) -> "_PiperVoice":
        with open(f"{path}.json") as file:
            return _PiperVoice(json.load(file))

    def synthesize(self, text: str, config) -> Iterator[_Chunk]:
        for sentence in text.split(". "):
            yield _Chunk(np.full(100 * len(sentence), 0.1 * (1 + (config.speaker_id or 0)), np.float32))


def test_piper(tmp_path, monkeypatch):
    module = types.ModuleType("piper")
    module.PiperVoice = _PiperVoice
    module.SynthesisConfig = lambda speaker_id=None: types.SimpleNamespace(speaker_id=speaker_id)
    monkeypatch.setitem(sys.modules, "piper", module)
    (tmp_path / "voice.onnx").write_bytes(b"")
    config = {"espeak_voice": "de", "sample_rate": 16000, "speaker_id_map": {"thorsten": 0, "eva": 4}}
    (tmp_path / "voice.onnx.json").write_text(json.dumps(config))
    engine = engine_of(f"piper:{tmp_path / 'voice.onnx'}")
    assert engine.voices() == ["eva", "thorsten"] and engine.languages() == ["de"]
    clip = engine.speak("Hallo. Welt", "Eva", "de_DE")
    assert clip.wave.shape == (1, 900) and clip.sample_rate == 16000 and clip.wave[0, 0] == pytest.approx(0.5)
    with pytest.raises(InputError, match="no voice 'x'; there are 2: eva, thorsten"):
        engine.speak("Hallo", "x")
    assert engine.speak("Hallo", None, "de").seconds > 0
    with pytest.raises(InputError, match="no language 'fr'; there are 1: de"):
        engine.speak("Hallo", None, "fr")
    monkeypatch.setitem(sys.modules, "piper", None)
    with pytest.raises(InputError, match="pip install piper-tts"):
        engine_of(f"piper:{tmp_path / 'voice.onnx'}")


class _Kokoro:
    def __init__(self, model: str, voices: str) -> None:
        self.voices = dict.fromkeys(("af_heart", "bf_emma", "zf_xiaobei"))
        self.calls: list[tuple[str, str]] = []

    def create(self, text: str, voice: str, lang: str) -> tuple[np.ndarray, int]:
        self.calls.append((voice, lang))
        return np.full(100 * len(text), 0.25, np.float32), 24000


def test_kokoro(tmp_path, monkeypatch):
    module = types.ModuleType("kokoro_onnx")
    module.Kokoro = _Kokoro
    monkeypatch.setitem(sys.modules, "kokoro_onnx", module)
    with pytest.raises(InputError, match="no model"):
        engine_of(f"kokoro:{tmp_path}")
    for name in ("kokoro.onnx", "voices.bin"):
        (tmp_path / name).write_bytes(b"")
    engine = engine_of(f"kokoro:{tmp_path}")
    assert engine.languages() == ["cmn", "en-gb", "en-us"] and len(engine.voices()) == 3
    assert engine.speak("Hello").wave.shape == (1, 500)
    engine.speak("你好", None, "zh")
    engine.speak("Hello", "BF_emma")
    assert engine._model.calls == [("af_heart", "en-us"), ("zf_xiaobei", "cmn"), ("bf_emma", "en-gb")]
    for wrong in ({"voice": "x"}, {"language": "fr"}):
        with pytest.raises(InputError, match="there are [35]"):
            engine.speak("Hello", **wrong)
