"""The README's sheet of generated clips, not selected: python drawn_sheet.py MODEL OUT.png [FIRST_SEED]

The demo's prompts, each a strip of frames above the spectrogram of its audio; clip i has FIRST_SEED + i.
"""

import sys
from pathlib import Path

import avsim
from avsim.cli.demo import PROMPTS
from avsim.report.plots import sheet

model, path, *seed = sys.argv[1:]
clips = avsim.load(model).batch(PROMPTS, seed=int(seed[0]) if seed else 0)
Path(path).write_bytes(sheet(dict(zip(PROMPTS, clips, strict=True)), columns=2))
