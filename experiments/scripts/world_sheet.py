"""A frame of every kind of scene in every place, one sheet: python world_sheet.py OUT.jpg"""

import sys

import cv2
import numpy as np

from avsim.clip import ClipSpec
from avsim.world import WorldConfig, WorldDataset
from avsim.world.sound.rooms import PLACES

SPEC = ClipSpec(1.0, height=128, width=176)
SCENES = ("drop", "strike", "ensemble")


def frame(scene: str, place: str, seed: int) -> np.ndarray:
    """The middle frame of a scene, (H, W, 3) in 0 ... 255."""
    config = WorldConfig(scenes=(scene,), things=(2, 3), places=(place,), spec=SPEC)
    clip, _ = WorldDataset(config, seed, "test")[0]
    return 255 * clip.frames[:, SPEC.frames // 2].permute(1, 2, 0).numpy()


rows = [[frame(scene, place, 10 + column) for column, place in enumerate(PLACES)] for scene in SCENES]
sheet = np.concatenate([np.concatenate(row, 1) for row in rows])
cv2.imwrite(sys.argv[1], sheet[..., ::-1].round().astype(np.uint8), [cv2.IMWRITE_JPEG_QUALITY, 88])
