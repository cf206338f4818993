"""Makes the banks of notes in avsim/world/banks: `python -m avsim.world.sound.making.bank SOUNDFONT`.

SOUNDFONT is FluidR3_GM.sf2 of Debian's `fluid-soundfont-gm` (MIT licence). Needs the program `fluidsynth` and
the module soundfile; takes about 1 min. Each instrument becomes one Ogg Opus file, its notes in a row,
beside an index of where they begin, how they are tuned and how they loop.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path

import av
import numpy as np

from avsim.world.sound.making import models, soundfont
from avsim.world.sound.making.recording import RATE, Recording, recorded
from avsim.world.sound.phrases import INSTRUMENTS, RANGES, STRUCK

Array = np.ndarray

BANKS = Path(__file__).parents[1] / "banks"
STEP = 3  # semitones between recordings: at most 1.5 are bridged by playing faster or slower
GAP = 0.05  # s of silence between notes, so that coding artefacts of one don't reach the other
BITS = 48_000  # a second: about 27 dB of SNR, in a fifth of what FLAC takes


def main(path: Path) -> None:
    """Make both banks."""
    for name in INSTRUMENTS:
        pitches = _pitches(name)
        if name in soundfont.PROGRAMS:
            write("fluidr3", name, soundfont.render(path, soundfont.PROGRAMS[name], pitches))
        else:
            write("fluidr3", name, [models.ERHU(pitch) for pitch in pitches])
        write("modelled", name, [models.MODELLED[name](pitch) for pitch in pitches])


def write(bank: str, instrument: str, waves: Sequence[Array]) -> None:
    """Record, encode and index an instrument's rendered notes, one for each of its pitches."""
    pairs = zip(_pitches(instrument), waves, strict=True)
    notes = [recorded(wave, pitch, instrument in STRUCK) for pitch, wave in pairs]
    folder = BANKS / bank
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / "index.json"
    entries = json.loads(index.read_text()) if index.exists() else {}
    entries[instrument] = _encode(folder / f"{instrument.replace(' ', '-')}.opus", notes)
    index.write_text(json.dumps(entries, indent=1, sort_keys=True) + "\n")


def _pitches(instrument: str) -> range:
    low, high = RANGES[instrument]
    return range(low + 1, high + 1, STEP)


def _encode(path: Path, notes: Sequence[Recording]) -> list[dict[str, float]]:
    gap = np.zeros(round(GAP * RATE))
    entries, pieces, start = [], [gap], len(gap)
    for note in notes:
        stop = start + len(note.wave)
        entries.append(
            {
                "pitch": note.pitch,
                "hertz": round(note.hertz, 3),
                "start": start,
                "stop": stop,
                "loop": note.loop,
            }
        )
        pieces += [note.wave, gap]
        start = stop + len(gap)
    samples = np.concatenate(pieces).astype(np.float32)[None]
    with av.open(str(path), "w", format="ogg", options={"fflags": "+bitexact"}) as out:
        stream = out.add_stream("libopus", rate=RATE, layout="mono")
        stream.bit_rate = BITS
        frame = av.AudioFrame.from_ndarray(samples, format="flt", layout="mono")
        frame.sample_rate = RATE
        for packet in (*stream.encode(frame), *stream.encode(None)):
            out.mux(packet)
    return entries


if __name__ == "__main__":
    main(Path(sys.argv[1]))
