"""The page of a folder: a card for each of its clips."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.progress import Progress

from avsim.errors import InputError
from avsim.report.card import KEYS, MARKS, SCRIPT, STYLE, broken, card
from avsim.report.files import LARGEST, Judges, check_embedded, seen_file, shown_file
from avsim.report.html import Html, Section, check_own_page, page
from avsim.report.listing import entries

PAGE = "index.html"


def write_folder_page(
    folder: str | Path, out: str | Path | None = None, linked: bool | None = False, detect: bool = True
) -> Path:
    """Write a page of all clips of a folder; those that can't be read are shown as such.

    Args:
        folder: with a samples.json, a prompts.jsonl or just videos.
        out: the page; None: `index.html` in the folder.
        linked: whether the page plays the clips where they lie; None: if they are too large for it to hold.
        detect: whether to mark events and onsets, and to look for the facts of prompts.

    Raises:
        InputError: no clips, none that can be read, more than a page holds, or a page that can't be written.
    """
    folder = Path(folder)
    out = folder / PAGE if out is None else Path(out)
    check_own_page(out)
    listed = entries(folder)
    paths = [entry.path for entry in listed]
    if linked is None:
        linked = sum(path.stat().st_size for path in paths if path.is_file()) > LARGEST
    if not linked:
        check_embedded(paths)
    judges = Judges.shipped() if detect else None
    cards: list[Html] = []
    failed: dict[str, str] = {}
    console = Console(stderr=True)
    with Progress(console=console, transient=True, disable=not console.is_terminal) as progress:
        for entry in progress.track(listed, description="page"):
            try:
                seen = seen_file(entry, judges)
                cards.append(card(shown_file(entry, seen, out.parent if linked else None)))
            except InputError as error:
                failed[entry.name] = str(error)
                cards.append(broken(entry.name, str(error)))
    if len(failed) == len(listed):
        raise InputError(
            f"none of the {len(listed)} clips can be read; the first: {next(iter(failed.values()))}"
        )
    count = f"{len(listed)} clip{'s' if len(listed) != 1 else ''}"
    lines = [f"{count}, of which {len(failed)} can't be read." if failed else f"{count}."]
    lines += [MARKS, KEYS] if detect else [KEYS]
    return page(out, folder.resolve().name, [Section("", [*lines, *cards])], SCRIPT, STYLE, linked)
