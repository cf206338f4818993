"""AV-Truth: one fact differs at equal times; the truth wins, what ignores the video is at chance."""

import json
import shutil
from dataclasses import replace

import pytest
import torch

from avsim import media
from avsim.benchmark.baselines import BASELINES, baseline, motion_stops
from avsim.benchmark.choice import is_right, levels
from avsim.benchmark.make import Bench, make
from avsim.benchmark.metrics import amplified, delayed, panned, sensitivities
from avsim.benchmark.pairs import CHANGES, pair
from avsim.benchmark.score import score, score_folder, table
from avsim.cli import bench as command
from avsim.clip import Clip, ClipSpec
from avsim.errors import InputError
from avsim.evaluation.features import Detectors
from avsim.evaluation.suite import METRICS
from avsim.world.flat.render import render
from tests.running import avsim

SPEC = ClipSpec(1.5, 48, 48, 16.0, 16000, 2)


@pytest.fixture(scope="module")
def bench(tmp_path_factory) -> Bench:
    return make(tmp_path_factory.mktemp("bench") / "bench", SPEC, 2)


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("number", [0, 1, 2])
def test_one_fact_changes_and_all_hits_keep_their_times(change, number):
    one, other = pair(change, number, SPEC).scenes
    assert one != other and pair(change, number, SPEC).scenes == (one, other)
    times = [[hit.seconds for hit in scene.stick.hits] for scene in (one, other)]
    assert times[0] == times[1] and times[0]
    same = {"place", "floor", "bodies", "players", "walls", "occluders", "camera", "ambience", "seed"}
    changed = {"room": "place"}.get(change)
    for name in same - {changed}:
        assert getattr(one, name) == getattr(other, name), name
    differing = {
        "targets": one.targets != other.targets,
        "struck": [hit.target for hit in one.stick.hits] != [hit.target for hit in other.stick.hits],
        "speed": [hit.speed for hit in one.stick.hits] != [hit.speed for hit in other.stick.hits],
        "place": one.place != other.place,
    }
    expected = {"speed": "speed", "room": "place", "order": "struck", "target": "struck"}.get(
        change, "targets"
    )
    assert [name for name, differs in differing.items() if differs] == [expected]
    if expected == "targets":
        fields = [vars(scene.targets[0]) for scene in (one, other)]
        own = {name for name in fields[0] if fields[0][name] != fields[1][name]}
        assert own <= {"material": {"kind", "colour"}, "size": {"size"}, "side": {"x"}}[change]
    heard = [[contact.seconds for contact in render(scene, SPEC)[1].contacts] for scene in (one, other)]
    assert heard[0] == heard[1] and len(heard[0]) == len(times[0])


def test_a_benchmark_is_written_resumed_and_read(bench, tmp_path):
    assert len(bench.clips) == 2 * 2 * len(CHANGES) and len(bench.pairs()) == 2 * len(CHANGES)
    clip = bench.clips[0]
    video, truth = bench.video(clip), bench.truth(clip)
    assert video.wave is None and video.frames.shape == (3, 24, 48, 48)
    assert truth.wave.shape == (2, 24000)
    again = tmp_path / "again"
    shutil.copytree(bench.folder, again)
    (again / "bench.json").unlink()
    (again / "truth" / f"{clip.name}.wav").unlink()
    resumed = make(again, SPEC, 2)
    assert resumed.clips == bench.clips
    for name in ("videos", "truth"):
        for path in (bench.folder / name).iterdir():
            assert path.read_bytes() == (again / name / path.name).read_bytes()
    with pytest.raises(InputError, match="other settings"):
        make(again, SPEC, 3)


def test_truth_wins_and_what_ignores_the_video_is_at_chance(bench):
    truth, silence = (score(bench, baseline(name, bench), name) for name in ("truth", "silence"))
    assert all(share.mean == 1 for share in truth.choices.values())
    assert truth.f1.mean > 0.8 and abs(truth.offset) < 20 and truth.level_error == 0
    assert all(share.mean == 0.5 for share in silence.choices.values()) and silence.f1.mean == 0
    shuffled = score(bench, baseline("shuffled", bench), "shuffled")
    assert 0.2 < shuffled.choices["all"].mean < 0.8 and shuffled.f1.mean < truth.f1.mean
    wrong = {one.name: other for one, other in bench.pairs()} | {b.name: a for a, b in bench.pairs()}
    swapped = score(bench, lambda clip: bench.truth(wrong[clip.name]), "swapped")
    assert all(share.mean == 0 for share in swapped.choices.values())
    assert "| truth | 1.00 (1.00 … 1.00) |" in table([truth, silence])


def test_a_gain_and_a_coloration_that_both_share_change_no_choice(bench):
    def changed(clip):
        true = bench.truth(clip)
        softer = 0.4 * true.wave
        return replace(true, wave=softer - 0.3 * softer.roll(1, -1))

    assert score(bench, changed, "softer").choices["all"].mean == 1


def test_the_simplest_foley_is_often_in_time(bench):
    triggered = score(bench, baseline("triggered", bench), "triggered")
    assert triggered.f1.mean > 0.2
    frames = torch.zeros(3, 16, 8, 8)
    frames[:, 3] = 0.5
    frames[:, 4:] = 1.0
    assert motion_stops(frames, 16.0) == [5 / 16]
    assert motion_stops(torch.zeros(3, 16, 8, 8), 16.0) == []


def test_missing_files_count_as_wrong_and_are_named(bench, tmp_path):
    folder = tmp_path / "outputs"
    folder.mkdir()
    for clip in bench.clips[2:]:
        media.write(bench.truth(clip), folder / f"{clip.name}.wav")
    (folder / f"{bench.clips[0].name}.wav").write_bytes(b"no audio")
    found = score_folder(bench, folder)
    assert found.judged == found.clips - 2 and len(found.missing) == 2
    assert found.choices["material"].mean == 0.5 and found.choices["size"].mean == 1
    assert found.missing[1] == f"{bench.clips[1].name}: no file"
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(
        InputError, match="holds no audio for this benchmark; expected files such as material-000-a"
    ):
        score_folder(bench, empty)


def test_choices_by_hand():
    a, b = torch.zeros(1, 3, 2, 32), torch.ones(1, 3, 2, 32)
    assert is_right([a, b], [a, b]) == 1 and is_right([b, a], [a, b]) == 0 and is_right([a, a], [a, b]) == 0.5
    mono = Clip(None, torch.randn(1, 8000) * 0.1, sample_rate=8000)
    both = Clip(None, mono.wave.expand(2, -1), sample_rate=8000)
    assert torch.equal(levels(mono, [0.3]), levels(both, [0.3]))
    assert levels(mono, []).shape == (0, 3, 2, 32) and levels(mono, [5.0]).max() == -70


def test_corruptions_by_hand():
    clip = Clip(torch.zeros(3, 16, 4, 4), torch.randn(2, 16000), 16.0, 16000)
    late = delayed(clip, 80)
    assert not late.wave[:, :1280].any() and torch.equal(late.wave[:, 1280:], clip.wave[:, :-1280])
    assert torch.allclose(amplified(clip, 20.0).wave, 10 * clip.wave)
    middle = replace(clip, wave=clip.wave[:1].expand(2, -1))
    turned = panned(middle, 45.0).wave
    assert turned[0].abs().max() < 1e-5 and torch.allclose(turned.square().sum(), middle.wave.square().sum())


def test_a_metric_of_synchrony_notices_delays_and_not_gains(bench):
    chosen = [metric for metric in METRICS if metric.name == "synchrony of events"]
    few = replace(bench, clips=bench.clips[:8])
    steps = []
    found = {
        one.corruption: one
        for one in sensitivities(few, chosen, Detectors.shipped(), lambda: steps.append(1))
    }
    assert len(steps) == 8
    assert found["delay of 320 ms"].auroc.mean > 0.7 > found["gain of -3 dB"].auroc.mean
    one = found["wrong material"]
    assert one.auroc.low <= one.auroc.mean <= one.auroc.high and one.clips == 4


def test_the_commands(tmp_path):
    assert set(command.BASELINES) == set(BASELINES)
    place = tmp_path / "bench"
    small = ("--size", "32x32", "--seconds", 1.5, "-n", 1, "--change", "material,side,side", "--jobs", 1)
    done = avsim(tmp_path / "o", "bench", "make", "--out", place, *small)
    assert done.code == 0 and "4 clips, 2 pairs" in done.out
    shutil.copytree(place / "truth", tmp_path / "b" / "truth")
    folders = (place / "truth", tmp_path / "b" / "truth")
    done = avsim(tmp_path / "o", "bench", "score", *folders, "--bench", place, "--baseline", "silence",
                 "--out", tmp_path / "scores")  # fmt: skip
    assert done.code == 0, done.err
    plain = json.loads((tmp_path / "scores" / "scores.json").read_text(), parse_constant=pytest.fail)
    assert [one["name"] for one in plain] == ["silence", *map(str, folders)]
    assert plain[0]["offset_ms"] is None and [one["judged"] for one in plain] == ["4 of 4"] * 3
    done = avsim(tmp_path / "o", "bench", "metrics", "--bench", place, "--metric", "space",
                 "--out", tmp_path / "metrics")  # fmt: skip
    assert done.code == 0, done.err
    assert "| space |" in (tmp_path / "metrics" / "metrics.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("make", "--out", "b", "--change", "colour"), "change 'colour': expected some of material, size"),
        (("score", "--bench", "none", "--baseline", "truth", "--out", "s"), "none: no bench.json here"),
        (("score", "--bench", "none", "--out", "s"), "nothing to score"),
        (
            ("metrics", "--bench", "none", "--metric", "beauty", "--out", "m"),
            "--metric 'beauty': expected some of",
        ),
        ((), "required: WAY"),
    ],
)
def test_wrong_lines(arguments, message, tmp_path):
    done = avsim(tmp_path / "o", "bench", *arguments, cwd=tmp_path)
    assert done.code == 2 and message in done.err and done.err.count("\n") == 1


def test_an_index_that_lies_is_one_line(bench, tmp_path):
    folder = tmp_path / "bench"
    shutil.copytree(bench.folder, folder)
    index = json.loads((folder / "bench.json").read_text())
    for change, message in (
        ({"version": 9}, "another version"),
        ({"clips": [{"name": "x"}]}, "no clip, or one without"),
        ({"clips": [{**index["clips"][0], "name": "../../etc/passwd"}] * 2}, "outside its folder"),
        ({"clips": []}, "has no clip"),
        ({"clips": [{**index["clips"][0], "hits": [float("inf")]}] * 2}, "a hit at no time"),
        ({"clips": index["clips"][:1]}, "not of two clips"),
        ({"spec": {"seconds": "long"}}, "malformed"),
    ):
        (folder / "bench.json").write_text(json.dumps({**index, **change}))
        with pytest.raises(InputError, match=message):
            Bench.read(folder)
