"""Makes the banks of notes in avsim/world/banks: `python -m avsim.world.making.bank SOUNDFONT`.

SOUNDFONT is FluidR3_GM.sf2 of Debian's `fluid-soundfont-gm` (MIT licence). Needs the programs `fluidsynth`;
takes about 2 min. Each instrument becomes one Ogg Opus file, its notes one after another, beside an
index of where they begin, how they are tuned and how they loop.
"""

import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import av
import numpy as np

from avsim.world.making import models, soundfont
from avsim.world.making.recording import RATE, Recording, recorded
from avsim.world.phrases import INSTRUMENTS, RANGES, STRUCK

Array = np.ndarray

BANKS = Path(__file__).parents[1] / "banks"
STEP = 3  # semitones between recordings: at most 1.5 are bridged by playing faster or slower
GAP = 0.05  # s of silence between notes, so that coding one is not heard in the other
BITS = 48_000  # a second


def main(path: Path) -> None:
    """Make both banks."""
    fluid = {name: soundfont.PROGRAMS[name] for name in INSTRUMENTS if name in soundfont.PROGRAMS}
    write("fluidr3", "erhu", lambda pitches: [models.ERHU(p) for p in pitches])
    for name, program in fluid.items():
        write("fluidr3", name, lambda pitches, program=program: soundfont.render(path, program, pitches))
    for name in INSTRUMENTS:
        write("modelled", name, lambda pitches, name=name: [models.MODELLED[name](p) for p in pitches])


def write(bank: str, instrument: str, render: Callable[[Sequence[int]], Sequence[Array]]) -> None:
    """Render, record, encode and index one instrument."""
    low, high = RANGES[instrument]
    pitches = range(low + 1, high + 1, STEP)
    waves = render(pitches)
    notes = [recorded(w, p, instrument in STRUCK) for p, w in zip(pitches, waves, strict=True)]
    folder = BANKS / bank
    folder.mkdir(parents=True, exist_ok=True)
    index = folder / "index.json"
    entries = json.loads(index.read_text()) if index.exists() else {}
    entries[instrument] = _encode(folder / f"{instrument.replace(' ', '-')}.opus", notes)
    index.write_text(json.dumps(entries, indent=1, sort_keys=True) + "\n")


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
    with av.open(str(path), "w", format="ogg") as out:
        stream = out.add_stream("libopus", rate=RATE, layout="mono")
        stream.bit_rate = BITS
        frame = av.AudioFrame.from_ndarray(samples, format="flt", layout="mono")
        frame.sample_rate = RATE
        for packet in (*stream.encode(frame), *stream.encode(None)):
            out.mux(packet)
    return entries


if __name__ == "__main__":
    main(Path(sys.argv[1]))
