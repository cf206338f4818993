"""A General MIDI soundfont -> single notes, rendered by `fluidsynth`."""

import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import soundfile

from avsim.world.sound.making.recording import HELD, RATE

Array = np.ndarray

# General MIDI programs, counted from 0. There is no erhu among them.
PROGRAMS = {
    "accordion": 21,
    "acoustic guitar": 24,
    "cello": 42,
    "clarinet": 71,
    "flute": 73,
    "saxophone": 65,
    "trumpet": 56,
    "tuba": 58,
    "violin": 40,
    "xylophone": 13,
}
SPACING = 6.0  # s from note to note, so that each has died away before the next
VELOCITY = 100
TICKS = 480  # a second, at 500 ms and 240 ticks a quarter note


def render(soundfont: Path, program: int, pitches: Sequence[int]) -> list[Array]:
    """One note for each pitch, held for `HELD` s: each (SPACING RATE,) float64, dry."""
    with tempfile.TemporaryDirectory() as folder:
        midi, wav = Path(folder) / "notes.mid", Path(folder) / "notes.wav"
        midi.write_bytes(_midi(program, pitches))
        command = ["fluidsynth", "-ni", "-R", "0", "-C", "0", "-g", "0.6", "-r", str(RATE)]
        subprocess.run(
            [*command, "-O", "float", "-F", str(wav), str(soundfont), str(midi)],
            check=True,
            capture_output=True,
        )
        stereo, rate = soundfile.read(wav)
    assert rate == RATE
    mono, slot = stereo.mean(1), round(SPACING * RATE)
    mono = np.pad(mono, (0, max(0, len(pitches) * slot - len(mono))))
    return [mono[i * slot : (i + 1) * slot] for i in range(len(pitches))]


def _midi(program: int, pitches: Sequence[int]) -> bytes:
    """A standard MIDI file of one track; what is written below are its events, each after a delta time."""
    held, rest = round(HELD * TICKS), round((SPACING - HELD) * TICKS)
    track = b"\x00\xff\x51\x03" + (500_000).to_bytes(3, "big") + bytes([0, 0xC0, program])
    for i, pitch in enumerate(pitches):
        track += _variable(rest if i else 0) + bytes([0x90, pitch, VELOCITY])
        track += _variable(held) + bytes([0x80, pitch, 0])
    track += _variable(rest) + b"\xff\x2f\x00"
    header = b"MThd" + (6).to_bytes(4, "big") + bytes([0, 0, 0, 1]) + (TICKS // 2).to_bytes(2, "big")
    return header + b"MTrk" + len(track).to_bytes(4, "big") + track


def _variable(number: int) -> bytes:
    """MIDI's variable-length quantity: seven bits a byte, the high bit on all but the last."""
    digits = [number & 0x7F]
    while number := number >> 7:
        digits.append(number & 0x7F | 0x80)
    return bytes(reversed(digits))
