"""Damaged copies of a file, each named by a seed and a number."""

from __future__ import annotations

import random

_EXTREMES = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 2**31 - 1, 2**31, 2**32 - 1, -1, -2, 2**63 - 1)
_HEADER = 1024  # bytes from the beginning (or the end, where MP4 keeps its index) that most edits fall in


def mutant(data: bytes, seed: int, number: int) -> bytes:
    """A copy of `data` with one to four edits; the same for the same seed and number."""
    draw = random.Random(f"{seed}/{number}")
    changed = bytearray(data)
    for _ in range(draw.choice((1, 1, 1, 2, 4))):
        if len(changed) > 8:
            draw.choice((_flip, _flip, _run, _truncate, _duplicate, _swap, _field, _field, _field, _chunk))(
                changed, draw
            )
    return bytes(changed)


def _at(data: bytearray, draw: random.Random) -> int:
    """A place, in the first or last bytes three times of four: headers are short, packets long."""
    place = draw.randrange(len(data))
    near = min(len(data), _HEADER)
    return draw.choice((place, place % near, place % near, len(data) - 1 - place % near))


def _flip(data: bytearray, draw: random.Random) -> None:
    for _ in range(draw.choice((1, 1, 8, 64))):
        data[_at(data, draw)] ^= 1 << draw.randrange(8)


def _run(data: bytearray, draw: random.Random) -> None:
    at, length = _at(data, draw), draw.choice((1, 2, 4, 16, 256))
    length = min(length, len(data) - at)
    data[at : at + length] = draw.choice((b"\0" * length, b"\xff" * length, draw.randbytes(length)))


def _truncate(data: bytearray, draw: random.Random) -> None:
    del data[draw.randrange(4, len(data)) :]


def _duplicate(data: bytearray, draw: random.Random) -> None:
    at, length = _at(data, draw), draw.choice((1, 4, 16, 188, 1024))
    data[at:at] = data[at : at + length]


def _swap(data: bytearray, draw: random.Random) -> None:
    length = draw.choice((2, 4, 16, 188))
    one, two = sorted((_at(data, draw), _at(data, draw)))
    if two - one >= length and two + length <= len(data):
        data[one : one + length], data[two : two + length] = (
            data[two : two + length],
            data[one : one + length],
        )


def _field(data: bytearray, draw: random.Random) -> None:
    """An integer of 1 to 8 bytes at its extremes, or a little off what it was."""
    width, order = draw.choice((1, 2, 4, 4, 4, 8)), draw.choice(("big", "little"))
    at = min(_at(data, draw), len(data) - width)
    found = int.from_bytes(data[at : at + width], order)
    value = draw.choice((*_EXTREMES, found + 1, found - 1, 2 * found, found // 2, -found))
    data[at : at + width] = (value % (1 << 8 * width)).to_bytes(width, order)


def _chunk(data: bytearray, draw: random.Random) -> None:
    """The length beside a chunk's four-letter name (before it in MP4 and PNG, behind it in RIFF)."""
    names = [i for i in range(4, len(data) - 8) if all(97 <= byte | 32 <= 122 for byte in data[i : i + 4])]
    if not names:
        return
    at, order = draw.choice(names), draw.choice(("big", "little"))
    at += -4 if order == "big" else 4
    found = int.from_bytes(data[at : at + 4], order)
    value = draw.choice((0, 1, 7, 8, found + 1, found - 1, 2 * found, 2**31 - 1, 2**32 - 1, len(data)))
    data[at : at + 4] = (value % (1 << 32)).to_bytes(4, order)
