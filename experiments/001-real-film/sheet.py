"""Examples to watch: held-out clips, their reconstructions, their foley, joint samples."""

from pathlib import Path

import torch

from avsim.clip import Clip
from avsim.files import atomic
from avsim.report.plots import sheet
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
            made[f"foley of the muted {name}"] = simulator.foley(clip.without_audio(), "", seed=index)
        for seed in range(SHOWN):
            made[f"joint, seed {seed}"] = simulator.generate("", seed=seed)
    for name, clip in made.items():
        clip.write(folder / "made" / f"{name.replace(' ', '-').replace(',', '').replace('@', '-at-')}.mp4")
    with atomic(folder / "looked-at.png") as temporary:
        temporary.write_bytes(sheet(made))
