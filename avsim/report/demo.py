"""The page of `avsim demo`: clips generated from prompts and videos, separated and measured."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from avsim.clip import Clip, Region
from avsim.evaluation.features import Detectors, Features
from avsim.evaluation.regions import sounding_regions
from avsim.evaluation.suite import MetricSuite
from avsim.report.html import Html, Section, image, page, row, table
from avsim.report.pixels import ABOUT, SCRIPT, STYLE, hearable_clip
from avsim.report.players import player
from avsim.report.plots import spectrogram, strip
from avsim.report.scores import HEADER, cells
from avsim.separation import find_regions
from avsim.simulator import Simulator
from avsim.simulator.samples import Sample, shown_stems, write_listing
from avsim.world import Truth, WorldDataset

FRAMES = 6  # in a strip
UNSEEN = "medium", 4, "test"  # level, seed and split of the world's clips that videos are taken from


def write_page(simulator: Simulator, prompts: Sequence[str], folder: Path, seed: int = 0) -> Path:
    """Draw from prompts, videos and audio; write the clips and `index.html` to `folder`.

    Raises:
        InputError: the simulator lacks a part, or the folder can't be written.
    """
    detectors = Detectors.shipped()
    level, world_seed, split = UNSEEN
    (muted, truth), (pictured, shown) = (WorldDataset(level, world_seed, split)[index] for index in (0, 1))
    drawn = [
        Sample(clip, prompt, seed + index, "joint")
        for index, (clip, prompt) in enumerate(zip(simulator.batch(prompts, seed=seed), prompts, strict=True))
    ]
    samples = [
        *drawn,
        Sample(simulator.foley(muted.silent(), truth.caption, seed), truth.caption, seed, "foley"),
        Sample(
            simulator.animate(pictured.first_frame(), shown.caption, seed=seed),
            shown.caption,
            seed,
            "animate",
        ),
    ]
    write_listing(
        [
            sample.entry(sample.clip.write(folder / f"{number:04d}.mp4").name)
            for number, sample in enumerate(samples)
        ],
        folder,
    )
    found = [
        Features(each.clip, detectors, each.prompt, f"{number:04d}") for number, each in enumerate(samples)
    ]
    sections = [
        _about(simulator),
        _drawn(simulator, drawn, found[: len(drawn)]),
        _foley(muted, truth, samples[-2].clip),
        _animated(pictured, shown, samples[-1].clip),
        _pixels(simulator, samples[-2].clip, found[-2]),
        _judged(found),
    ]
    return page(folder / "index.html", "avsim: a world simulator that can be heard", sections, SCRIPT, STYLE)


def _about(simulator: Simulator) -> Section:
    parts, drawing = simulator.parts(), ("generator", "student", "video_codec", "audio_codec")
    count = sum(each.numel() for name in drawing if name in parts for each in parts[name].parameters())
    return Section(
        "What this is",
        [
            "avsim generates video and audio together, and separates the audio by the regions of the video "
            "that make it. Clips called generated were generated on this machine just now, by "
            f"{count / 1e6:.1f} million parameters; the rest are clips of avsim's synthetic world of things "
            "that fall, are struck and are played. The players have their sound on.",
        ],
    )


def _drawn(simulator: Simulator, samples: Sequence[Sample], found: Sequence[Features]) -> Section:
    """Each prompt's clip, and its stems by the regions of what is seen to sound."""
    rows = []
    for sample, features in zip(samples, found, strict=True):
        regions = regions_of(simulator, features)
        stems = shown_stems(sample.clip, simulator.separate(sample.clip, regions)) if regions else []
        rows.append(
            [
                sample.prompt,
                _shown(sample.clip, "generated"),
                row(player(part, name) for name, part in stems) if stems else "no sounding region was found",
            ]
        )
    return Section(
        "Video and audio from a prompt",
        [
            "Each clip was generated from the prompt on its left. On its right are the stems: the audio "
            "of each region with an event (without any, of the sounding regions that the separator finds), "
            "and the off-screen rest; they add up to the clip's audio.",
            table(["prompt", "generated", "stems of its regions"], rows),
        ],
    )


def regions_of(simulator: Simulator, features: Features) -> list[Region]:
    """Around what is seen to sound; where nothing is, what the separator finds by itself."""
    clip = features.clip
    assert clip.frames is not None
    regions = sounding_regions(features.view, clip.spec.size, clip.frames_per_second)
    return regions or find_regions(simulator.part("separator"), clip)


def _foley(clip: Clip, truth: Truth, made: Clip) -> Section:
    return Section(
        "Audio for a silent video",
        [
            "The same model, given the prompt and the video, which is returned unchanged.",
            truth.caption,
            row([_heard(clip, "the world's own audio"), _heard(made, "the generated audio")]),
        ],
    )


def _animated(clip: Clip, truth: Truth, made: Clip) -> Section:
    return Section(
        "A clip from an image",
        [
            "Given the prompt and the first frame. They leave much open, so a good clip may differ from the "
            "original.",
            truth.caption,
            row([_shown(clip, "the world's clip"), _shown(made, "generated from its first frame")]),
        ],
    )


def _pixels(simulator: Simulator, clip: Clip, features: Features) -> Section:
    """The clip with the generated audio, in which each pixel plays its stem."""
    regions = regions_of(simulator, features)
    return Section(
        "The sound of every pixel", [ABOUT, hearable_clip(simulator.part("separator"), clip, regions)]
    )


def _judged(found: Sequence[Features]) -> Section:
    """What the scorers that apply say of all clips."""
    suite = MetricSuite(weights=found[0].detectors.weights)
    for features in found:
        suite.update(features)
    rows = [
        [result.metric.name, *cells(result.headline, result.scores[result.headline])]
        for result in suite.results()
        if result.applies and result.warning is None
    ]
    return Section(
        "Metrics",
        [
            f"Of these {len(found)} clips, which are few: see the intervals. The floor is the value of "
            "the same clips with each other's audio, the ceiling that of the world's own clips. Metrics that "
            "failed their calibration are left out.",
            table(["metric", *HEADER], rows),
        ],
    )


def _shown(clip: Clip, label: str) -> Html:
    """A player over its frames and its spectrogram."""
    assert clip.wave is not None
    pictures = [
        image(strip(clip, FRAMES), "frames"),
        image(spectrogram(clip.wave, clip.sample_rate), "sound"),
    ]
    return Html(row([player(clip, label)]) + row(pictures))


def _heard(clip: Clip, label: str) -> Html:
    """A player over its spectrogram."""
    assert clip.wave is not None
    return Html(player(clip, label) + image(spectrogram(clip.wave, clip.sample_rate), "sound"))
