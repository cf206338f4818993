"""Which clips train, which validate, which test: by the hash of where they come from."""

from collections.abc import Mapping

from avsim.errors import InputError
from avsim.seeds import derive


def assign(
    sizes: Mapping[str, int], seed: int = 0, validation: float = 0.1, test: float = 0.1
) -> dict[str, str]:
    """The split of each unit (a video, a shot) from its size: all that comes from one unit stays together.

    Units are put in the order of their hashes and dealt out from one end: test, validation, then train, each
    unit to where the middle of it falls. Every split that is requested gets a unit where there are three:
    where it got none, the smallest, so that most is left to train on.

    Raises:
        InputError: shares that are negative or leave nothing to train on.
    """
    if not (validation >= 0 and test >= 0 and validation + test < 1):
        raise InputError(
            f"validation {validation:g} and test {test:g} must be shares of at least 0 and below 1 together"
        )
    order = sorted(sizes, key=lambda unit: (derive(seed, "split", unit), unit))
    total, passed = sum(sizes.values()), 0
    split: dict[str, str] = {}
    for unit in order:
        middle = (passed + sizes[unit] / 2) / total
        split[unit] = "test" if middle < test else "validation" if middle < test + validation else "train"
        passed += sizes[unit]
    if len(order) >= 3:
        wanted = [name for name, share in (("test", test), ("validation", validation)) if share]
        _fill(split, sorted(order, key=lambda unit: sizes[unit]), wanted)
    return split


def _fill(split: dict[str, str], units: list[str], wanted: list[str]) -> None:
    """Give the first unit to spare to each empty split that is wanted, and leave one to train on."""
    given = list(split.values())
    for name in [*wanted, "train"]:
        if name not in given:
            unit = next(unit for unit in units if given.count(split[unit]) > 1)
            split[unit] = name
            given = list(split.values())
