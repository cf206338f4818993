"""A blind listening test: two clips of each prompt in random order, votes as csv, and the win rate.

The page holds no name of a column; which clip is whose lies in a key beside it, NAME.key.json.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch

from avsim import seeds
from avsim.errors import InputError
from avsim.files import atomic
from avsim.report.card import FRAME_KEYS, broken, card
from avsim.report.card import SCRIPT as CARD_SCRIPT
from avsim.report.card import STYLE as CARD_STYLE
from avsim.report.columns import Column, Row, shared
from avsim.report.files import WHOLE, seen_file, shown_file
from avsim.report.findings import Findings
from avsim.report.html import Html, Section, check_own_page, escaped, page
from avsim.report.listing import Entry
from avsim.report.paired import wilson
from avsim.untrusted import MALFORMED, read_json, read_text

_BESIDE = Path(__file__).parent
SCRIPT = CARD_SCRIPT + "".join((_BESIDE / name).read_text() for name in ("compare.js", "listening.js"))
STYLE = CARD_STYLE + (_BESIDE / "compare.css").read_text()
QUESTION = "Which clip is better, video and audio together?"
SIDES = ("left", "right")
VOTES = (*SIDES, "same")
FIELDS = ("test", "listener", "row", "vote")


def key_of(path: Path) -> Path:
    """The key of a page's listening test."""
    return path.with_suffix(".key.json")


def write_listening_test(
    columns: Sequence[Column], path: Path, seed: int = 0, question: str = QUESTION
) -> tuple[Path, Path]:
    """The page and its key.

    Raises:
        InputError: other than two columns, none of whose clips is of one prompt, or files that can't be
            written.
    """
    if len(columns) != 2:
        raise InputError(f"--blind compares 2 folders; {len(columns)} are given")
    check_own_page(path)
    common = shared(columns)
    names = [column.name for column in columns]
    test = hashlib.sha256(json.dumps([names, common, seed]).encode()).hexdigest()[:12]
    random = seeds.generator(seed, "listening test")
    order = torch.randperm(len(common), generator=random).tolist()
    first = torch.randint(2, (len(common),), generator=random).tolist()  # the column that is on the left
    key: dict[str, Any] = {"test": test, "columns": names, "rows": {}}
    groups = []
    for place, number in enumerate(order):
        row, left = common[number], first[number]
        name = f"r{place:03d}"
        key["rows"][name] = {"left": left, "prompt": row.prompt, "seed": row.seed}
        clips = [columns[each].clips[row] for each in (left, 1 - left)]
        groups.append(_group(name, row, clips, place, len(order)))
    about = (
        "Each prompt has two clips, in random order. They play together; you hear the one that you point at "
        "or tap, or choose with the keys A (left) and B (right). Vote with the buttons or the keys 1 (left), "
        "2 (right) and 0 (no difference)."
    )
    listener = Html(
        f'<div class="votes" data-test="{test}">'
        '<label>Your name <input class="listener" maxlength="40"></label>'
        '<span class="count" role="status"></span>'
        '<button type="button" class="tool save">Save votes (csv)</button></div>'
    )
    page(path, question, [Section("", [about, FRAME_KEYS, *groups, listener])], SCRIPT, STYLE)
    with atomic(key_of(path)) as temporary:
        temporary.write_text(json.dumps(key, indent=1, ensure_ascii=False))
    return path, key_of(path)


def _group(name: str, row: Row, clips: Sequence[Entry], place: int, count: int) -> Html:
    cards = "".join(_card(entry, side) for entry, side in zip(clips, SIDES, strict=True))
    labels = {"left": "Left is better", "same": "No difference", "right": "Right is better"}
    buttons = "".join(
        f'<button type="button" class="tool" aria-pressed="false" data-vote="{vote}">{text}</button>'
        for vote, text in labels.items()
    )
    return Html(
        f'<section class="group blind" data-row="{name}"><h3>{escaped(row.prompt or "no prompt")}</h3>'
        f'<p>{place + 1} of {count}</p><div class="cards">{cards}</div>'
        f'<div class="vote">{buttons}</div></section>'
    )


def _card(entry: Entry, side: str) -> Html:
    """A clip without anything that says whose it is."""
    try:
        seen = seen_file(entry, None)
    except InputError:
        return broken(side, "This clip can't be read.")
    shown = replace(shown_file(entry, seen), samples=seen.info.seconds <= WHOLE)
    return card(replace(shown, caption="", label=side.capitalize(), about={}, findings=Findings()))


@dataclass(frozen=True)
class Outcome:
    """What the votes say of the second column against the first."""

    columns: Sequence[str]
    votes: int
    listeners: int
    prompts: int
    wins: tuple[int, int]  # votes for the first, and for the second column
    same: int
    share: float  # of the second's wins, ties half, the mean over prompts
    low: float
    high: float

    @property
    def text(self) -> str:
        """In one line."""
        first, second = self.columns
        interval = f"{self.low:.0%} … {self.high:.0%}, 95 %"
        listeners = f"{self.listeners} listener{'s' * (self.listeners != 1)}"
        return (
            f"{second} against {first}: wins {self.share:.0%} ({interval}; a tie is half a win); "
            f"{self.votes} votes of {listeners} on {self.prompts} prompts: {self.wins[1]} for {second}, "
            f"{self.wins[0]} for {first}, {self.same} without a difference"
        )


def outcome(files: Sequence[Path], key: Path) -> Outcome:
    """Votes of one or several listeners; of several votes of one on a prompt the last counts.

    Raises:
        InputError: files that aren't votes of this test, or none at all.
    """
    truth = read_json(key, dict)
    try:
        test, names, rows = truth["test"], truth["columns"], truth["rows"]
        lefts = {str(name): int(row["left"]) for name, row in rows.items()}
        first, second = map(str, names)
    except MALFORMED as error:
        raise InputError(f"{key}: no key of a listening test ({error!r})") from error
    last: dict[tuple[str, str, str], float] = {}
    for path in files:
        for number, vote in enumerate(_read_votes(path), 2):
            if vote["test"] != test:
                raise InputError(f"{path}, line {number}: is of another test than {key}")
            if vote["row"] not in lefts or vote["vote"] not in VOTES:
                raise InputError(
                    f"{path}, line {number}: {vote['row']!r:.20}, {vote['vote']!r:.20}: no vote of this test"
                )
            left = lefts[vote["row"]]
            won = {"same": 0.5, "left": float(left == 1), "right": float(left == 0)}[vote["vote"]]
            who = vote["listener"] or f"{path}"
            last[who, vote["row"], test] = won
    if not last:
        raise InputError(f"{', '.join(map(str, files))}: no votes")
    by_row: dict[str, list[float]] = defaultdict(list)
    for (_, row, _), won in last.items():
        by_row[row].append(won)
    share = sum(sum(won) / len(won) for won in by_row.values()) / len(by_row)
    low, high = wilson(share, len(by_row))
    scores = list(last.values())
    return Outcome(
        (first, second), len(scores), len({who for who, _, _ in last}), len(by_row),
        (scores.count(0.0), scores.count(1.0)), scores.count(0.5), share, low, high,
    )  # fmt: skip


def _read_votes(path: Path) -> list[dict[str, str]]:
    try:
        found = list(csv.DictReader(io.StringIO(read_text(path), newline="")))
    except csv.Error as error:
        raise InputError(f"{path}: cannot be read as csv ({error})") from error
    if found and not all(
        set(FIELDS) <= set(each) and all(each[n] is not None for n in FIELDS) for each in found
    ):
        raise InputError(f"{path}: expected the columns {', '.join(FIELDS)}")
    return found
