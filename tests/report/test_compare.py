"""`avsim compare`: the rows are prompts and seeds, the columns runs, and every clip keeps its sound."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from avsim import Clip, InputError
from avsim.__main__ import main
from avsim.report import compare

CLIP = Clip(torch.rand(3, 4, 16, 16), 0.1 * torch.randn(2, 4000))


def make_run(folder: Path, entries: list[tuple[str, int]], step: int = 200, metrics: str = "") -> Path:
    samples = folder / "samples" / f"step={step:08d}"
    samples.mkdir(parents=True)
    listing = []
    for number, (prompt, seed) in enumerate(entries):
        CLIP.write(samples / f"{number}.mp4")
        listing.append({"file": f"{number}.mp4", "prompt": prompt, "seed": seed, "task": "joint"})
    (samples / "samples.json").write_text(json.dumps(listing))
    if metrics:
        (folder / "csv").mkdir(exist_ok=True)
        (folder / "csv" / "metrics.csv").write_text(metrics)
    return folder


@pytest.fixture
def runs(tmp_path):
    make_run(tmp_path / "a", [("old", 0)], step=9)
    a = make_run(
        tmp_path / "a", [("a <b>ball</b>", 0), ("a ball", 1)], 200, "epoch,step,loss\n0,9,0.5\n0,19,\n"
    )
    b = make_run(tmp_path / "b", [("a ball", 1), ("a bell", 0)], 30, "step,loss,val/psnr\n9,0.25,31.23456\n")
    return [a, b]


def test_rows_join_and_the_latest_step_is_taken(runs):
    a, b = compare.read_runs(runs)
    assert (a.step, b.step) == (200, 30)
    assert compare.rows([a, b]) == [
        ("a <b>ball</b>", 0, "joint", 0),
        ("a ball", 1, "joint", 0),
        ("a bell", 0, "joint", 0),
    ]
    assert (a.metrics, b.metrics) == ({"loss": "0.5"}, {"loss": "0.25", "val/psnr": "31.23"})


def test_the_page_has_each_clip_with_sound_and_no_markup_of_users(runs, tmp_path):
    out = tmp_path / "out" / "page.html"
    assert main(["compare", *map(str, runs), "--out", str(out)]) == 0
    text = out.read_text()
    assert text.count("<video controls") == 4 and "muted" not in text
    assert "<b>ball" not in text and "a (step 200)" in text and "31.23" in text


def test_samples_without_words_all_get_a_row(tmp_path):
    first = make_run(tmp_path / "first", [("", 0), ("", 0), ("", 0)])
    second = make_run(tmp_path / "second", [("", 0), ("", 0)])
    assert compare.rows(compare.read_runs([first, second])) == [("", 0, "joint", n) for n in range(3)]


def test_runs_of_one_name_are_told_apart(tmp_path):
    folders = [make_run(tmp_path / x / "run", [("p", 0)]) for x in ("one", "two")]
    assert len({run.name for run in compare.read_runs(folders)}) == 2


def test_the_wandb_table_is_logged_offline_with_its_videos(runs, tmp_path):
    out = tmp_path / "out" / "page.html"
    environment = {**os.environ, "WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    command = [sys.executable, "-m", "avsim", "compare", *map(str, runs), "--out", str(out), "--wandb"]
    subprocess.run(command, check=True, env=environment, timeout=120)
    logged = list((out.parent / "wandb").glob("offline-run-*/files/media/table/compare*.json"))
    assert len(logged) == 1
    held = json.loads(logged[0].read_text())
    assert held["columns"] == ["prompt", "seed", "task", "a (step 200)", "b (step 30)"]
    assert len(held["data"]) == 3
    assert [cell for row in held["data"] for cell in row[3:]].count("Video") == 4
    staged = {file.read_bytes() for file in (out.parent / "wandb" / "artifacts").rglob("*") if file.is_file()}
    assert {file.read_bytes() for file in runs[1].rglob("*.mp4")} <= staged  # so with their sound


def test_the_workspace_shows_the_table_the_samples_and_every_metric(runs):
    pytest.importorskip("wandb_workspaces")
    made = compare.workspace(compare.read_runs(runs), "somebody", "avsim")
    assert [section.name for section in made.sections] == ["Compared", "Samples", "Training", "val"]
    view = json.dumps(made._to_model().model_dump(mode="json"))
    for name in ("compare", "samples/table", "loss", "val/psnr"):
        assert f'"{name}"' in view


def write(text: str):
    def change(run: Path) -> None:
        next(run.glob("samples/step=00000200/samples.json")).write_text(text)

    return change


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (write("not json"), "samples.json"),
        (write("{}"), "expected a list"),
        (write('[{"file": "0.mp4"}]'), "prompt"),
        (write('[{"file": "../../../../x.mp4", "prompt": "", "seed": 0, "task": ""}]'), "outside"),
        (write('[{"file": "gone.mp4", "prompt": "", "seed": 0, "task": ""}]'), "gone.mp4"),
        (write('[{"file": "0.mp4", "prompt": "", "seed": "x", "task": ""}]'), "seed"),
    ],
)
def test_a_broken_listing_is_one_clear_line(runs, tmp_path, change, found, capsys):
    change(runs[0])
    out = tmp_path / "page.html"
    assert main(["compare", str(runs[0]), "--out", str(out)]) == 2
    line = capsys.readouterr().err.strip()
    assert found in line and "\n" not in line and not out.exists()


@pytest.mark.parametrize("folder", ["missing", "empty"])
def test_a_folder_that_is_no_run(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=folder):
        compare.read_runs([tmp_path / folder])


def test_a_workspace_needs_an_entity(runs, capsys):
    assert main(["compare", str(runs[0]), "--workspace"]) == 2
    assert "--entity" in capsys.readouterr().err
