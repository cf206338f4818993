"""Pages in one file: no network, light and dark; what comes from users is escaped.

Text is a plain `str` and is escaped wherever it meets a page; only `Html`, which the functions of this
package make, is put there as it is. A page runs no script but the one it is written with.
"""

from __future__ import annotations

import base64
import hashlib
import html
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from avsim.errors import InputError
from avsim.files import atomic

GENERATOR = '<meta name="generator" content="avsim">'
_STYLE = (Path(__file__).parent / "page.css").read_text()


class Html(str):
    """A string that is HTML already."""


def escaped(value: str) -> Html:
    """`Html` as it is; any other text with its markup made harmless."""
    return value if isinstance(value, Html) else Html(html.escape(str(value), quote=True))


@dataclass(frozen=True)
class Section:
    """A part of a page: a heading, if any, then texts (each a paragraph) and `Html` (each as it is)."""

    heading: str
    parts: Sequence[str]
    name: str = ""  # by which `link` leads to it


def link(name: str, text: str) -> Html:
    """A link to a section of the page."""
    return Html(f'<a href="#{escaped(name)}">{escaped(text)}</a>')


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
        cells = "".join(f"<td>{escaped(cell)}</td>" for cell in rest).replace(" … ", "\u00a0…\u00a0")
        body += f'<tr><th scope="row">{escaped(first)}</th>{cells}</tr>'
    return Html(f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>')


def page(
    path: str | Path,
    title: str,
    sections: Sequence[Section],
    script: str = "",
    style: str = "",
    linked: bool = False,
) -> Path:
    """Write one self-contained file, with a script and a style of its own; it appears whole or not at all.

    With `linked` it may also play the files beside it.

    Raises:
        InputError: the folder can't be written, or the disk is full.
    """
    with atomic(path) as temporary:
        temporary.write_text(document(title, sections, script, style, linked), encoding="utf-8")
    return Path(path)


def document(
    title: str, sections: Sequence[Section], script: str = "", style: str = "", linked: bool = False
) -> str:
    """The text of a page."""
    body = "".join(_section(section) for section in sections)
    runs, allowed = "", "; media-src data:" + (" 'self' file:" if linked else "")
    if script:
        digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
        runs, allowed = f"<script>{script}</script>\n", f"{allowed}; script-src 'sha256-{digest}'"
    return _PAGE.format(
        title=escaped(title), generator=GENERATOR, style=_STYLE + style, body=body, runs=runs, allowed=allowed
    )


def check_own_page(path: str | Path) -> None:
    """Refuse to write over a file that no page of avsim's is.

    Raises:
        InputError: there is one.
    """
    path = Path(path)
    if path.is_dir():
        raise InputError(f"{path}: is a folder; expected the name of a page")
    if path.is_file():
        with open(path, errors="replace") as file:
            if GENERATOR not in file.read(1000):
                raise InputError(f"{path}: is there and no page of avsim's; choose another name")


def _section(section: Section) -> str:
    parts = (part if isinstance(part, Html) else f"<p>{escaped(part)}</p>" for part in section.parts)
    heading = f"<h2>{escaped(section.heading)}</h2>" if section.heading else ""
    name = f' id="{escaped(section.name)}"' if section.name else ""
    return f"<section{name}>{heading}{''.join(parts)}</section>"


_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; style-src 'unsafe-inline'{allowed}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
{generator}
<title>{title}</title>
<style>{style}</style>
{runs}</head>
<body>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""
