"""Tags -> facts: who does what, where, how often and in which order, however the words are arranged.

Nouns wait for an action (subjects), or an action waits for nouns (objects of an imperative, or of someone
who plays or strikes). What is said of how goes to the things of the clause that can do it so.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from avsim.prompting.numbers import DESCRIBING, combined
from avsim.prompting.tags import Part, Tag
from avsim.prompting.things import LOUD, Thing, in_order
from avsim.world.captions.facts import Facts, Meeting, Noun, ThingFacts
from avsim.world.captions.lexicon import WORDS
from avsim.world.flat.scene import MOST, SHAPES

QUIET = ("hangs", "lies", "is left alone", "is held")
NEGATED = {"is struck": "is left alone", "plays": "is held", "falls": "hangs", "sounds": "silent"}
SEVERAL = {
    *("them", "both", "all", "each", "these", "those", "all of them", "both of them", "each of them"),
    *("它们", "两者", "每个", "每一个", "全都", "两个都", "都"),
}
DEFINITE = ("the", "this", "that", "its")
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


@dataclass
class Reading:
    """What was understood of a prompt, and what wasn't."""

    facts: Facts
    negative: tuple[str, ...] = ()  # what shall not be there, in the prompt's words or the captions'
    unknown: tuple[str, ...] = ()  # words that no fact has
    unused: tuple[str, ...] = ()  # words that are known, but not of what they are said of


def _name_of(value: str) -> str:
    """Of which of a noun's facts a compound's second half is: "bell/copper", "block/wood"."""
    return "colour" if value in WORDS["colour"] else "material"


def read(tags: Sequence[Tag]) -> Reading:
    """What the tags of a prompt say."""
    reader = _Reader(combined(tags))
    return reader.reading()


class _Reader:
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

    # One tag after another -----------------------------------------------------------------------------

    def reading(self) -> Reading:
        for place, tag in enumerate(self.tags):
            self._take(tag, place)
        self._stop()
        self._leftovers()
        facts = self._facts()
        unique = (
            tuple(dict.fromkeys(filter(None, each))) for each in (self.negative, self.unknown, self.unused)
        )
        return Reading(facts, *unique)

    def _take(self, tag: Tag, place: int) -> None:
        """Take in one tag."""
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

    # Things --------------------------------------------------------------------------------------------

    def _noun(self, tag: Tag, place: int) -> None:
        """A thing, or several, or one that was named before."""
        if self.negated or self.number == 0:
            words = [self.mods[name] for name in ("size", "colour", "material") if name in self.mods]
            self.negative.append(
                " ".join(["wooden" if each == "wood" else each for each in words] + [tag.value])
            )
            self.mods, self.number, self.swallow = {}, None, True
            return
        self.swallow = False
        mods, self.mods = self.mods, {}
        kind, _, made_of = tag.value.partition("/")
        noun = {"kind": kind} | ({_name_of(made_of): made_of} if made_of else {}) | mods
        named = self._named(noun)
        count = self.number or (2 if tag.plural else 1)
        if count > 1 and not tag.plural and tag.words.isascii() and self._next(place) is Part.ACTION:
            self.details.append(("times", count, tag.words))  # "three drum hits"
            count = self.number = 1
        if self.player == kind and self.sentence and self.sentence[-1].noun["kind"] == kind:
            self.player = ""
            self._describe(self.recent, mods)
            return  # "a violinist plays the violin"
        self.referred = bool(named) and self.number is None
        if self.referred:
            found = named
            self._move_up(found)
        else:
            room = max(0, MOST - len(self.things))
            if count > room:
                self.unused.append(f"{count} {tag.words}" if room else tag.words)
            found = [Thing(dict(noun), self.clause, self.rank) for _ in range(min(count, room))]
            self.things += found
            for one in found:
                one.hidden, one.rank = self.hidden, self.rank
        self.hidden = self.something = False
        self.number, self.article, self.of = None, "", False
        self.recent = self.here = found
        self.refined = 0
        self.sentence += found
        if self.colliding is not None:
            self.colliding += found
        elif self.pending is not None and not (self.group and self._acts_itself(place)):
            self._act(found, self.pending, joined=True)
        else:
            self.waiting += found

    def _named(self, noun: dict[str, str]) -> list[Thing]:
        """Things that this noun names again."""
        if self.article not in DEFINITE:
            return []
        same = [
            thing
            for thing in self.things
            if thing.clause < self.clause and all(thing.noun.get(k, v) == v for k, v in noun.items())
        ]
        for thing in same:
            thing.noun |= noun
        return same[:1] if len(same) == 1 else []

    def _move_up(self, things: Sequence[Thing]) -> None:
        """Things that were named before and do something only now."""
        for thing in things:
            if thing.does not in LOUD:
                thing.rank = max(thing.rank, self.rank)

    def _describe(self, things: Sequence[Thing], mods: dict[str, str]) -> None:
        for thing in things:
            for name, value in mods.items():
                thing.noun.setdefault(name, value)

    def _modifier(self, name: str, tag: Tag) -> None:
        if name == "material" and tag.value in ("felt", "stone"):
            return
        if self.of and self.here:
            self._describe(self.here, {name: tag.value})
        elif name in self.mods and name == "colour" and self.mods[name] in ("gold", "silver", "copper"):
            self.mods[name] = tag.value
        else:
            self.mods.setdefault(name, tag.value)
        self.of = False

    def _side(self, tag: Tag) -> None:
        if self.wall is not None:
            if tag.value != "middle":
                self.walls.append((tag.value, self.wall))
            self.wall = None
            return
        if self.referred and self.here and self.here[0].noun.get("side", tag.value) != tag.value:
            self._another(tag.value)
            return
        bare = [thing for thing in self.here if "side" not in thing.noun]
        if bare and not self.mods and self.number is None:
            self._describe(bare, {"side": tag.value})
        else:
            self.mods.setdefault("side", tag.value)

    def _another(self, side: str) -> None:
        """What seemed to be named again is another thing of its kind, on the other side."""
        (old,) = self.here
        new = Thing({"kind": old.noun["kind"], "side": side}, self.clause, self.rank, does=None)
        self.things.append(new)
        for names in (self.waiting, self.group, self.sentence):
            names[:] = [new if thing is old else thing for thing in names]
        self.here = self.recent = [new]
        self.referred = False
        if any(thing is new for thing in self.group) and self.previous:
            new.do(self.previous)

    def _spare_mods(self, ends: bool = False) -> None:
        """Adjectives behind their noun, or of one of several."""
        if self.mods and not self.negated:
            named = [each for each in self.things if self.mods.items() <= each.noun.items()]
            if self.number == 1 and named and self.pending is not None:
                self._act(named[:1], self.pending)  # "ring the small one"
                self.pending = None
            elif self.number == 1 and len(self.recent) > 1:
                self._describe(self.recent[self.refined : self.refined + 1], self.mods)
                self.refined += 1
            elif self.recent and (self.sentence or ends):
                self._describe(self.recent, self.mods)
            else:
                return
            self.mods, self.number = {}, None

    def _agent(self, tag: Tag) -> None:
        if tag.value is not None:
            self._noun(Tag(Part.KIND, tag.value, tag.words, tag.plural), 0)
            self.player = tag.value
        elif tag.words == "they" and len(self.recent) > 1 and not self.waiting:
            self._pronoun(tag)
        elif self.negated:
            self.negative.append(tag.words if tag.words.isascii() else "people")
            self.negated = False
        else:
            self.agent, self.number = True, None

    def _pronoun(self, tag: Tag) -> None:
        if not self.things or (self.waiting and self.pending is None):
            return
        found = self.recent or self.things[-1:]
        if tag.words in SEVERAL and len(found) < 2:
            found = (self.sentence or self.before) if len(self.sentence or self.before) > 1 else self.things
            found = found[-2:] if tag.value == 2 else list(found)
        self._move_up(found)
        if self.pending is not None:
            self.waiting = [thing for thing in self.waiting if not any(thing is each for each in found)]
            self._act(found, self.pending)
        else:
            self.waiting = list(found)
        self.here, self.sentence = found, self.sentence + found

    def _hide(self) -> None:
        if self.here:
            for thing in self.here:
                thing.hidden = True
        elif self.something:
            self.unseen.append(ThingFacts(Noun()))
            self.something = False
        else:
            self.hidden = True

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
            self._settle()
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

    def _next(self, place: int) -> Part:
        """What stands behind a place, prepositions and articles aside."""
        rest = (tag.part for tag in self.tags[place + 1 :] if tag.part not in (Part.ARTICLE, Part.ON))
        return next(rest, Part.STOP)

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
                self._settle()
        if following is Part.AGENT or tag.part is Part.COMMA and following is not Part.KIND:
            self._settle_collision()

    def _follows(self, place: int) -> Part:
        """The first part behind a place that isn't an adjective."""
        rest = (tag.part for tag in self.tags[place + 1 :])
        return next((part for part in rest if part not in (*DESCRIBING, Part.NUMBER)), Part.STOP)

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
                self._settle()
            self.rank += 1
        elif tag.part is Part.BEFORE:
            self._settle()
            self.rank += 1
            if starts:
                self.after_comma = self.rank - 1
        elif starts:
            self.after_comma = self.rank + 1
        else:
            self._settle()
            later = self.tags[place + 1].part is Part.PRONOUN if place + 1 < len(self.tags) else False
            for thing in self.group if later else self.sentence:
                if thing.rank == self.rank:
                    thing.rank += 1
        self.clause += 1

    def _settle(self) -> None:
        """End a clause: what still waits takes the last action, if it was told how or stands in a list."""
        self._settle_collision()
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

    def _settle_collision(self) -> None:
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
        self._settle()
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
