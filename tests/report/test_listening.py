"""The listening test: the page says nothing of whose a clip is, the key does, and votes give a win rate."""

import json
import re

import pytest

from avsim.__main__ import main
from tests.browser import CHROMIUM, MISSING, Browser, until
from tests.report.test_compare import make_folder


@pytest.fixture
def test_page(tmp_path, capsys):
    entries = [(f"prompt {k}", k) for k in range(12)]
    folders = [make_folder(tmp_path / name, entries) for name in ("secret-one", "secret-two")]
    out = tmp_path / "test" / "blind.html"
    assert main(["compare", *map(str, folders), "--blind", "--out", str(out)]) == 0
    assert capsys.readouterr().out.splitlines() == [str(out), f"key: {out.with_suffix('.key.json')}"]
    return out, json.loads(out.with_suffix(".key.json").read_text())


def test_the_page_is_blind_and_shuffled(test_page):
    page, key = test_page
    text = page.read_text()
    assert "secret" not in text and "0.mp4" not in text and text.count("<article") == 24
    assert key["columns"] == ["secret-one", "secret-two"] and len(key["rows"]) == 12
    assert {row["left"] for row in key["rows"].values()} == {0, 1}
    shown = re.findall(r"<h3>(prompt \d+)</h3>", text)
    assert sorted(shown) == sorted(f"prompt {k}" for k in range(12)) and shown != [
        f"prompt {k}" for k in range(12)
    ]
    assert [key["rows"][f"r{k:03d}"]["prompt"] for k in range(12)] == shown


def ballot(page, key, choose, listener="x") -> str:
    path = page.parent / f"{listener}.csv"
    lines = [f"{key['test']},{listener},{name},{choose(row)}" for name, row in key["rows"].items()]
    path.write_text("\n".join(["test,listener,row,vote", *lines]))
    return str(path)


def second(row) -> str:
    return "left" if row["left"] == 1 else "right"


def test_votes_give_the_win_rate(test_page, capsys):
    page, key = test_page
    line = ["compare", "--out", str(page), "--votes"]
    assert main([*line, ballot(page, key, second)]) == 0
    found = capsys.readouterr().out
    assert (
        "secret-two against secret-one: wins 100% (76% … 100%" in found and "12 votes of 1 listener" in found
    )
    files = [
        ballot(page, key, second, "x"),
        ballot(page, key, lambda row: "left", "y"),
        ballot(page, key, lambda row: "same", "z"),
    ]
    assert main([*line, *files]) == 0
    lefts = sum(row["left"] == 1 for row in key["rows"].values())
    share = (12 + lefts + 6) / 36
    found = capsys.readouterr().out
    assert f"wins {share:.0%}" in found and "36 votes of 3 listeners on 12 prompts" in found
    assert f"{12 + lefts} for secret-two, {12 - lefts} for secret-one, 12 without" in found


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "no votes"),
        ("a,b\n1,2\n", "expected the columns"),
        ("test,listener,row,vote\nother,x,r000,left\n", "of another test"),
        ("test,listener,row,vote\nTEST,x,r999,left\n", "no vote of this test"),
        ("test,listener,row,vote\nTEST,x,r000,up\n", "no vote of this test"),
        ("test,listener,row,vote\nTEST,x\n", "expected the columns"),
    ],
)
def test_what_is_no_ballot_is_one_line(test_page, capsys, text, found):
    page, key = test_page
    path = page.parent / "v.csv"
    path.write_text(text.replace("TEST", key["test"]))
    assert main(["compare", "--out", str(page), "--votes", str(path)]) == 2
    line = capsys.readouterr().err.strip()
    assert found in line and "\n" not in line


@pytest.mark.skipif(CHROMIUM is None, reason=MISSING)
def test_a_listener_votes_in_a_browser_and_saves(test_page, tmp_path, capsys):
    page, key = test_page
    with Browser(tmp_path / "chromium", page) as browser:
        browser.run(until("cards[0].built"))
        browser.ask("Browser.setDownloadBehavior", behavior="allow", downloadPath=str(tmp_path / "saved"))
        browser.run("document.querySelector('.listener').value = 'Li, \"the\" ear'")
        names = browser.run("[...document.querySelectorAll('.group')].map((g) => g.dataset.row)")
        for name in names[:-1]:
            vote = second(key["rows"][name])
            browser.run(f"document.querySelector('[data-row={name}] [data-vote={vote}]').click()")
        browser.run("Card.choose(groups.at(-1).cards[0])")
        browser.press("0", "0")
        assert browser.run("document.querySelector('.count').textContent") == "voted on 12 of 12"
        browser.run("document.querySelector('.save').click()")
        saved = tmp_path / "saved" / f"votes-{key['test']}.csv"
        browser.run("new Promise((done) => setTimeout(done, 1500))")
        text = saved.read_text() if saved.exists() else browser.run("votes.csv()")
        assert saved.exists() and text == browser.run("votes.csv()")
        assert browser.complaints() == []
    assert main(["compare", "--out", str(page), "--votes", str(saved)]) == 0
    assert "11 for secret-two, 0 for secret-one, 1 without a difference" in capsys.readouterr().out


@pytest.mark.skipif(CHROMIUM is None, reason=MISSING)
def test_each_listener_in_a_browser_has_their_own_votes(test_page, tmp_path):
    page, key = test_page
    first, second_row, *_ = key["rows"]

    def named(name):
        return (
            f"(() => {{ const at = document.querySelector('.listener'); at.value = '{name}';"
            " at.dispatchEvent(new Event('change')); })()"
        )

    def vote(row, side):
        return f"document.querySelector('[data-row={row}] [data-vote={side}]').click()"

    with Browser(tmp_path / "chromium", page) as browser:
        browser.run(until("cards[0].built"))
        browser.run(vote(first, "left"))  # before a name is given
        browser.run(named("Ann"))
        browser.run(vote(second_row, "right"))
        assert browser.run("votes.votes") == {first: "left", second_row: "right"}
        browser.run(named("Bo"))
        assert browser.run("votes.votes") == {}
        assert browser.run("document.querySelectorAll('[data-vote][aria-pressed=true]').length") == 0
        browser.run(vote(first, "same"))
        assert f',"Bo",{first},same' in browser.run("votes.csv()") and "Ann" not in browser.run("votes.csv()")
        browser.run(named("Ann"))
        assert browser.run("votes.votes") == {first: "left", second_row: "right"}
