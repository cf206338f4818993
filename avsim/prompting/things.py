"""A thing while a prompt is read: what it is, what it does, and which details its like can have."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from avsim.world.captions.facts import Noun, ThingFacts
from avsim.world.captions.lexicon import ANYWHERE, TAILS
from avsim.world.flat.scene import SHAPES
from avsim.world.sound.phrases import INSTRUMENTS

LOUD = ("falls", "is struck", "plays")
NOTE_FORCES = {"gently": "softly", "firmly": "evenly", "hard": "loudly"}
RATES = {"quickly": 4.0, "slowly": 1.5}  # strokes a second
FIRST, SPAN = 0.2, 1.6  # s: where things in order start


@dataclass
class Thing:
    """A thing as far as it is known."""

    noun: dict[str, str]
    clause: int
    rank: int
    hidden: bool = False
    does: str | None = None
    details: dict[str, Any] = field(default_factory=dict)
    met: bool = False

    def natural(self) -> str:
        """What its like does where nothing is stated."""
        kind = self.noun["kind"]
        return "plays" if kind in INSTRUMENTS else "falls" if kind in SHAPES else "is struck"

    def fitting(self, does: str) -> str | None:
        """The action as it is stated of such a thing; None: nothing but its presence."""
        kind = self.noun["kind"]
        if does == "sounds":
            return self.natural()
        if kind in INSTRUMENTS:
            return {"is struck": "plays", "is left alone": "is held", "lies": None, "hangs": None}.get(
                does, does
            )
        if kind in SHAPES:
            return {"is left alone": "lies", "is held": "hangs", "plays": "is struck"}.get(does, does)
        return {"plays": "is struck", "is held": "is left alone", "lies": None, "hangs": None}.get(does, does)

    def do(self, does: str) -> None:
        """Take an action; a sounding one outlasts a silent one."""
        fitted = self.fitting(does)
        if fitted is not None and (self.does not in LOUD or self.does is None):
            self.does = fitted

    def accepts(self, name: str) -> bool:
        """Whether it does something that can be done so."""
        if name in ANYWHERE:
            return True
        does = self.natural() if self.does is None else self.does
        return name in TAILS[does] or (name in ("tip", "speed") and does == "is struck")

    def add(self, name: str, value: Any) -> None:
        """Add a detail, and with it the action that it is of."""
        if name == "leaves" and self.does is None:
            self.does = self.natural()
        if name == "silent" and self.does is None:
            self.does = {"plays": "is held", "is struck": "is left alone"}.get(self.natural())
        elif name not in ANYWHERE and self.does is None:
            self.does = self.natural()
        if name == "force" and self.does == "plays":
            value = NOTE_FORCES.get(value)
        if name == "speed":
            if self.details.get("times", 3) < 3:
                return
            name, value = "rate", RATES[value]
        if value is not None:
            self.details.setdefault(name, value)

    def facts(self) -> ThingFacts:
        """What is stated of it, as far as things that do so have such facts."""
        details = {
            name: value
            for name, value in self.details.items()
            if name in ANYWHERE or (self.does and self.accepts(name) and name != "speed")
        }
        if self.does == "plays" and details.get("force") in NOTE_FORCES:
            details["force"] = NOTE_FORCES[details["force"]]
        if self.does in LOUD:
            details.pop("silent", None)
        return ThingFacts(Noun(**self.noun), self.does, **details)


def in_order(things: Sequence[Thing]) -> list[Thing]:
    """Things by when they act; where that differs, they get the seconds that they start at."""
    ranks = sorted({thing.rank for thing in things})
    if len(ranks) > 1:
        for thing in things:
            if thing.does is None:
                thing.do("sounds")
            if thing.does in LOUD:
                share = ranks.index(thing.rank) / len(ranks)
                thing.details.setdefault("seconds", round(FIRST + SPAN * share, 1))
    return sorted(things, key=lambda thing: thing.rank)
