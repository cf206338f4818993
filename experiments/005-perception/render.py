"""python render.py LEVEL TRAIN VALIDATION SECONDS FOLDER: samples of the world, rendered once and for all."""

import sys

from avsim.clip import ClipSpec
from avsim.perception.samples import save_labeled_clips

level, train, validation, seconds, folder = sys.argv[1:]
counts = {"train": int(train), "validation": int(validation)}
save_labeled_clips(folder, counts, level, ClipSpec(seconds=float(seconds)))
