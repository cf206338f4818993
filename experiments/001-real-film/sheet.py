"""What was made, for eyes and ears: held-out clips, their reconstructions, their foley, joint draws."""

from pathlib import Path

import cv2
import numpy as np
import torch

from avsim.clip import Clip
from avsim.files import atomic
from avsim.report import spectrogram, strip
from avsim.simulator import Simulator

SHOWN = 3  # clips of each kind


def write_sheet(simulator: Simulator, clips: list[Clip], names: list[str], folder: Path) -> None:
    """FOLDER/made/*.mp4 and FOLDER/looked-at.png: a strip of frames above a spectrogram for each."""
    step = max(1, len(clips) // SHOWN)
    chosen = range(step // 2, len(clips), step)  # evenly spread, not chosen by eye
    made: dict[str, Clip] = {}
    with torch.no_grad():
        for index in list(chosen)[:SHOWN]:
            clip, name = clips[index], names[index]
            made[f"held out {name}"] = clip
            made[f"through the codecs {name}"] = Clip(
                simulator.video_codec.decode(simulator.video_codec.encode(clip.frames[None]), clip.spec)[0],
                simulator.audio_codec.decode(simulator.audio_codec.encode(clip.wave[None]), clip.spec)[0],
            )
            made[f"foley of the muted {name}"] = simulator.foley(clip.silent(), seed=index)
        for seed in range(SHOWN):
            made[f"joint, seed {seed}"] = simulator.generate("", seed=seed)
    rows = []
    for name, clip in made.items():
        clip.write(folder / "made" / f"{name.replace(' ', '-').replace(',', '').replace('@', '-at-')}.mp4")
        pictures = [_decoded(strip(clip)), _decoded(spectrogram(clip.wave, clip.sample_rate))]
        width = max(picture.shape[1] for picture in pictures)
        title = np.full((22, width, 3), 255, np.uint8)
        cv2.putText(title, name, (4, 16), cv2.FONT_HERSHEY_SIMPLEX, 0.45, (0, 0, 0), 1, cv2.LINE_AA)
        rows += [title, *(np.pad(p, ((0, 0), (0, width - p.shape[1]), (0, 0))) for p in pictures)]
    width = max(row.shape[1] for row in rows)
    sheet = np.concatenate(
        [np.pad(r, ((0, 0), (0, width - r.shape[1]), (0, 0)), constant_values=255) for r in rows]
    )
    with atomic(folder / "looked-at.png") as temporary:
        temporary.write_bytes(cv2.imencode(".png", sheet)[1].tobytes())


def _decoded(png: bytes) -> np.ndarray:
    return cv2.imdecode(np.frombuffer(png, np.uint8), cv2.IMREAD_COLOR)
