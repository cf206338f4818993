"""Tags -> facts: who does what, where, how often and in which order, however the words are arranged.

Nouns wait for an action (subjects), or an action waits for nouns (objects of an imperative, or of someone
who plays or strikes). What is said of how goes to the things of the clause that can do it so.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from avsim.prompting.naming import Naming
from avsim.prompting.numbers import combined
from avsim.prompting.tags import Part, Tag
from avsim.prompting.things import in_order
from avsim.world.captions.facts import Facts, Meeting, Noun
from avsim.world.flat.scene import SHAPES

QUIET = ("hangs", "lies", "is left alone", "is held")
NEGATED = {"is struck": "is left alone", "plays": "is held", "falls": "hangs", "sounds": "silent"}


@dataclass
class Reading:
    """What was understood of a prompt, and what wasn't."""

    facts: Facts
    negative: tuple[str, ...] = ()  # what shall not be there, in the prompt's words or the captions'
    unknown: tuple[str, ...] = ()  # words that no fact has
    unused: tuple[str, ...] = ()  # words that are known, but not of what they are said of


def read(tags: Sequence[Tag]) -> Reading:
    """What the tags of a prompt say."""
    reader = _Reader(combined(tags))
    return reader.reading()


class _Reader(Naming):
    # One tag after another -----------------------------------------------------------------------------

    def reading(self) -> Reading:
        for place, tag in enumerate(self.tags):
            self._read(tag, place)
        self._stop()
        self._leftovers()
        facts = self._facts()
        unique = (
            tuple(dict.fromkeys(filter(None, each))) for each in (self.negative, self.unknown, self.unused)
        )
        return Reading(facts, *unique)

    def _read(self, tag: Tag, place: int) -> None:
        """Read one tag."""
        match tag.part:
            case Part.KIND:
                self._noun(tag, place)
            case Part.ACTION:
                self._action(tag.value, place, tag.words)
            case Part.COLOUR | Part.MATERIAL | Part.SIZE:
                self._modifier(tag.part.name.lower(), tag)
            case Part.NUMBER:
                self.number = int(min(tag.value, 1000))
            case Part.ARTICLE:
                self.article = tag.words
            case Part.OF:
                self.of = True
            case Part.SIDE:
                self._side(tag)
            case Part.AGENT:
                self._agent(tag)
            case Part.STICK:
                self.agent = True
                if tag.value in ("wood", "rubber", "metal", "felt"):
                    self._detail("tip", tag.value, tag.words)
            case Part.PRONOUN:
                self._pronoun(tag)
            case Part.COMMA | Part.AND | Part.OR:
                self._soft(tag, place)
            case Part.STOP:
                self._stop()
            case Part.THEN | Part.BEFORE | Part.AFTER:
                self._order(tag, place)
            case Part.NEGATION:
                self.negated = True
            case Part.UNKNOWN:
                (self.negative if self.negated else self.unknown).append(tag.words)
                self.number = None
            case _:
                self._stated(tag, place)

    def _stated(self, tag: Tag, place: int) -> None:
        """Take in what is neither a thing nor an action."""
        if self.negated and tag.part in (Part.PLACE, Part.BACKGROUND, Part.FLOOR, Part.WALL, Part.PILLAR):
            self.negative.append(tag.words if tag.words.isascii() else str(tag.value or tag.words))
            return
        match tag.part:
            case Part.PLACE:
                self.of_all.setdefault("place", tag.value)
            case Part.FLOOR:
                self.lawn |= tag.value == "lawn"
                self._detail("floor", "grass" if tag.value == "lawn" else tag.value, tag.words)
            case Part.TIMES:
                self._times(tag, place)
            case Part.SECONDS if self.cutting:
                self.cuts.append(round(tag.value, 1))
            case Part.SECONDS:
                self._detail("seconds", round(tag.value, 1), tag.words)
            case Part.PER_SECOND if tag.value is None:
                self.per_second = True
            case Part.PER_SECOND:
                self._detail("rate", round(2 * tag.value) / 2, tag.words)
            case Part.LINE if self.waiting and all(each.noun["kind"] in SHAPES for each in self.waiting):
                self._action("falls", place, tag.words)
            case Part.FORCE | Part.SPEED | Part.REGISTER | Part.LINE:
                if self.negated:
                    self.negated = False
                    self.unused.append(tag.words)
                else:
                    after = self.tags[place + 1].part if place + 1 < len(self.tags) else Part.STOP
                    if self.waiting and self.tags[place - 1].part is Part.BE and after is not Part.ACTION:
                        self.group, self.waiting = self.waiting, []  # "the tuba is loud"
                    self._detail(tag.part.name.lower(), tag.value, tag.words)
            case Part.SILENT:
                if self.waiting:
                    self.group, self.waiting = self.waiting, []
                self._detail("silent", True, tag.words)
            case Part.LEAVES:
                self._detail("leaves", True, tag.words)
            case Part.HIDDEN:
                self._hide()
            case Part.SOMETHING:
                self.something = True
            case Part.BACKGROUND:
                self.of_all["background"] = tag.value
            case Part.WALL:
                self._wall(tag, place)
            case Part.PILLAR:
                self.of_all["pillars"] = self.number or (2 if tag.plural else 1)
                self.number = None
            case Part.THINGS_SEEN:
                if self.number is not None:
                    self.of_all["count"] = self.number
                    self.number = None
            case Part.CUT:
                self.cutting = True
            case Part.NO_CUT:
                self.of_all["cuts"] = ()
            case Part.NO_MOVE:
                self.of_all["moves"] = ()
            case Part.NOTHING_SOUNDS:
                self.of_all["silent"] = True
            case Part.ORDINAL:
                self.shot = tag.value
                if self.moves and place and self.tags[place - 1].part in (Part.MOVE, Part.ARTICLE):
                    self.moves[-1] = (tag.value, self.moves[-1][1])
                    self.shot = 0
            case Part.MOVE:
                self.moves.append((self.shot, tag.value))
                self.shot = 0

    # Actions -------------------------------------------------------------------------------------------

    def _action(self, does: str, place: int, words: str) -> None:
        """An action of the nouns before it, or of those behind it."""
        if self.swallow:
            self.swallow = False
            return
        if self.negated:
            self.negated = False
            does = NEGATED.get(does, does)
            if does == "silent":
                self._detail("silent", True, words)
                return
        if not self.waiting and self.number == 1 and self.mods and self.pending is None and self.things:
            named = [each for each in self.things if self.mods.items() <= each.noun.items()]
            one = named[0] if named else self.recent[min(self.refined, len(self.recent) - 1)]
            if named:
                self.mods, self.number = {}, None
            else:
                self._spare_mods()
            self.waiting = [one]  # "the left one is struck"
        behind = self._object(place)
        if does == "is struck" and self._next(place) in (Part.FLOOR, Part.GROUND):
            does = "falls"
        if does == "falls" and any(thing.does == "plays" for thing in self.waiting or self.group):
            if not behind and words in ("falling", "falls"):
                self._detail("line", "falling", words)
                return
        before = self.tags[place - 1].part if place else Part.STOP
        if does == "collide":
            self._end_clause()
            self.colliding = list(self.waiting or self.recent)
            if len(self.colliding) < 2 and not self.waiting:
                self.colliding = self.things[-2:]
            self.waiting, self.pending = [], None
            return
        starts = before in (Part.COMMA, Part.AND, Part.STOP, Part.THEN) or self.agent
        if self.waiting and does == "is struck" and behind and not starts and before is not Part.BE:
            if all(thing.noun["kind"] in SHAPES for thing in self.waiting):
                self.colliding, self.waiting = self.waiting, []
                return
        if self.waiting and not (starts and behind):
            self._spare_mods()
            group, self.waiting = self.waiting, []
            self._act(group, does)
            self.pending = None
        elif behind or not self.group:
            self.pending = does
            self.group = []
        else:
            self._act(self.group, does)
        self.agent = False

    def _times(self, tag: Tag, place: int) -> None:
        count, more = tag.value, None
        if isinstance(count, tuple):
            count, *more = count
            if len(more) == 3:
                self._action(more.pop(), place, tag.words)
        if self.colliding is not None:
            self.of_all["collisions"] = count
            return
        if self.per_second:
            self.per_second = False
            self._detail("rate", float(count), tag.words)
            return
        if more and more[0] is Part.ACTION:
            self._action(more[1], place, tag.words)
        self._detail("times", count, tag.words)
        if more and more[0] is not Part.ACTION:
            self._detail(more[0].name.lower(), more[1], tag.words)

    def _wall(self, tag: Tag, place: int) -> None:
        nearby = self._next(place)
        if tag.value in ("stone", "wood", "metal") and nearby is Part.SIDE or self.mods.get("side"):
            side = self.mods.pop("side", None)
            if side and tag.value:
                self.walls.append((side, tag.value))
            else:
                self.wall = tag.value
            return
        after = self.tags[place + 1] if place + 1 < len(self.tags) else None
        often = after.value if after and after.part is Part.TIMES and isinstance(after.value, int) else 1
        self._detail("walls", often, tag.words)
        if self.group and after and after.part is Part.TIMES:
            self.tags[place + 1] = Tag(Part.ARTICLE)

    # Boundaries ----------------------------------------------------------------------------------------

    def _soft(self, tag: Tag, place: int) -> None:
        """A comma, "and", "or"."""
        following = self._follows(place)
        lists = self.negated and tag.part is not Part.COMMA and following is Part.KIND
        self._spare_mods()
        self.here, self.of, self.agent = [], False, False
        if not (self.negated and (tag.part is Part.OR or lists)):
            self.negated = self.swallow = False
        if tag.part is Part.COMMA:
            self.player = ""
            self.clause += 1
            if self.after_comma is not None:
                self.rank, self.after_comma = self.after_comma, None
                self._end_clause()
        if following is Part.AGENT or tag.part is Part.COMMA and following is not Part.KIND:
            self._end_collision()

    def _order(self, tag: Tag, place: int) -> None:
        """Then, before, after."""
        starts = place == 0 or self.tags[place - 1].part is Part.STOP
        self._spare_mods()
        self.negated = self.swallow = False
        self.here = []
        if tag.part is Part.THEN:
            if self.waiting and self.previous is None and self.pending is None:
                pass  # "a bell and then a drum are struck"
            else:
                self._end_clause()
            self.rank += 1
        elif tag.part is Part.BEFORE:
            self._end_clause()
            self.rank += 1
            if starts:
                self.after_comma = self.rank - 1
        elif starts:
            self.after_comma = self.rank + 1
        else:
            self._end_clause()
            later = self.tags[place + 1].part is Part.PRONOUN if place + 1 < len(self.tags) else False
            for thing in self.group if later else self.sentence:
                if thing.rank == self.rank:
                    thing.rank += 1
        self.clause += 1

    def _end_clause(self) -> None:
        """End a clause: what still waits takes the last action, if it was told how or stands in a list."""
        self._end_collision()
        if self.waiting and self.previous and (self.details or self.rank or self.waiting[0].rank):
            group, self.waiting = self.waiting, []
            fits = all(self.previous in (thing.natural(), *QUIET) for thing in group)
            self._act(group, self.previous if fits else "sounds")
        elif self.waiting and self.details:
            group, self.waiting = self.waiting, []
            self.group = group
            kept, self.details = self.details, []
            for name, value, words in kept:
                self._detail(name, value, words)
        if self.pending is not None and not self.group and self.recent:
            self._act(self.recent, self.pending)

    def _end_collision(self) -> None:
        if self.colliding is None:
            return
        together, self.colliding = list(dict.fromkeys(map(id, self.colliding))), None
        things = [thing for thing in self.things if id(thing) in together][:2]
        if len(things) == 2:
            one, other = (Noun(**thing.noun) for thing in things)
            self.meetings.append(Meeting(one, other, self.of_all.pop("collisions", None)))
            for thing in things:
                thing.met = True

    def _stop(self) -> None:
        """End a sentence."""
        self._spare_mods(ends=True)
        self._end_clause()
        if self.after_comma is not None:
            self.rank, self.after_comma = self.after_comma, None
        if self.waiting:
            self.group = list(self.recent)
        self.before = self.sentence or self.before
        self.waiting, self.here, self.sentence = [], [], []
        self.pending, self.wall, self.player = None, None, ""
        self.negated = self.swallow = self.of = self.agent = self.cutting = self.something = False
        self.hidden = False
        self.number, self.article = None, ""
        self.clause += 1

    # The end -------------------------------------------------------------------------------------------

    def _leftovers(self) -> None:
        """Details that no thing of their clause takes: the last thing that can take them, or none."""
        for name, value, words in self.details:
            takers = [thing for thing in self.things if thing.accepts(name) and name not in thing.details]
            if takers:
                takers[-1].add(name, value)
            elif not (name == "floor" and self.things == []):
                self.unused.append(words)
        self.unused += list(self.mods.values())
        if self.lawn or any(value == "grass" and name == "floor" for name, value, _ in self.details):
            self.of_all.setdefault("place", "national park")

    def _facts(self) -> Facts:
        there = [one for one in self.things if not (one.met and one.does is None and not one.details)]
        stated = [(thing.hidden, thing.facts()) for thing in in_order(there)]
        of_all = {name: value for name, value in self.of_all.items() if name != "collisions"}
        if self.cuts:
            of_all["cuts"] = tuple(sorted(self.cuts))
        if self.moves:
            of_all["moves"] = tuple(sorted(set(self.moves)))
        return Facts(
            **of_all,
            things=tuple(one for hidden, one in stated if not hidden),
            unseen=(*(one for hidden, one in stated if hidden), *self.unseen),
            meetings=tuple(self.meetings),
            walls=tuple(self.walls),
        )
