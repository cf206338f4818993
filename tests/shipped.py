"""Numbers that the shipped weights, and some random ones, gave: a change of what is computed is seen.

`python -m tests.shipped` writes `shipped.json` anew, for a change that is meant to change them.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path

import torch
from torch import Tensor

from avsim.clip import Clip, Region
from avsim.weights import SMALL, load_model

NUMBERS = Path(__file__).with_suffix(".json")
TOLERANCE = 0.01  # of a tensor's rms; the order of a sum changes them by less


def clip() -> Clip:
    """1.0625 s of a ball that falls in front of a gradient, with a note from its landing on."""
    y, x = torch.meshgrid(torch.linspace(0, 1, 64), torch.linspace(0, 1, 64), indexing="ij")
    frames = torch.stack([0.3 + 0.3 * x, 0.4 + 0.2 * y, 0.5 - 0.2 * x * y])[:, None].repeat(1, 17, 1, 1)
    for number in range(17):
        middle = 0.1 + 0.7 * min(1.0, (number / 9) ** 2)
        ball = (x - 0.35).square() + (y - middle).square() < 0.01
        frames[:, number, ball] = torch.tensor([0.8, 0.1, 0.1])[:, None]
    seconds = torch.arange(17000) / 16000
    after = (seconds - 9 / 16).clamp(min=0)
    note = 0.4 * (2 * math.pi * 523 * after).sin() * (-6 * after).exp()
    hum = 0.02 * (2 * math.pi * 110 * seconds).sin()
    return Clip(frames, torch.stack([note + hum, 0.5 * note + hum]), 16.0, 16000)


def region() -> Region:
    """The box in which the ball falls."""
    return Region.box(12, 0, 20, 60, size=(64, 64))


def fingerprint(tensor: Tensor) -> list[float]:
    """Its mean, its rms, and four projections on cosines, which for noise have the size of the rms."""
    flat = tensor.detach().double().flatten()
    number = torch.arange(len(flat), dtype=torch.float64)
    waves = [(flat * (0.19 * (k + 1) * number + k).cos()).sum() / len(flat) ** 0.5 for k in range(4)]
    return [float(each) for each in (flat.mean(), flat.square().mean().sqrt(), *waves)]


@torch.no_grad()
def video_codec() -> dict[str, Tensor]:
    """The video codec's latents, and the errors of its frames."""
    codec, given = load_model(SMALL / "video_codec").eval(), clip()
    latents = codec.encode(given.frames[None])
    return {"video latents": latents, "errors": codec.decode(latents, given.spec) - given.frames}


@torch.no_grad()
def audio_codec() -> dict[str, Tensor]:
    """The audio codec's latents, and its wave of them."""
    codec, given = load_model(SMALL / "audio_codec").eval(), clip()
    latents = codec.encode(given.wave[None])
    return {"audio latents": latents, "wave": codec.decode(latents, given.spec)}


@torch.no_grad()
def separator() -> dict[str, Tensor]:
    """The separator's stems."""
    from avsim.separation import separate

    stems = separate(load_model(SMALL / "separator").eval(), clip(), [region()])
    return {"stems": stems.wave}


def long_clip() -> Clip:
    """17 s: the ball falls again and again, each time elsewhere and louder; over three windows."""
    frames, waves = [], []
    for number in range(16):
        given = clip()
        assert given.frames is not None and given.wave is not None
        wide = torch.nn.functional.pad(given.frames, (0, 32, 0, 0), mode="replicate")  # 96 pixels
        frames.append(wide.roll(6 * (number % 4), 3))
        waves.append(given.wave.roll(number % 2, 0) * (0.3 + 0.04 * number))
    return Clip(torch.cat(frames, 1), torch.cat(waves, 1), 16.0, 16000)


@torch.no_grad()
def discovery() -> dict[str, Tensor]:
    """Of a long clip by a small random separator: stems, where sound lies, regions, and what pages need."""
    from avsim.separation import Separator, find_regions, separate
    from avsim.separation.discovery import map_audio, region_at
    from avsim.separation.pixels import unfold
    from avsim.separation.stems import frame_source

    torch.manual_seed(0)
    model = Separator(
        short_side=32, width=8, fine=8, coarse=24, frame_blocks=2, bin_widths=[8, 16, 24]
    ).eval()
    for parameter in model.parameters():
        parameter.add_(0.3 * torch.randn(parameter.shape))
    given = long_clip()
    assert given.frames is not None and given.wave is not None
    size = (64, 96)
    moving = torch.zeros(given.frames.shape[1], *size)
    for number in range(len(moving)):
        left = 12 + 6 * (number // 17 % 4)
        moving[number, :, left : left + 20] = 1.0
    regions = [
        Region(moving, "moving"),
        Region.box(0, 40, 30, 24, size=size),
        Region.point(50, 5, size),
    ]
    found = map_audio(model, frame_source(given, model), given.wave, 16000)
    sounding = find_regions(model, given)
    points = [region_at(found, x, y, size).mask for x, y in ((20.0, 45.0), (95.0, 0.0), (40.0, 60.0))]
    pixels = unfold(model, frame_source(given, model), given.wave, 16000, regions)
    return {
        "long stems": separate(model, given, regions).wave, "power": found.power,
        "off screen": found.off_screen,
        "spectra": found.spectra, "regions": torch.stack([region.mask for region in sounding]),
        "points": torch.stack(points), "pixels' power": pixels.power, "pixels' masks": pixels.masks,
        "pixels' places": torch.cat([place.flatten() for place in pixels.places]),
        "spans": torch.tensor([[each.column, len(each.columns_frame)] for each in pixels.spans]).float(),
        "cells": torch.cat([each.cells.values.flatten() for each in pixels.spans]),
        "bins": torch.cat([each.bins.values.flatten() for each in pixels.spans]),
        "totals": torch.cat([each.total.flatten() for each in pixels.spans]),
    }  # fmt: skip


def generator() -> dict[str, Tensor]:
    """The generator's and the student's clips of a sentence, and audio for a video."""
    from avsim.clip import LatentSpec
    from avsim.diffusion import FOLEY, Latents, generate
    from avsim.simulator.defaults import default_guidance

    model, student = (load_model(SMALL / part).eval() for part in ("generator", "student"))
    spec, given = LatentSpec(clip().spec), Latents(load_video(), None)
    prompt = ["a red rubber ball falls in a studio"]
    how = {"steps": 2, "seed": 3}
    joint = generate(model, prompt, spec, guidance=default_guidance("joint"), **how)
    drawn = generate(
        model, prompt, spec, student=student, guidance=default_guidance("joint", student=True), **how
    )
    heard = generate(model, prompt, spec, given, FOLEY, guidance=default_guidance("foley"), **how)
    return {
        "joint video": joint.video, "joint audio": joint.audio, "student video": drawn.video,
        "student audio": drawn.audio, "foley audio": heard.audio,
    }  # fmt: skip


def load_video() -> Tensor:
    """The video latents of the clip."""
    return video_codec()["video latents"]


PARTS: dict[str, Callable[[], dict[str, Tensor]]] = {
    each.__name__: each for each in (video_codec, audio_codec, separator, discovery, generator)
}


def differences(part: str) -> dict[str, float]:
    """By how much a part's numbers differ from those written, in shares of each tensor's rms."""
    written = json.loads(NUMBERS.read_text())[part]
    found = {name: fingerprint(tensor) for name, tensor in PARTS[part]().items()}
    assert found.keys() == written.keys()
    return {
        name: max(abs(a - b) for a, b in zip(found[name], numbers, strict=True)) / numbers[1]
        for name, numbers in written.items()
    }


def main() -> None:
    """Write the numbers of all parts."""
    torch.set_num_threads(1)
    found = {
        part: {name: [round(x, 7) for x in fingerprint(tensor)] for name, tensor in compute().items()}
        for part, compute in PARTS.items()
    }
    NUMBERS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    main()
