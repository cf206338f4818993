"""Narration: text -> speech, mixed with the audio of a scene.

engines    Engine, the protocol; which engine a name means
espeak     the default engine: espeak-ng, of the extra `avsim[speech]` (GPL-3), without downloads
neural     Piper and Kokoro, where they are installed
loudness   loudness and true peak by EBU R 128
mix        speech over a scene, or under it: ducking, loudness, limiter
narrate    the same for clips and for files
"""

from avsim.speech.engines import Engine, engine_of
from avsim.speech.loudness import Loudness, loudness
from avsim.speech.mix import mix
from avsim.speech.narrate import narrate, narrate_file, narrated, speak

__all__ = [
    "Engine",
    "Loudness",
    "engine_of",
    "loudness",
    "mix",
    "narrate",
    "narrate_file",
    "narrated",
    "speak",
]
