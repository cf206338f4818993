"""The notebooks of experiments/tutorials run from top to bottom, and are committed without outputs."""

import ast
import importlib.util
import json
import sys
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TUTORIALS = ROOT / "experiments" / "tutorials"
NOTEBOOKS = sorted(TUTORIALS.glob("*.ipynb"))


def run_cells(path: Path, folder: Path, monkeypatch) -> dict:
    """Execute the code cells in one namespace, in `folder`; returns the namespace."""
    monkeypatch.chdir(folder)
    monkeypatch.setenv("PYTHONPATH", str(ROOT))  # of the commands that cells start
    if importlib.util.find_spec("IPython") is None:  # players alone come from it
        display = types.ModuleType("IPython.display")
        display.Audio = display.Video = lambda *arguments, **options: None
        monkeypatch.setitem(sys.modules, "IPython", types.ModuleType("IPython"))
        monkeypatch.setitem(sys.modules, "IPython.display", display)
    names: dict = {"__name__": "__main__"}
    for cell in json.loads(path.read_text())["cells"]:
        if cell["cell_type"] == "code":
            exec(compile("".join(cell["source"]), f"{path.name}, {cell['id']}", "exec"), names)
    return names


def test_there_are_two_tutorials():
    assert [path.stem for path in NOTEBOOKS] == ["generate_dub_separate", "train_and_compare"]


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_a_notebook_explains_its_cells_and_holds_no_outputs(path):
    notebook = json.loads(path.read_text())
    assert notebook["nbformat"] == 4
    kinds = [cell["cell_type"] for cell in notebook["cells"]]
    assert kinds[0] == "markdown" and kinds.count("markdown") >= kinds.count("code") - 1
    ids = [cell["id"] for cell in notebook["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in notebook["cells"]:
        text = "".join(cell["source"])
        assert max(map(len, text.splitlines())) <= 125
        if cell["cell_type"] == "code":
            assert cell["outputs"] == [] and cell["execution_count"] is None
            ast.parse(text)


@pytest.mark.slow
def test_generate_dub_separate(tmp_path, monkeypatch):
    names = run_cells(TUTORIALS / "generate_dub_separate.ipynb", tmp_path, monkeypatch)
    assert (tmp_path / "tutorial" / "stems" / "index.html").is_file()
    assert names["longer"].seconds == names["clip"].seconds + 1
    assert names["report"]


@pytest.mark.slow
def test_train_and_compare(tmp_path, monkeypatch):
    monkeypatch.setenv("STEPS", "2")
    monkeypatch.setenv("CLIPS", "16")
    names = run_cells(TUTORIALS / "train_and_compare.ipynb", tmp_path, monkeypatch)
    expected = {"val/video", "val/video_level_only", "val/audio", "val/conditioning_gain"}
    for run in ("joint", "cross"):
        assert expected <= set(names["metrics"][run])
    assert (tmp_path / "compare.html").is_file() and (tmp_path / "joint.mp4").is_file()
