"""Results, log and model card are short, dated and linked."""

import re
from datetime import date
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent
EXPERIMENTS = ROOT / "experiments"
RESULTS = sorted(EXPERIMENTS.glob("*/RESULT.md"))
LOG = (EXPERIMENTS / "LOG.md").read_text()
ENTRIES = re.split(r"^## ", LOG, flags=re.M)[1:]
CARD = ROOT / "avsim" / "small" / "README.md"
DOCUMENTS = [*RESULTS, EXPERIMENTS / "LOG.md", CARD]


def name(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_no_line_is_wider_than_120_characters(path):
    lines = path.read_text().splitlines()
    assert [f"{number}: {line}" for number, line in enumerate(lines, 1) if len(line) > 120] == []


@pytest.mark.parametrize("path", DOCUMENTS, ids=name)
def test_tables_are_whole_and_links_lead_somewhere(path):
    text = path.read_text()
    for table in re.findall(r"(?:^\|.*\n)+", text, re.M):
        assert len({row.count("|") for row in table.replace("\\|", "").splitlines()}) == 1, table
    for link in re.findall(r"\]\(([^)#:]+)\)", text):
        assert (path.parent / link).exists(), link


@pytest.mark.parametrize("path", RESULTS, ids=name)
def test_a_result_has_at_most_100_lines_its_command_and_its_commit(path):
    text = path.read_text()
    assert len(text.splitlines()) <= 100
    assert re.search(rf"experiments/{path.parent.name}/\w+\.(sh|py)", text), "no command"
    assert re.search(r"\b(?=[0-9a-f]*\d)[0-9a-f]{7}\b|20\d\d-\d\d-\d\d", text), "neither commit nor date"
    assert "seed" in text and re.search(r"95 ?%|[Cc]hance", text)


def test_entries_of_the_log_are_dated_newest_first():
    assert len(ENTRIES) > 60
    dates = [date.fromisoformat(re.match(r"(\d{4}-\d\d-\d\d) · \S", entry)[1]) for entry in ENTRIES]
    assert dates == sorted(dates, reverse=True)


@pytest.mark.parametrize("entry", ENTRIES, ids=lambda entry: entry.splitlines()[0][:60])
def test_an_entry_of_the_log_has_at_most_12_lines(entry):
    lines = [line for line in entry.splitlines()[1:] if line.strip()]  # blank lines and the title not counted
    assert 0 < len(lines) <= 12


def test_the_model_card_has_the_hub_s_front_matter_and_sections():
    _, front, text = CARD.read_text().split("---\n", 2)
    about = yaml.safe_load(front)
    assert about["license"] == "apache-2.0" and about["library_name"] == "avsim"
    assert about["pipeline_tag"] == "text-to-video" and "video-to-audio" in about["tags"]
    headings = re.findall(r"^## (.+)$", text, re.M)
    assert {"Intended use", "How to use", "Training data", "Evaluation", "Limits"} <= set(headings)
    for part in (folder.name for folder in CARD.parent.iterdir() if folder.is_dir()):
        assert f"`{part}`" in text, f"{part} ships without a description"


def test_the_model_card_s_numbers_are_those_of_the_experiments():
    results = "\n".join(path.read_text() for path in RESULTS)
    values = re.findall(r"(\d+\.\d+) \((\d+\.\d+) … (\d+\.\d+)\)", CARD.read_text())
    assert len(values) > 10
    for value, low, high in values:
        assert re.search(rf"{value} (\| |\(){low} … {high}", results), f"{value} ({low} … {high})"


def test_the_model_card_s_snippet_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict = {}
    exec(re.search(r"```python\n(.*?)```", CARD.read_text(), re.S)[1], names)
    assert (tmp_path / "ball.mp4").is_file() and names["dubbed"].wave is not None


OLD_WORDS = re.compile(
    r"\b(pupils?|by heart|untold|told nothing|hearings?|leases?|leased|sittings?|gaze|criticised|lessons?)\b",
    re.I,
)
# Documents, configs and scripts; Python files are named by what they import.
TEXTS = [
    *(ROOT / "configs").rglob("*.yaml"),
    *(path for suffix in ("yaml", "sh", "md", "ipynb") for path in EXPERIMENTS.rglob(f"*.{suffix}")),
    *(ROOT / name for name in ("README.md", ".github/CONTRIBUTING.md", "CITATION.cff")),
    CARD,
]


@pytest.mark.parametrize("path", sorted(TEXTS), ids=lambda path: str(path.relative_to(ROOT)))
def test_no_home_made_word_is_left(path):
    lines = enumerate(path.read_text().splitlines(), 1)
    assert [f"{number}: {line}" for number, line in lines if OLD_WORDS.search(line)] == []
