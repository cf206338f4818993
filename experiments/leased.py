"""Training on a GPU that is lent for minutes: what 004-small/lease.py and 006-couplings/lease.py share.

Cores render worlds, the GPU encodes them and keeps the latents (`Pool`); a step of a generator is two CUDA
graphs, its gradient's and its optimizer's (`Trained`), so that Python costs nothing while it trains. On a CPU
the same runs as plain calls, for a rehearsal.
"""

import copy
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch
from torch import Tensor

from avsim.clip import ClipSpec, LatentSpec
from avsim.data.batch import LatentBatch
from avsim.data.shards import as_bytes, as_shorts, from_bytes, from_shorts
from avsim.devices import quickest
from avsim.diffusion import Guidance, JointDiT, Latents, Pair
from avsim.diffusion.distillation import Lessons, lesson
from avsim.diffusion.guidance import Critic, criticised
from avsim.diffusion.levels import LevelMixture
from avsim.diffusion.loss import row_loss, token_loss
from avsim.diffusion.noising import Noised
from avsim.diffusion.system import GeneratorSystem
from avsim.errors import InputError
from avsim.models.text import PIECES
from avsim.models.tokens import lengths, to_tokens
from avsim.seeds import generator
from avsim.training.optimizers import Recipe, configure, scale
from avsim.world import WorldDataset

CLIPS = 32  # rendered together
TOLD = 4  # levels drawn for each clip
TICKS = 10_000  # of a training's clock, by which rates go
UNTOLD = 0.2  # share of captions that are withheld


def stopwatch() -> Callable[..., None]:
    """A `print` that begins with the seconds since now."""
    began = time.monotonic()
    return lambda *what: print(f"{time.monotonic() - began:6.1f} s", *what, flush=True)


@dataclass(frozen=True)
class Part:
    """Rows of a step that train under levels of one kind."""

    levels: LevelMixture
    rows: int
    weight: float  # of their loss
    still: bool = False  # first frames alone

    def __post_init__(self) -> None:
        if 0 < self.levels.alone < 1:
            raise InputError("rows whose modalities know each other go apart from those whose don't")

    @property
    def linked(self) -> bool:
        """Whether these rows' modalities know each other: all or none, so that attention needs no mask."""
        return self.levels.alone == 0

    def spec(self, spec: LatentSpec) -> LatentSpec:
        """What of a clip of `spec` is trained on."""
        return replace(spec, clip=spec.clip.still) if self.still else spec


@dataclass(frozen=True)
class Kind:
    """Clips of one length, and what a step on them is made of."""

    spec: LatentSpec
    parts: tuple[Part, ...]
    room: int  # clips that are kept
    rendered: float = 1.0  # share of what is rendered
    trained: float = 1.0  # share of the steps


def rendered(
    world: WorldDataset, first: int, kind: Kind, hashes: Any, shifts: Pair[float], seed: int
) -> dict[str, Any]:
    """Clips `first` ... `first` + CLIPS - 1 of a world as bytes, their words, and levels for each part."""
    clips, truths = zip(*(world[first + i] for i in range(CLIPS)), strict=True)
    captions = [truth.caption for truth in truths]
    levels = []
    for number, part in enumerate(kind.parts):
        of = (seed, "levels", number, kind.spec.clip.frames, first)
        drawn = [
            part.levels.draw(part.spec(kind.spec), shifts, generator(*of, i)).s for i in range(TOLD * CLIPS)
        ]
        levels.append(Pair(*(torch.stack(each) for each in zip(*drawn, strict=True))))
    return {
        "captions": captions,
        "frames": torch.stack([as_bytes(clip.frames) for clip in clips]),
        "waves": torch.stack([as_shorts(clip.wave) for clip in clips]),
        "words": torch.tensor([hashes(caption) for caption in captions], dtype=torch.int16),
        "levels": levels,
    }


def on_device(batch: dict[str, Any], device: str) -> tuple[Tensor, Tensor]:
    """What was rendered as frames (B, 3, T, H, W) and waves (B, A, N)."""
    return from_bytes(batch["frames"].to(device)), from_shorts(batch["waves"].to(device))


def as_batch(latents: Latents, captions: list[str], spec: LatentSpec, first: int) -> LatentBatch:
    """Latents that are held out, as a validation takes them."""
    rows = torch.arange(len(captions)) + first
    return LatentBatch(spec, *latents, captions, captions, rows.to(latents.video.device))


class Pool:
    """Latents of one kind on the device, and levels to train them under; a writer and readers at once."""

    def __init__(self, kind: Kind, channels: Pair[int], words: int, device: str) -> None:
        n, d = kind.room // CLIPS * CLIPS, device
        self.kind, self.seen = kind, 0
        self.count = torch.zeros((), device=d)  # of clips that there are, told to the graphs
        sizes = zip(lengths(kind.spec), channels, strict=True)
        self.x = Pair(*(torch.zeros(n, *size, dtype=torch.float16, device=d) for size in sizes))
        self.words = torch.zeros(n, words, PIECES, dtype=torch.int16, device=d)
        specs = [part.spec(kind.spec) for part in kind.parts]
        self.levels = [
            Pair(*(torch.ones(TOLD * n, steps, device=d) for steps in (spec.video[0], spec.audio)))
            for spec in specs
        ]

    def add(self, latents: Latents, batch: dict[str, Any]) -> None:
        """Take a batch in; when there is no more room, for the oldest. It counts once `seen` says so."""
        at = self.seen % len(self.words)
        rows, drawn = slice(at, at + CLIPS), slice(TOLD * at, TOLD * (at + CLIPS))
        for held, new in zip(self.x, to_tokens(latents), strict=True):
            held[rows] = new
        self.words[rows] = batch["words"].to(self.words.device)
        for table, new in zip(self.levels, batch["levels"], strict=True):
            table.each(lambda held, new: held[drawn].copy_(new), new)

    @property
    def held(self) -> int:
        """How many there are."""
        return min(self.seen, len(self.words))

    def draw(
        self, number: int, random: torch.Generator
    ) -> tuple[LatentSpec, Pair[Tensor], Pair[Tensor], Tensor]:
        """For a part: spec, tokens (B, L, D), levels (B, K) and words (B, S, PIECES)."""
        part, spec = self.kind.parts[number], self.kind.parts[number].spec(self.kind.spec)
        at = torch.rand(2, part.rows, device=self.count.device, generator=random) * self.count
        rows = at[0].long().clamp(max=len(self.words) - 1)
        drawn = (at[1] * TOLD).long().clamp(max=TOLD * len(self.words) - 1)
        x = self.x.each(lambda x, length: x[rows, :length].float(), Pair(*lengths(spec)))
        s = self.levels[number].each(lambda s: s[drawn])
        if part.still:
            x, s = Pair(x.video), Pair(s.video)
        return spec, x, s, self.words[rows].long()


def moved(x: Tensor, steps: int) -> Tensor:
    """Where, in clips' tokens (B, L, D) of `steps` latent frames, anything ever moves: in [0, 1], (B, L).

    Frame 0 is left out. A place counts all along: when something moves there is what has to be drawn.
    """
    later = x.unflatten(1, (steps, -1))[:, 1:]  # (B, t, hw, D)
    apart = (later - later.mean(1, keepdim=True)).square().mean(-1).amax(1)  # (B, hw)
    share = (apart / (apart + 1))[:, None].expand(-1, steps - 1, -1)
    return torch.cat([torch.zeros_like(share[:, :1]), share], dim=1).flatten(1)


class Trained:
    """A generator, its optimizer and its average; its steps as graphs, where the device has them.

    Guided by `lessons` (of what is drawn, and of a picture for a given sound), its average can become the
    teacher of steps whose targets are what guidance says (`teach`).
    """

    def __init__(
        self,
        model: JointDiT,
        pools: Sequence[Pool],
        recipe: Recipe,
        average: float,
        seed: int = 0,
        parts: Sequence[int] = (),  # of a pool's kind; all of them
        motion: float = 0.0,  # by how much more a token weighs where something moves
        lessons: Sequence[Guidance] = (),
        given: float = UNTOLD,  # share of captions that are withheld where a picture is given
        critic: Callable[[ClipSpec], Critic] | None = None,  # in the ear's place of lessons
    ) -> None:
        self.model, self.pools, self.recipe, self.average = model.train(), pools, recipe, average
        self.motion, self.given, self.critic = motion, given, critic
        self.parts = parts or range(len(pools[0].kind.parts))
        self.device = pools[0].count.device
        self.cuda = self.device.type == "cuda"
        self.random = torch.Generator(self.device).manual_seed(seed)
        self.shown = copy.deepcopy(model).eval()
        self.optimizer = configure(model, recipe, TICKS)["optimizer"]
        self.weights = list(model.parameters())
        for weight in self.weights:
            weight.grad = torch.zeros_like(weight)
        self.peaks = []
        for group in self.optimizer.param_groups:
            self.peaks.append(group["initial_lr"])
            group["lr"] = torch.zeros((), device=self.device)
            group["capturable"] = self.cuda
        count = len(pools[0].kind.parts)
        self.losses = torch.zeros(len(pools), count, 3, device=self.device)  # picture, sound, steps
        self.stream = torch.cuda.Stream() if self.cuda else None
        self.gradients: dict[bool, list[Any]] = {False: [], True: []}  # of data, of lessons
        self.lessons = Lessons.table(lessons, self.device) if lessons else None
        self.teacher = copy.deepcopy(self.shown).requires_grad_(False)
        self.update: Any = None
        self.steps = 0

    def prepare(self, compiled: bool = False, data: bool = True) -> None:
        """Make the graphs; of the blocks' compilations, those of the first pool's linked rows.

        Without `data`, those of lessons alone.
        """
        if compiled:
            self.model.compile(dynamic=False)
            self.teacher.compile(dynamic=False)
        stages = ([False] if data else []) + ([True] if self.lessons is not None else [])
        for taught in stages:
            for number, pool in enumerate(self.pools):
                pool.count.fill_(CLIPS)
                work = partial(self.gradient, number, compiled, taught)
                self.gradients[taught].append(self.graph(work))
        self.update = self.graph(self.step)
        self.forget()

    def forget(self) -> None:
        """What the optimizer remembers of steps that were only tried."""
        self.losses.zero_()
        for state in self.optimizer.state.values():
            for value in state.values():
                value.zero_()

    def timed(self) -> list[float]:
        """Milliseconds of each graph; only before the training."""
        found = []
        for work in (*self.gradients[False], *self.gradients[True], self.update) if self.cuda else ():
            torch.cuda.synchronize()
            began = time.monotonic()
            with self.streamed():
                for _ in range(5):
                    work()
            torch.cuda.synchronize()
            found.append((time.monotonic() - began) * 200)
        self.forget()
        return found

    def streamed(self) -> AbstractContextManager[Any]:
        """On this training's own stream."""
        return nullcontext() if self.stream is None else torch.cuda.stream(self.stream)

    def graph(self, work: Any) -> Any:
        """`work`, or a graph of it."""
        if not self.cuda:
            return work
        torch.cuda.synchronize()
        with self.streamed():
            for _ in range(3):
                work()
        torch.cuda.synchronize()
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.random)
        with torch.cuda.graph(graph, stream=self.stream):
            work()
        return graph.replay

    def gradient(self, number: int, compiled: bool = False, taught: bool = False) -> None:
        """Of all parts of a step on one pool."""
        torch._foreach_zero_([weight.grad for weight in self.weights])
        for index in self.parts:
            part = self.pools[number].kind.parts[index]
            eager = compiled and (number > 0 or not part.linked)  # compiling pays for what is used most
            with torch.compiler.set_stance("force_eager") if eager else nullcontext():
                means = self.loss(self.pools[number], index, taught)
                (part.weight * torch.stack(means.there()).sum()).backward()
            for column, mean in enumerate(means):
                if mean is not None:
                    self.losses[number, index, column] += mean.detach()
            self.losses[number, index, 2] += 1

    def loss(self, pool: Pool, index: int, taught: bool = False) -> Pair[Tensor]:
        """Of one part, means over its rows."""
        part = pool.kind.parts[index]
        with torch.autocast(self.device.type, torch.bfloat16, cache_enabled=False):
            spec, x, s, words = pool.draw(index, self.random)
            picture = (s.video == 0).all(1)[:, None, None]  # is given
            withheld = UNTOLD + (self.given - UNTOLD) * picture
            told = torch.rand(len(words), 1, 1, device=self.device, generator=self.random) >= withheld
            context = self.model.context(words * told, spec)
            linked = None if part.linked or part.still else torch.zeros_like(told[:, 0, 0])
            if taught and part.linked and not part.still:
                noised = self.lesson(x, s, words * told, spec)
            else:
                noised = x.each(lambda x, s: Noised(x, self.noise(x), s), s)
            v = self.model(noised.each(lambda n: n.x_s), noised.each(lambda n: n.s), context, linked)
            errors = v.each(token_loss, noised)
            if self.motion and not part.still:
                known = 1 - s.video[:, :1].square()  # where it moves is seldom told to who can't know
                weight = 1 + self.motion * known * moved(x.video, spec.video[0])
                errors = errors._replace(video=weight * errors.video)
            return errors.each(lambda each: row_loss(each).mean())

    def lesson(self, x: Pair[Tensor], s: Pair[Tensor], words: Tensor, spec: LatentSpec) -> Pair[Noised]:
        """What the teacher says of clips as a sampler meets them."""
        assert self.lessons is not None
        with torch.no_grad():
            told, untold = (self.teacher.context(each, spec) for each in (words, torch.zeros_like(words)))
        chance = torch.rand(4, len(words), 1, 1, device=self.device, generator=self.random)
        said = partial(criticised, self.critic(spec.clip), spec) if self.critic else None
        return lesson(self.teacher, told, untold, x, s, self.lessons, chance, self.noise, said)

    def teach(self, pupil: JointDiT | None = None) -> None:
        """From now on the average teaches; its pupil begins as it, or as one that was taught before."""
        with torch.no_grad(), self.streamed():
            torch._foreach_copy_(list(self.teacher.parameters()), list(self.shown.parameters()))
            begun = list((pupil or self.shown).parameters())
            for model in (self.model, self.shown):
                torch._foreach_copy_(list(model.parameters()), begun)

    def noise(self, x: Tensor) -> Tensor:
        """As `x`."""
        return torch.randn(x.shape, device=x.device, generator=self.random)

    def step(self) -> None:
        """The optimizer's, and the average's."""
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0, foreach=True)
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(self.shown.parameters()), self.weights, 1 - self.average)

    def train(self, number: int, done: float, taught: bool = False) -> None:
        """A step on clips of one pool, `done` of all the training being over."""
        with self.streamed():
            for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
                group["lr"].fill_(peak * scale(int(done * TICKS), self.recipe, TICKS))
            self.pools[number].count.fill_(self.pools[number].held)
            self.gradients[taught][number]()
            self.update()
        self.steps += 1

    def means(self) -> list[list[list[float]]]:
        """Of each pool and part: the losses of picture and sound since the last call."""
        with self.streamed():
            sums = self.losses.tolist()
            self.losses.zero_()
        return [[[round(value / max(1.0, row[2]), 4) for value in row[:2]] for row in pool] for pool in sums]


@torch.no_grad()
def scores(model: JointDiT, held_out: Sequence[LatentBatch], seed: int) -> dict[str, float]:
    """What a validation under Lightning logs."""
    system = GeneratorSystem(model, seed=seed)
    with quickest(held_out[0].rows.device):
        rows = [system.score(batch, i) for i, batch in enumerate(held_out)]
    return {name: float(torch.cat([row[name] for row in rows]).mean()) for name in rows[0]}
