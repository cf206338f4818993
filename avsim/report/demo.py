"""The page of `avsim demo`: generated clips beside the world's own, separated and measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from avsim.clip import Region
from avsim.data.worlds import SceneVariants
from avsim.errors import InputError
from avsim.evaluation.features import Detectors, Features
from avsim.evaluation.regions import sounding_regions
from avsim.evaluation.suite import MetricSuite
from avsim.perception.naming import named
from avsim.perception.referred_region import overview
from avsim.report.card import MARKS, STEM_KEYS, Shown, card
from avsim.report.findings import findings
from avsim.report.html import Html, Section, escaped, link, page, table
from avsim.report.pixels import ABOUT, SCRIPT, STYLE, hearable_clip
from avsim.report.scores import HEADER, LEGEND, arrow, cells
from avsim.report.truth import shown_truth
from avsim.separation import find_regions
from avsim.simulator import Simulator
from avsim.simulator.samples import Sample, write_listing
from avsim.world import WorldDataset

UNSEEN = "medium", 4, "test"  # difficulty, seed and split of the world's clips that videos are taken from
LONGER = 1.0  # s by which a clip is extended


class Prompt(NamedTuple):
    """What someone wrote, and the caption that the model gets."""

    written: str
    caption: str


def write_page(
    simulator: Simulator,
    prompts: Sequence[Prompt],
    folder: Path,
    seed: int = 0,
    failures: Sequence[tuple[Prompt, str]] = (),
) -> Path:
    """Generate from prompts, a video and a clip; write the clips and `index.html` to `folder`.

    `failures` are prompts beside what goes wrong with them.

    Raises:
        InputError: the simulator lacks a part, or the folder can't be written.
    """
    detectors = Detectors.shipped()
    difficulty, world_seed, split = UNSEEN
    muted, truth = WorldDataset(difficulty, world_seed, split)[0]
    every = [*prompts, *(prompt for prompt, _ in failures)]
    generated = simulator.batch([prompt.caption for prompt in every], seed=seed)
    longer = simulator.extend(generated[0], every[0].caption, LONGER, seed)
    loop = simulator.loop(generated[0], prompt=every[0].caption, seed=seed)
    pairs = enumerate(zip(generated, every, strict=True))
    samples = [
        *(Sample(clip, prompt.caption, seed + k, "joint") for k, (clip, prompt) in pairs),
        Sample(simulator.foley(muted.without_audio(), truth.caption, seed), truth.caption, seed, "foley"),
        Sample(longer, every[0].caption, seed, "extend"),
        Sample(loop, every[0].caption, seed, "loop"),
    ]
    write_listing(
        [s.entry(s.clip.write(folder / f"{number:04d}.mp4").name) for number, s in enumerate(samples)], folder
    )
    guided = "sync_model" in simulator.parts()  # by the one that ships, as far as is known here
    sync_model = detectors.weights["sync_model"] if guided else ""
    found = [
        Features(each.clip, detectors, each.prompt, f"{k:04d}", "" if each.task == "foley" else sync_model)
        for k, each in enumerate(samples)
    ]
    cards = [_pair(simulator, *each, seed) for each in zip(every, samples, found, strict=False)]
    wrong = [
        Html(f"<p>{escaped(text)}</p>{pair}")
        for (_, text), pair in zip(failures, cards[len(prompts) :], strict=True)
    ]
    foley, extended, looped = samples[-3:]
    sections = [
        *(
            [Section("What fails", ["Prompts that were chosen because they go wrong.", *wrong], "failures")]
            if wrong
            else []
        ),
        Section(
            "Audio for a silent video",
            [
                "The model received the video and its caption; the video is returned unchanged.",
                _beside(
                    replace(_generated(simulator, foley, found[-3]), label="generated audio"),
                    shown_truth(muted, truth, "audio rendered by the world"),
                ),
            ],
            "foley",
        ),
        Section(
            "A clip extended",
            [
                f"The first clip of this page, continued by {LONGER:g} s.",
                card(_generated(simulator, extended, found[-2])),
            ],
            "extension",
        ),
        Section(
            "A clip that repeats",
            [
                "The first clip of this page, led back to its beginning; the button ↻ repeats it.",
                card(_generated(simulator, looped, found[-1])),
            ],
            "loop",
        ),
        Section("The audio of every pixel", [ABOUT, _pixels(simulator, foley, found[-3])], "pixels"),
        _judged(found),
    ]
    below = Html(f"<p>Below: {' · '.join(link(each.name, each.heading) for each in sections)}</p>")
    first = Section("", [_about(simulator), below, STEM_KEYS, *cards[: len(prompts)]])
    title = "avsim: video with synchronized audio"
    return page(folder / "index.html", title, [first, *sections], SCRIPT, STYLE)


def _about(simulator: Simulator) -> str:
    parts, generating = simulator.parts(), ("generator", "student", "video_codec", "audio_codec")
    count = sum(each.numel() for name in generating if name in parts for each in parts[name].parameters())
    return (
        f"Generated on this machine just now, video and audio together, by {count / 1e6:.1f} million "
        "parameters that were trained on avsim's synthetic world. Beside each clip is one that the world "
        "itself renders for the same caption, with its true events, onsets and stems. Regions of generated "
        f"clips are those of detected events; their stems add up to the clip's audio. {MARKS}"
    )


def _pair(simulator: Simulator, prompt: Prompt, sample: Sample, features: Features, seed: int) -> Html:
    """A generated clip beside the world's clip of the same sentence, where the world has one."""
    shown = _generated(simulator, sample, features)
    rewritten = prompt.caption if prompt.caption != prompt.written else ""
    shown = replace(
        shown, caption=prompt.written, label="generated", about={"model's prompt": rewritten, **shown.about}
    )
    try:
        clip, truth = SceneVariants(prompt.caption, simulator.spec, seed)[0]
    except InputError:
        return _beside(shown)
    return _beside(shown, shown_truth(clip, truth, "rendered by the world"))


def _beside(*shown: Shown) -> Html:
    return Html(f'<div class="cards">{"".join(card(each) for each in shown)}</div>')


def _generated(simulator: Simulator, sample: Sample, features: Features) -> Shown:
    """A generated clip, what detectors find in it, and its stems by the regions of its events."""
    regions = regions_of(simulator, features)
    stems = simulator.separate(sample.clip, regions) if regions else None
    about = {"seed": sample.seed}
    return Shown(sample.clip, sample.prompt, about, findings(features), stems, label="generated")


def regions_of(simulator: Simulator, features: Features) -> list[Region]:
    """Around what is seen to sound; where nothing is, what the separator finds by itself."""
    clip = features.clip
    assert clip.frames is not None
    regions = sounding_regions(features.view, clip.spec.size, clip.frames_per_second)
    if regions:
        return regions
    regions, detector = find_regions(simulator.part("separator"), clip), simulator.video_detector
    if detector is None:
        return regions
    return named(regions, overview(detector, [clip]), clip.spec.width / clip.spec.height)


def _pixels(simulator: Simulator, sample: Sample, features: Features) -> Html:
    """The clip with the generated audio, in which each pixel plays its stem."""
    shown = Shown(sample.clip, sample.prompt, {"seed": sample.seed}, findings(features))
    separator, regions = simulator.part("separator"), regions_of(simulator, features)
    return hearable_clip(separator, sample.clip, regions, shown)


def _judged(found: Sequence[Features]) -> Section:
    """The results of the metrics that apply, over all clips."""
    suite = MetricSuite(weights=found[0].detectors.weights)
    for features in found:
        suite.update(features)
    rows = [
        [
            f"{result.metric.name}\u00a0{arrow(result.metric.scorer().higher_is_better)}",
            *cells(result.headline, result.scores[result.headline]),
        ]
        for result in suite.results()
        if result.applies and result.warning is None
    ]
    return Section(
        "Metrics",
        [
            f"Of these {len(found)} clips, which are few: see the intervals. {LEGEND} Metrics that failed "
            "their calibration are left out.",
            table(["metric", *HEADER], rows),
        ],
        "metrics",
    )
