"""python soft.py FOLDER COPY: a Sound of Pixels trained with binary masks, evaluated by its sigmoids."""

import sys

from avsim.separation.baselines.sound_of_pixels import SoundOfPixels
from avsim.weights import build, load_model, save_model

if __name__ == "__main__":
    model = load_model(sys.argv[1], expected=SoundOfPixels)
    config = dict(model.config)
    config["init_args"] = {**config["init_args"], "binary": False}
    save_model(build(config), sys.argv[2], model.state_dict())
