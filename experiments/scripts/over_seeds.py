"""One prompt, many clips: python over_seeds.py RUN "a ball falls" 8 FOLDER"""

import sys
from pathlib import Path

import avsim

run, prompt, count, folder = sys.argv[1:]
clips = avsim.load(run).batch([prompt] * int(count), seconds=2.0)
for seed, clip in enumerate(clips):
    print(clip.write(Path(folder) / f"seed-{seed}.mp4"))
