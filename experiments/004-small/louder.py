"""Makes what the shipped audio codec gives back as loud as it went in: python louder.py [--count 96]

Errors of levels are told in logarithms, whose mean is too soft. The median of the loudness (BS.1770) that
clips of `medium` lose, split `validation`, is added to all levels that the decoder tells.
"""

import argparse
import math
from itertools import islice

import torch
from torchaudio.functional import loudness

from avsim.codecs.audio import SPREAD
from avsim.codecs.stereo import CUES
from avsim.devices import quickest
from avsim.weights import SMALL, load_model, notes_of, save_model
from avsim.world import WorldDataset

SEED = 11


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--count", type=int, default=96, help="clips")
    codec = load_model(SMALL / "audio_codec")
    lost = []
    for clip, _ in islice(WorldDataset("medium", seed=SEED, split="validation"), parser.parse_args().count):
        with quickest("cpu"):
            wave = codec.decode(codec.encode(clip.wave[None]), clip.spec)[0].float()
        lost.append(float(loudness(clip.wave, clip.sample_rate) - loudness(wave, clip.sample_rate)))
    gain = float(torch.tensor([each for each in lost if math.isfinite(each)]).median())  # dB
    levels = codec.decoder.read.bias.unflatten(0, (CUES, -1))[0]
    levels += gain / 20 * math.log(10) / SPREAD[0]
    notes = notes_of(SMALL / "audio_codec")
    notes["louder"] = round(notes.get("louder", 0.0) + gain, 3)
    save_model(codec, SMALL / "audio_codec", dtype=torch.bfloat16, **notes)
    print(f"louder by {gain:.2f} dB")


if __name__ == "__main__":
    main()
