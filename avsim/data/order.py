"""Which clip is row r of step k: an endless, shuffled order that nobody needs to remember."""

from avsim.seeds import derive

_ROUNDS = 6


def clip_at(position: int, length: int, seed: int) -> int:
    """The clip at `position` of an endless order that shows each of `length` clips once in every pass.

    Position is step times batch plus row. A pass is shuffled by `shuffled`, so that the order of billions of
    clips (a world) costs no memory, and resuming needs nothing but the step.
    """
    passes, place = divmod(position, length)
    return shuffled(place, length, derive(seed, "order", passes))


def shuffled(place: int, length: int, seed: int) -> int:
    """The element at `place` of a permutation of range(length) that `seed` names.

    A Feistel network on the next even number of bits; what falls outside the range is sent through it again
    (cycle walking), which keeps it one to one. Black & Rogaway, Ciphers with Arbitrary Finite Domains, 2002.
    """
    half = max(1, ((length - 1).bit_length() + 1) // 2)
    mask = (1 << half) - 1
    while True:
        left, right = place >> half, place & mask
        for turn in range(_ROUNDS):
            left, right = right, left ^ (derive(seed, turn, right) & mask)
        place = left << half | right
        if place < length:
            return place
