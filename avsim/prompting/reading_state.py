"""What is known while a prompt is read: the things named so far, and what the current clause says of them."""

from collections.abc import Sequence
from typing import Any

from avsim.prompting.numbers import DESCRIBING
from avsim.prompting.tags import Part, Tag
from avsim.prompting.things import LOUD, Thing
from avsim.world.captions.facts import Meeting, ThingFacts

BREAKS = (
    Part.COMMA,
    Part.AND,
    Part.STOP,
    Part.THEN,
    Part.BEFORE,
    Part.AFTER,
    Part.ACTION,
    Part.BE,
    Part.AGENT,
)


class ReadingState:
    """The tags, what was read of them, and how actions and details get to things."""

    def __init__(self, tags: list[Tag]) -> None:
        self.tags = tags
        self.things: list[Thing] = []
        self.waiting: list[Thing] = []  # nouns without an action yet
        self.group: list[Thing] = []  # those that did the last action
        self.recent: list[Thing] = []  # the last noun's
        self.here: list[Thing] = []  # the last noun's, if it stands in this part of the sentence
        self.sentence: list[Thing] = []  # all that this sentence names
        self.before: list[Thing] = []  # all that the sentence before named
        self.pending: str | None = None  # an action without nouns yet
        self.previous: str | None = None  # the last action
        self.mods: dict[str, str] = {}
        self.number: int | None = None
        self.article = ""
        self.details: list[tuple[str, Any, str]] = []
        self.rank = self.clause = self.shot = 0
        self.after_comma: int | None = None
        self.per_second = False
        self.negated = self.swallow = self.of = self.hidden = self.something = self.cutting = self.agent = (
            False
        )
        self.referred = False  # the last noun is one that was named before
        self.player = ""
        self.refined = 0
        self.colliding: list[Thing] | None = None
        self.of_all: dict[str, Any] = {}
        self.walls: list[tuple[str, str]] = []
        self.wall: str | None = None
        self.moves: list[tuple[int, str]] = []
        self.cuts: list[float] = []
        self.unseen: list[ThingFacts] = []
        self.meetings: list[Meeting] = []
        self.lawn = False
        self.negative: list[str] = []
        self.unknown: list[str] = []
        self.unused: list[str] = []

    def _describe(self, things: Sequence[Thing], mods: dict[str, str]) -> None:
        for thing in things:
            for name, value in mods.items():
                thing.noun.setdefault(name, value)

    def _move_up(self, things: Sequence[Thing]) -> None:
        """Things that were named before and do something only now."""
        for thing in things:
            if thing.does not in LOUD:
                thing.rank = max(thing.rank, self.rank)

    def _act(self, things: list[Thing], does: str, joined: bool = False) -> None:
        """Let things do something, and how was said before."""
        for thing in things:
            thing.do(does)
        self.group = (
            [*self.group, *things] if joined and self.previous == does and self.group else list(things)
        )
        self.previous = does
        kept, self.details = self.details, []
        for name, value, words in kept:
            self._detail(name, value, words)

    def _detail(self, name: str, value: Any, words: str) -> None:
        """Give the things of the clause a detail, or keep it for those that are still to come."""
        if self.waiting or self.pending is not None and not self.group or not self.group:
            self.details.append((name, value, words))
            return
        took = [thing for thing in self.group if thing.accepts(name) and name not in thing.details]
        for thing in took:
            thing.add(name, value)
        if not took:
            self.details.append((name, value, words))

    def _next(self, place: int) -> Part:
        """What stands behind a place, prepositions and articles aside."""
        rest = (tag.part for tag in self.tags[place + 1 :] if tag.part not in (Part.ARTICLE, Part.ON))
        return next(rest, Part.STOP)

    def _follows(self, place: int) -> Part:
        """The first part behind a place that isn't an adjective."""
        rest = (tag.part for tag in self.tags[place + 1 :])
        return next((part for part in rest if part not in (*DESCRIBING, Part.NUMBER)), Part.STOP)

    def _object(self, place: int) -> bool:
        """Whether a thing follows before the next break."""
        for tag in self.tags[place + 1 :]:
            if tag.part in (Part.KIND, Part.PRONOUN) or (tag.part is Part.AGENT and tag.value):
                return True
            if tag.part in BREAKS:
                return False
        return False

    def _acts_itself(self, place: int) -> bool:
        """Whether an action follows a noun in the same part of the sentence."""
        for tag in self.tags[place + 1 :]:
            if tag.part is Part.ACTION:
                return True
            if tag.part in BREAKS and tag.part is not Part.BE:
                return False
        return False
