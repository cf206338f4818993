"""Results, log and model card are short, dated and linked."""

import re
from datetime import date
from pathlib import Path

import pytest

EXPERIMENTS = Path(__file__).parent.parent / "experiments"
RESULTS = sorted(EXPERIMENTS.glob("*/RESULT.md"))
LOG = (EXPERIMENTS / "LOG.md").read_text()
ENTRIES = re.split(r"^## ", LOG, flags=re.M)[1:]
DOCUMENTS = [*RESULTS, EXPERIMENTS / "LOG.md"]


def name(path: Path) -> str:
    return path.parent.name if path.name == "RESULT.md" else path.name


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
