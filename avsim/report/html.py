"""Pages in one file: no network, light and dark; what comes from users is escaped.

Text is a plain `str` and is escaped wherever it meets a page; only `Html`, which the functions of this room
make, is put there as it is. A page runs no script but the one it is written with.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from avsim.files import atomic


class Html(str):
    """A string that is HTML already."""


def escaped(value: str) -> Html:
    """`Html` as it is; any other text with its markup made harmless."""
    return value if isinstance(value, Html) else Html(html.escape(str(value), quote=True))


@dataclass(frozen=True)
class Section:
    """A part of a page: a heading, then texts (each a paragraph) and `Html` (each as it is)."""

    heading: str
    parts: Sequence[str]


def image(png: bytes, label: str) -> Html:
    """A PNG with its caption."""
    data = base64.b64encode(png).decode()
    caption = escaped(label)
    return Html(
        f'<figure><img src="data:image/png;base64,{data}" alt="{caption}">'
        f"<figcaption>{caption}</figcaption></figure>"
    )


def row(items: Iterable[str]) -> Html:
    """Things beside each other, wrapping where the window is narrow."""
    return Html(f'<div class="row">{"".join(escaped(item) for item in items)}</div>')


def table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Html:
    """A table whose cells are texts or `Html`; the first of each row is its heading."""
    head = "".join(f'<th scope="col">{escaped(cell)}</th>' for cell in header)
    body = ""
    for first, *rest in rows:
        cells = "".join(f"<td>{escaped(cell)}</td>" for cell in rest)
        body += f'<tr><th scope="row">{escaped(first)}</th>{cells}</tr>'
    return Html(f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>')


def page(
    path: str | Path, title: str, sections: Sequence[Section], script: str = "", style: str = ""
) -> Path:
    """Write one self-contained file, with a script and a style of its own; it appears whole or not at all.

    Raises:
        InputError: the folder can't be written, or the disk is full.
    """
    body = "".join(_section(section) for section in sections)
    runs, allowed = "", ""
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        runs, allowed = f"<script>{script}</script>\n", f"; script-src 'sha256-{digest}'"
    text = _PAGE.format(title=escaped(title), style=_STYLE + style, body=body, runs=runs, allowed=allowed)
    with atomic(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return Path(path)


def _section(section: Section) -> str:
    parts = (part if isinstance(part, Html) else f"<p>{escaped(part)}</p>" for part in section.parts)
    return f"<section><h2>{escaped(section.heading)}</h2>{''.join(parts)}</section>"


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'{allowed}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{body}
</main>
{runs}</body>
</html>
"""

_STYLE = """
:root { color-scheme: light dark; --text: #1c1e21; --soft: #5b626b; --ground: #fbfbfa; --line: #dcdfe3; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e7e9ec; --soft: #9aa3ad; --ground: #15171a; --line: #33383e; }
}
body { margin: 0; background: var(--ground); color: var(--text); font: 16px/1.5 system-ui, sans-serif; }
main { max-width: 72rem; margin: 0 auto; padding: 1.5rem 1rem 4rem; }
h1 { font-size: 1.6rem; margin: 0 0 1rem; }
h2 { font-size: 1.15rem; margin: 2.2rem 0 .5rem; padding-top: .8rem; border-top: 1px solid var(--line); }
p { max-width: 46rem; margin: .4rem 0 .8rem; }
figure { margin: 0; }
figcaption { color: var(--soft); font-size: .85rem; max-width: 16rem; margin-top: .25rem; }
video { display: block; width: 16rem; max-width: 100%; height: auto; background: #000; border-radius: 4px; }
audio { display: block; width: 16rem; max-width: 100%; }
img { display: block; max-width: 100%; border-radius: 4px; image-rendering: pixelated; }
figure.sound img { width: 16rem; height: auto; margin-bottom: .3rem; image-rendering: auto; }
.row { display: flex; flex-wrap: wrap; gap: 1rem 1.2rem; align-items: flex-start; margin: .6rem 0 1rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; }
th, td { text-align: left; vertical-align: top; padding: .4rem .8rem .4rem 0; font-weight: normal; }
td video, td audio { width: 16rem; max-width: none; }
td img { max-width: 26rem; height: auto; }
td p { margin: 0 0 .6rem; }
td .row { margin: 0 0 .6rem; gap: .6rem; }
tbody th { max-width: 14rem; min-width: 6rem; }
thead th { color: var(--soft); font-size: .9rem; }
tbody tr { border-top: 1px solid var(--line); }
"""
