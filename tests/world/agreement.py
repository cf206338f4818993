"""A caption against the truth."""

from collections.abc import Sequence
from dataclasses import fields

from avsim.world.captions.facts import Facts, Meeting, ThingFacts, holds_in


def agree(said: Facts, true: Facts) -> bool:
    """Whether all stated facts hold: each named thing matches another thing of the clip."""
    for field in fields(Facts):
        one, other = getattr(said, field.name), getattr(true, field.name)
        if field.name in ("things", "unseen", "meetings"):
            if not _each_has_its_own(one, other):
                return False
        elif field.name == "walls":
            if not set(one) <= set(other):
                return False
        elif one is not None and one != other:
            return False
    return True


def _each_has_its_own(said: Sequence[ThingFacts | Meeting], true: Sequence[ThingFacts | Meeting]) -> bool:
    """Whether the stated things can be assigned to the true ones, one to one."""
    if not said:
        return True
    first, *rest = said
    return any(
        holds_in(first, other) and _each_has_its_own(rest, [*true[:k], *true[k + 1 :]])
        for k, other in enumerate(true)
    )
