"""python render.py LEVEL TRAIN VALIDATION SECONDS FOLDER: labelled clips of the world, rendered once."""

import sys

from avsim.clip import ClipSpec
from avsim.perception.samples import save_labeled_clips

level, train, validation, seconds, folder = sys.argv[1:]
counts = {"train": int(train), "validation": int(validation)}
save_labeled_clips(folder, counts, level, ClipSpec(seconds=float(seconds)))
