"""`avsim compare`: clips of one prompt stand and play beside each other; what differs is counted in pairs."""

import json
import math
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from avsim import Clip, InputError
from avsim.__main__ import main
from avsim.report import compare_wandb
from avsim.report.columns import Column, parameters_of, read_columns, rows, shared
from avsim.report.compare import Comparison, _decided
from avsim.report.generated import generate_column, read_prompts
from avsim.report.paired import Difference
from avsim.simulator import Simulator
from tests.browser import CHROMIUM, MISSING, Browser, until
from tests.small.models import export

CLIP = Clip(torch.rand(3, 4, 16, 16), 0.1 * torch.randn(2, 4000))


def make_run(folder: Path, entries: list[tuple[str, int]], step: int = 200, metrics: str = "") -> Path:
    samples = folder / "samples" / f"step={step:08d}"
    make_folder(samples, entries)
    if metrics:
        (folder / "csv").mkdir(exist_ok=True)
        (folder / "csv" / "metrics.csv").write_text(metrics)
    return folder


def make_folder(folder: Path, entries: list[tuple[str, int]], clip: Clip = CLIP) -> Path:
    listing = []
    for number, (prompt, seed) in enumerate(entries):
        clip.write(folder / f"{number}.mp4")
        listing.append({"file": f"{number}.mp4", "prompt": prompt, "seed": seed, "task": "joint"})
    (folder / "samples.json").write_text(json.dumps(listing))
    return folder


@pytest.fixture
def runs(tmp_path):
    make_run(tmp_path / "a", [("old", 0)], step=9)
    a = make_run(
        tmp_path / "a", [("a <b>ball</b>", 0), ("a ball", 1)], 200, "epoch,step,loss\n0,9,0.5\n0,19,\n"
    )
    b = make_run(tmp_path / "b", [("a ball", 1), ("a bell", 0)], 30, "step,loss,val/psnr\n9,0.25,31.23456\n")
    (a / "config.yaml").write_text("seed: 0\nmodel:\n  width: 8\n  depth: 2\n")
    (b / "config.yaml").write_text("seed: 1\nmodel:\n  width: 8\n  depth: '<i>'\n")
    return [a, b]


def test_rows_join_and_the_latest_step_is_taken(runs):
    a, b = read_columns(runs)
    assert (a.step, b.step) == (200, 30)
    assert rows([a, b]) == [
        ("a <b>ball</b>", 0, "joint", 0),
        ("a ball", 1, "joint", 0),
        ("a bell", 0, "joint", 0),
    ]
    assert shared([a, b]) == [("a ball", 1, "joint", 0)] and len(shared([a])) == 2
    assert (a.metrics, b.metrics) == ({"loss": "0.5"}, {"loss": "0.25", "val/psnr": "31.23"})


def test_the_page_has_what_is_shared_and_what_differs(runs, tmp_path, capsys):
    out = tmp_path / "out" / "page.html"
    assert main(["compare", *map(str, runs), "--out", str(out)]) == 0
    text = out.read_text()
    assert text.count('<section class="group">') == 1 and text.count('<article class="card"') == 2
    assert "<b>ball" not in text and "a (step 200)" in text and "31.23" in text
    assert "2 settings differ" in text and "model.depth" in text and "model.width" not in text
    assert "<i>" not in text and "&lt;i&gt;" in text and "2 metrics over steps" in text
    assert "http" not in text.replace('http-equiv="Content-Security-Policy"', "")
    assert "Nothing is decided by fewer than 6 pairs." in text
    assert "undecided in every metric" in capsys.readouterr().out


def test_a_metric_without_a_value_is_not_judged_and_others_have_units_and_directions():
    given = [
        Difference("offset", "offset, median, ms", 11.0, 35.0, 2.0, 40.0, 8, 9, False, {"is silent": 1}),
        Difference("physics, 4 timbre", "4 timbre", math.nan, math.nan, math.nan, math.nan, 9, 9, True, {}),
        Difference("text", "facts right", 0.5, 0.5, -0.1, 0.1, 9, 9, True, {}),
    ]
    found = Comparison([Column("a", {}), Column("b", {})], [], {}, {"b": given}, [])
    text = _decided(found)[0].parts
    rows = [re.sub("<[^>]*>", " ", row).split() for row in re.findall("<tr>.*?</tr>", text[1])]
    assert " ".join(rows[1]) == "offset, median, ms ↓ worse 24 2 … 40 11 35 8 of 9"
    assert len(rows) == 3 and " ".join(rows[2]).startswith("text: facts right ↑ undecided")
    assert text[2] == "Not judged: physics, 4 timbre (nothing to compare)."
    assert "By how much the audio is later" in text[3] and "fewer than" not in text[0]


def test_folders_are_matched_by_prompt_and_seed_or_prompt_or_file(tmp_path):
    ours = make_folder(tmp_path / "ours", [("a bell", 3), ("a ball", 4)])
    peer, named = tmp_path / "peer", tmp_path / "named"
    for name in ("x", "y"):
        CLIP.write(peer / f"{name}.mp4")
    lines = [{"file": "x.mp4", "prompt": "a ball"}, {"file": "y.mp4", "prompt": "a bell"}]
    (peer / "prompts.jsonl").write_text("\n".join(map(json.dumps, lines)))
    one, other = read_columns([ours, peer])
    assert [(row.prompt, one.clips[row].name, other.clips[row].name) for row in shared([one, other])] == [
        ("a bell", "0.mp4", "y.mp4"), ("a ball", "1.mp4", "x.mp4"),
    ]  # fmt: skip
    for name in ("0", "1", "2"):
        CLIP.write(named / f"{name}.webm")
    one, other = read_columns([ours, named])
    assert [(row.prompt, row.seed) for row in shared([one, other])] == [("a bell", 3), ("a ball", 4)]
    assert [row.prompt for row in rows(read_columns([named]))] == ["0", "1", "2"]
    stranger = make_folder(tmp_path / "stranger", [("a drum", 0)])
    (stranger / "0.mp4").rename(stranger / "z.mp4")
    (stranger / "samples.json").write_text(
        '[{"file": "z.mp4", "prompt": "a drum", "seed": 0, "task": "joint"}]'
    )
    with pytest.raises(InputError, match="stranger: shares no prompt and no file name with ours"):
        read_columns([ours, stranger])


def test_samples_without_words_all_get_a_row(tmp_path):
    first = make_run(tmp_path / "first", [("", 0), ("", 0), ("", 0)])
    second = make_run(tmp_path / "second", [("", 0), ("", 0)])
    assert rows(read_columns([first, second])) == [("", 0, "joint", n) for n in range(3)]


def test_runs_of_one_name_are_told_apart(tmp_path):
    folders = [make_run(tmp_path / x / "run", [("p", 0)]) for x in ("one", "two")]
    assert len({run.name for run in read_columns(folders)}) == 2


def test_broken_clips_are_shown_as_such_and_counted(tmp_path, capsys):
    entries = [(f"a bell is struck {k}", k) for k in range(3)]
    a, b = (make_folder(tmp_path / name, entries) for name in "ab")
    (b / "1.mp4").write_bytes(b"broken")
    out = tmp_path / "page.html"
    assert main(["compare", str(a), str(b), "--out", str(out)]) == 0
    text = out.read_text()
    assert text.count('class="card broken"') == 1 and "1 can&#x27;t be read and looks unlike" in text


def test_checkpoints_generate_the_same_prompts_with_the_same_seeds(tmp_path, capsys):
    models = [export(tmp_path / name) for name in ("one", "two")]
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "a bell is struck", "seed": 5}\n{"prompt": "x y"}\n')
    out = tmp_path / "out" / "page.html"
    line = ["compare", *map(str, models), "--prompts", str(tmp_path / "prompts.jsonl"), "--steps", "2"]
    assert main([*line, "--out", str(out)]) == 0
    folders = [out.parent / "page-clips" / name for name in ("one", "two")]
    listed = [json.loads((folder / "samples.json").read_text()) for folder in folders]
    assert listed[0] == listed[1] and [each["seed"] for each in listed[0]] == [5, 1]
    assert (folders[0] / "0000.mp4").read_bytes() == (folders[1] / "0000.mp4").read_bytes()  # equal weights
    text = out.read_text()
    assert "TFLOPs a clip" in text and "seconds a clip" in text and text.count("<article") == 4
    count = sum(
        parameters_of(models[0] / "simulator" / n / "model.safetensors")
        for n in ("generator", "video_codec", "audio_codec")
    )
    assert f"{count / 1e6:.3g} M" in text


def test_prompts_are_lines_or_objects(tmp_path):
    (tmp_path / "p.txt").write_text("one\n\n two \n")
    assert read_prompts(tmp_path / "p.txt", 7) == [("one", 7), ("two", 8)]
    for text in ("", "[1]", '{"prompt": 3}', '{"prompt": "x", "seed": "1"}'):
        (tmp_path / "p.jsonl").write_text(text)
        with pytest.raises(InputError, match="p.jsonl"):
            read_prompts(tmp_path / "p.jsonl", 0)


@pytest.mark.skipif(CHROMIUM is None, reason=MISSING)
def test_clips_of_a_prompt_play_as_one(tmp_path):
    seconds = 4.0
    clip = Clip(torch.rand(3, 64, 32, 32), 0.1 * torch.randn(2, 64000))
    shorter = Clip(torch.rand(3, 48, 32, 32), 0.1 * torch.randn(2, 48000))
    folders = [make_folder(tmp_path / name, [("a bell", 0), ("a ball", 1)], clip) for name in "ab"]
    folders.append(make_folder(tmp_path / "c", [("a bell", 0), ("a ball", 1)], shorter))
    for folder in folders[:2]:
        (folder / "metrics.csv").touch()
    run = make_run(tmp_path / "run", [("a bell", 0)], 5, "step,loss\n1,0.5\n2,0.25\n")
    out = tmp_path / "page.html"
    assert main(["compare", *map(str, [*folders, run]), "--out", str(out)]) == 0
    with Browser(tmp_path / "chromium", out) as browser:
        browser.run("groups[0].root.scrollIntoView()")
        ready = "groups[0].cards.slice(0, 3).every((c) => c.media?.readyState >= 3)"
        browser.run(until(ready))
        browser.run("Card.choose(groups[0].cards[1])")
        browser.press(" ", " ")
        watched = """(async () => {
          const found = [], begun = performance.now();
          const runs = (m) => !m.paused && !m.ended;
          while (performance.now() - begun < 2200) {
            await new Promise(requestAnimationFrame);
            const [a, b, c] = groups[0].cards.map((card) => card.media);
            if ([a, b, c].every(runs)) found.push([b, c].map((m) => m.currentTime - a.currentTime));
          }
          return found;
        })()"""
        tries = []
        for _ in range(3):  # others run on this machine too; one undisturbed look is enough
            off = torch.tensor(browser.run(watched)).abs()
            tries.append(off[len(off) // 2 :].quantile(0.9) if len(off) > 10 else torch.tensor(1.0))
            if tries[-1] <= 0.02:
                break
            browser.run("groups[0].pause(), groups[0].go(0), groups[0].play()")
        assert min(tries) <= 0.02, tries
        browser.run("groups[0].pause(), groups[0].go(0), groups[0].play()")
        browser.run(until("groups[0].heard.mixer.wired"))
        heard = "groups[0].cards.map((card) => Boolean(card.mixer.wired))"
        assert browser.run(until(f"{heard}.join() === 'true,false,false,false'"))
        shown = "groups[0].cards[0].mixer.heard() - groups[0].cards[0].now()"
        assert abs(browser.run(shown)) < 0.05
        browser.press("b", "b")
        assert browser.run(until(f"{heard}.join() === 'false,true,false,false'"))
        x, y = browser.run(
            "(b => [b.left + 40, b.top + 40])(groups[0].cards[0].root.getBoundingClientRect())"
        )
        browser.ask("Input.dispatchMouseEvent", type="mouseMoved", x=x, y=y)
        assert browser.run(until(f"{heard}.join() === 'true,false,false,false'"))
        browser.press(" ", " ")
        assert not browser.run("groups[0].playing")
        browser.run("groups[0].cards[0].seek(1.5)")
        assert (
            browser.run("groups[0].cards.slice(0, 3).map((c) => Math.abs(c.now() - 1.5) < 0.05)")
            == [True] * 3
        )
        widths = browser.run(
            "groups[0].cards.slice(0, 3).map((c) => parseFloat(c.tracks.parentElement.style.width))"
        )
        assert widths == pytest.approx([100, 100, 100 * 3 / seconds])
        browser.run(until("groups[0].cards[1].root.querySelectorAll('.differing').length === 2"))
        assert browser.run("groups[0].cards[0].root.querySelectorAll('.differing').length") == 0
        browser.run("document.querySelector('details.curves').open = true")
        browser.run(until("document.querySelectorAll('.uplot canvas').length === 1"))
        assert browser.complaints() == []


@pytest.mark.skipif(CHROMIUM is None, reason=MISSING)
def test_spectrograms_beside_each_other_have_one_scale(tmp_path):
    wave = 0.3 * torch.randn(2, 16000)
    folders = [
        make_folder(tmp_path / name, [("a bell", 0)], Clip(torch.rand(3, 16, 32, 32), level * wave))
        for name, level in (("quiet", 0.03), ("loud", 1.0))
    ]
    out = tmp_path / "page.html"
    assert main(["compare", *map(str, folders), "--out", str(out)]) == 0
    light = """groups[0].cards.map(({ canvas }) => {
      const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
      return data.reduce((sum, x, i) => sum + (i % 4 < 3 ? x : 0), 0) / data.length;
    })"""
    with Browser(tmp_path / "chromium", out) as browser:
        browser.run("groups[0].root.scrollIntoView()")
        browser.run(until("groups[0].cards.every((card) => card.painted)"))
        quiet, loud = browser.run(light)
        assert loud > 1.5 * quiet > 0  # 30 dB of 70 darker
        assert browser.complaints() == []


def test_the_wandb_tables_are_logged_offline_with_their_videos(runs, tmp_path):
    out = tmp_path / "out" / "page.html"
    environment = {**os.environ, "WANDB_MODE": "offline", "WANDB_SILENT": "true"}
    command = [sys.executable, "-m", "avsim", "compare", *map(str, runs), "--out", str(out), "--wandb"]
    subprocess.run(command, check=True, env=environment, timeout=120)
    media = out.parent / "wandb"
    logged = list(media.glob("offline-run-*/files/media/table/compare_*.json"))
    assert len(logged) == 1
    held = json.loads(logged[0].read_text())
    assert held["columns"] == ["prompt", "seed", "task", "a (step 200)", "b (step 30)"]
    assert [cell for row in held["data"] for cell in row[3:]].count("Video") == 2
    staged = {file.read_bytes() for file in (media / "artifacts").rglob("*") if file.is_file()}
    assert (runs[1] / "samples/step=00000030/0.mp4").read_bytes() in staged  # so with its audio
    (paired,) = media.glob("offline-run-*/files/media/table/compare/paired_*.json")
    table = json.loads(paired.read_text())
    assert table["columns"][:2] == ["column", "metric"] and {row[0] for row in table["data"]} == {"b"}


def test_the_workspace_shows_the_table_the_samples_and_every_metric(runs):
    pytest.importorskip("wandb_workspaces")
    made = compare_wandb.workspace(read_columns(runs), "somebody", "avsim")
    assert [section.name for section in made.sections] == ["Compared", "Samples", "Losses", "val", "System"]
    view = json.dumps(made._to_model().model_dump(mode="json"))
    for name in ("compare", "samples/table", "loss", "val/psnr"):
        assert f'"{name}"' in view


def test_the_report_has_a_section_for_each_group_of_metrics(runs):
    pytest.importorskip("wandb_workspaces")
    made = compare_wandb.report(read_columns(runs), "somebody", "avsim")
    headings = [block.text for block in made.blocks if type(block).__name__ == "H1"]
    assert headings == ["Paired differences", "Clips side by side", "Samples", "Losses", "val", "System"]
    panels = [panel for block in made.blocks for panel in getattr(block, "panels", [])]
    tables = [panel.table_name for panel in panels if hasattr(panel, "table_name")]
    assert tables == ["compare/paired", "compare", "samples/table"]
    assert {"loss", "val/psnr", "system/cpu"} <= {str(y) for panel in panels for y in getattr(panel, "y", [])}


def test_a_report_without_an_account_is_one_clear_line():
    class Report:
        def save(self):
            raise Exception("not logged in")  # as wandb-workspaces has it

    with pytest.raises(InputError, match="the report could not be sent to wandb: not logged in"):
        compare_wandb.save(Report())


def test_metrics_go_to_the_section_that_shows_them():
    names = [
        "train/video_s_0.0-0.1",
        "val/loss",
        "val/conditioning_gain",
        "val/si_sdr",
        "clips_per_second",
        "val/psnr",
        "epoch",
    ]
    assert compare_wandb.metric_sections(names) == {
        "Losses by noise level": ["train/video_s_0.0-0.1"],
        "Losses": ["val/loss"],
        "Synchrony": ["val/conditioning_gain"],
        "Separation": ["val/si_sdr"],
        "Cost": ["clips_per_second"],
        "Training": ["epoch"],
        "val": ["val/psnr"],
    }


def write(text: str):
    def change(run: Path) -> None:
        next(run.glob("samples/step=00000200/samples.json")).write_text(text)

    return change


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (write("not json"), "samples.json"),
        (write("{}"), "expected a list"),
        (write("[]"), "lists no clip"),
        (write('[{"file": "0.mp4"}]'), "prompt"),
        (write('[{"file": "../../../../x.mp4", "prompt": "", "seed": 0, "task": ""}]'), "outside"),
        (write('[{"file": "0.mp4", "prompt": "", "seed": "x", "task": ""}]'), "seed"),
        (lambda run: (run / "config.yaml").write_text("a: [1"), "config.yaml"),
        (lambda run: (run / "csv" / "metrics.csv").write_text("step,loss\nx,y\n"), "metrics.csv"),
    ],
)
def test_a_broken_run_is_one_clear_line(runs, tmp_path, change, found, capsys):
    change(runs[0])
    out = tmp_path / "page.html"
    assert main(["compare", str(runs[0]), "--out", str(out)]) == 2
    line = capsys.readouterr().err.strip()
    assert found in line and "\n" not in line and not out.exists()


@pytest.mark.parametrize("folder", ["missing", "empty"])
def test_a_folder_that_is_no_run(tmp_path, folder):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=folder):
        read_columns([tmp_path / folder])


def test_a_file_that_is_no_page_of_avsims_is_refused_before_any_work(tmp_path, capsys):
    (tmp_path / "mine.html").write_text("mine")
    assert main(["compare", str(tmp_path / "absent"), "--out", str(tmp_path / "mine.html")]) == 2
    assert "mine.html: is there and no page of avsim's" in capsys.readouterr().err


def test_a_stopped_generation_leaves_no_listing_of_other_clips(tmp_path, monkeypatch):
    folder = make_folder(tmp_path / "clips", [("old", 0)])
    monkeypatch.setattr(Simulator, "generate", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        generate_column(str(export(tmp_path / "one")), [("new", 0)], folder, 1)
    assert not (folder / "samples.json").exists()


@pytest.mark.parametrize(
    ("options", "found"),
    [
        (["--workspace"], "--entity"),
        (["--report"], "--entity"),
        (["--votes", "x.csv"], "--votes"),
        (["--key", "x.json"], "--votes, which is missing"),
        (["--question", "x"], "--blind is missing"),
        (["--steps", "4"], "--prompts FILE is missing"),
        (["--blind"], "2 folders"),
        (["--prompts", "absent.txt"], "absent.txt"),
    ],
)
def test_options_that_do_not_go_together(runs, capsys, options, found):
    assert main(["compare", str(runs[0]), *options]) == 2
    assert found in capsys.readouterr().err
