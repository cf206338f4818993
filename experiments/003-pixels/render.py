"""python render.py TRAIN VALIDATION JOBS FOLDER: separation scenes, rendered once."""

import sys

from avsim.clip import ClipSpec
from avsim.separation.scenes import Scenes, save_scenes

if __name__ == "__main__":
    train, validation, jobs = map(int, sys.argv[1:4])
    spec = ClipSpec(seconds=2.0, height=64, width=64, frames_per_second=16.0, sample_rate=16000, channels=2)
    sources = [Scenes(split="validation", count=validation), Scenes(split="train", count=train)]
    save_scenes(sys.argv[4], sources, spec, jobs)
