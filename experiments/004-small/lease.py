"""The generator on a GPU that is lent for minutes: python lease.py OUT [--minutes 8] [--commit HASH].

What ships is trained on. All cores render worlds, which are encoded as they come and stay on the GPU: it
trains from the first minute, and seldom sees a clip as often as twenty times. A step is one CUDA graph; its
rate follows the clock. On the same clips both decoders are refitted; their latents stay what they are.

OUT/generator, OUT/video_codec and OUT/audio_codec (averages, in bfloat16) are written every 100 s.
"""

import argparse
import copy
import os
import queue
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from avsim.clip import ClipSpec, LatentSpec
from avsim.codecs.losses import cue_parts, distortion
from avsim.codecs.varied import varied
from avsim.codecs.video import padded
from avsim.data.batch import LatentBatch
from avsim.data.shards import as_bytes, as_shorts, from_bytes, from_shorts
from avsim.devices import quickest
from avsim.diffusion import Latents, Pair
from avsim.diffusion.levels import LevelMixture
from avsim.diffusion.loss import row_loss, token_loss
from avsim.diffusion.noising import Noised
from avsim.diffusion.system import GeneratorSystem
from avsim.diffusion.text import PIECES
from avsim.diffusion.tokens import grid, to_tokens
from avsim.measures import psnr
from avsim.optimizers import Recipe, configure, scale
from avsim.seeds import generator
from avsim.weights import SMALL, load_model, save_model
from avsim.world import LEVELS, WorldDataset

SEED = 7
LEVELS_DRAWN = LevelMixture(
    together=0.30, apart=0.20, clean_video=0.22, clean_audio=0.18, alone=0.10, spread=1.5
)
UNTOLD = 0.2
RECIPE = Recipe(1e-3, 2e-3, warmup_steps=100, decay_from=0.25, final=0.02)  # of 10,000 ticks of the clock
DECODERS = Recipe(5e-4, warmup_steps=100, decay_from=0.25, final=0.02)
TICKS = 10_000
AVERAGE = 0.9995
CLIPS = 32  # rendered together
TOLD = 4  # levels drawn for each clip
HELD_OUT = 96
SECOND = 32  # audio latents in one


@dataclass(frozen=True)
class Kind:
    """Clips of one length."""

    spec: LatentSpec
    rendered: float  # share of what is rendered
    trained: float  # share of the steps
    rows: int  # clips in a step
    room: int  # clips that are kept

    @property
    def images(self) -> LatentSpec:
        """Of the first frames."""
        return replace(self.spec, clip=self.spec.clip.still)


def kinds(size: float) -> list[Kind]:
    """Clips of 2, 1 and 4 s; a small `size` is for a rehearsal."""
    table = ((2.0, 0.86, 0.84, 112, 300_000), (1.0, 0.07, 0.06, 192, 30_000), (4.0, 0.07, 0.10, 56, 24_000))
    return [
        Kind(LatentSpec(ClipSpec(seconds)), share, steps, max(4, int(rows * size)), int(room * size))
        for seconds, share, steps, rows, room in table
    ]


class Rendered(Dataset):
    """Batch k of clips that were never seen; the first few are held out. A fifth of the others falls."""

    def __init__(self, kinds: list[Kind], hashes: Any, shifts: Pair[float]) -> None:
        self.kinds, self.hashes, self.shifts = kinds, hashes, shifts
        medium = LEVELS["medium"]
        self.held = WorldDataset(medium, seed=SEED, split="validation")
        self.worlds = [
            [WorldDataset(replace(world, spec=kind.spec.clip), seed=SEED) for kind in kinds]
            for world in (medium, replace(medium, scenes=("drop",)))
        ]

    def __len__(self) -> int:
        return 1 << 20

    def __getitem__(self, k: int) -> dict[str, Any]:
        held = k * CLIPS < HELD_OUT
        falls, which = torch.rand(2, generator=generator(SEED, "batch", k)).tolist()
        kind = 0
        while not held and which > self.kinds[kind].rendered and kind + 1 < len(self.kinds):
            which -= self.kinds[kind].rendered
            kind += 1
        world = self.held if held else self.worlds[falls < 0.2][kind]
        clips, truths = zip(*(world[k * CLIPS + i] for i in range(CLIPS)), strict=True)
        captions = [truth.caption for truth in truths]

        def levels(spec: LatentSpec, name: str) -> Any:
            drawn = [
                LEVELS_DRAWN.draw(spec, self.shifts, generator(SEED, name, k, i)) for i in range(TOLD * CLIPS)
            ]
            s = [each.s for each in drawn]
            linked = torch.tensor([each.linked for each in drawn])
            return torch.stack([p.video for p in s]), torch.stack([p.audio for p in s]), linked

        return {
            "kind": -1 if held else kind,
            "captions": captions if held else [],
            "frames": torch.stack([as_bytes(clip.frames) for clip in clips]),
            "waves": torch.stack([as_shorts(clip.wave) for clip in clips]),
            "words": torch.tensor([self.hashes(caption) for caption in captions], dtype=torch.int16),
            "levels": levels(self.kinds[kind].spec, "levels"),
            "image levels": levels(self.kinds[kind].images, "image levels")[0],
        }


class Pool:
    """Latents of one kind on the device, and levels to train them under; a writer and a reader at once."""

    def __init__(self, kind: Kind, channels: Pair[int], words: tuple[int, int], device: str) -> None:
        n, d = kind.room // CLIPS * CLIPS, device
        t, h, w = grid(kind.spec)
        self.kind, self.count, self.seen = kind, torch.zeros((), device=d), 0
        self.video = torch.zeros(n, t * h * w, channels.video, dtype=torch.float16, device=d)
        self.audio = torch.zeros(n, kind.spec.audio, channels.audio, dtype=torch.float16, device=d)
        self.words = torch.zeros(n, *words, dtype=torch.int16, device=d)
        self.levels = (
            torch.ones(TOLD * n, t, device=d),
            torch.ones(TOLD * n, kind.spec.audio, device=d),
            torch.ones(TOLD * n, dtype=torch.bool, device=d),
        )
        self.image_levels = torch.ones(TOLD * n, 1, device=d)

    def add(self, tokens: Pair[Tensor], batch: dict[str, Any]) -> None:
        """Take a batch in; when there is no more room, for the oldest."""
        at = self.seen % len(self.video)
        rows, drawn = slice(at, at + CLIPS), slice(TOLD * at, TOLD * (at + CLIPS))
        self.video[rows], self.audio[rows] = tokens.video, tokens.audio
        self.words[rows] = batch["words"].to(self.words.device)
        for held, new in zip(
            (*self.levels, self.image_levels), (*batch["levels"], batch["image levels"]), strict=True
        ):
            held[drawn] = new.to(held)

    @property
    def held(self) -> int:
        """How many there are."""
        return min(self.seen, len(self.video))

    def draw(self, count: int) -> tuple[Tensor, Tensor]:
        """Which clips (B,), and which levels of a first frame or a clip (B,)."""
        at = torch.rand(2, count, device=self.count.device) * self.count
        rows, levels = at[0].long(), (at[1] * TOLD).long()
        return rows.clamp(max=len(self.video) - 1), levels.clamp(max=len(self.image_levels) - 1)


def loss_of(
    model: nn.Module, words: Tensor, spec: LatentSpec, x: Pair[Tensor], s: Pair[Tensor], linked: Tensor | None
) -> Pair[Tensor]:
    """Means over a batch."""
    told = torch.rand(len(words), 1, 1, device=words.device) >= UNTOLD
    context = model.context(words.long() * told, spec)
    noised = x.each(lambda x, s: Noised(x, torch.randn_like(x), s), s)
    v = model(noised.each(lambda n: n.x_s), noised.each(lambda n: n.s), context, linked)
    return v.each(lambda v, n: row_loss(token_loss(v, n)).mean(), noised)


class Trained:
    """The generator, its optimizer and its average; its steps as graphs, where the device has them."""

    def __init__(self, model: nn.Module, pools: list[Pool], device: str) -> None:
        self.model, self.pools, self.cuda = model.train(), pools, device == "cuda"
        self.shown = copy.deepcopy(model).eval()
        self.optimizer = configure(model, RECIPE, TICKS)["optimizer"]
        self.weights = list(model.parameters())
        for weight in self.weights:
            weight.grad = torch.zeros_like(weight)
        self.peaks = []
        for group in self.optimizer.param_groups:
            self.peaks.append(group["initial_lr"])
            group["lr"] = torch.zeros((), device=device)
            group["capturable"] = self.cuda
        self.losses = torch.zeros(len(pools), 4, device=device)  # picture, sound, first frames, steps
        self.steps = 0

    def prepare(self, compiled: bool) -> None:
        """Make the graphs."""
        if compiled:
            self.model.compile(dynamic=False)
        self.gradients = []
        for number, pool in enumerate(self.pools):
            pool.count.fill_(CLIPS)
            eager = compiled and number > 0  # compiling pays for what is used most
            with torch.compiler.set_stance("force_eager") if eager else nullcontext():
                self.gradients.append(self.graph(lambda number=number: self.gradient(number)))
        self.update = self.graph(self.step)
        for number, work in enumerate((*self.gradients, self.update)) if self.cuda else ():
            torch.cuda.synchronize()
            began = time.monotonic()
            for _ in range(20):
                work()
            torch.cuda.synchronize()
            print(f"graph {number}: {(time.monotonic() - began) * 50:.2f} ms", flush=True)
        self.losses.zero_()

    def graph(self, work: Any) -> Any:
        """`work`, or a graph of it."""
        if not self.cuda:
            return work
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(3):
                work()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph):
            work()
        return graph.replay

    def gradient(self, number: int) -> None:
        """Of clips of one kind, and of as many first frames again."""
        pool, spec = self.pools[number], self.pools[number].kind.spec
        torch._foreach_zero_([weight.grad for weight in self.weights])
        device = self.losses.device.type
        with torch.autocast(device, torch.bfloat16, cache_enabled=False):
            rows, drawn = pool.draw(pool.kind.rows)
            video, audio, linked = (levels[drawn] for levels in pool.levels)
            x = Pair(pool.video[rows].float(), pool.audio[rows].float())
            clips = loss_of(self.model, pool.words[rows], spec, x, Pair(video, audio), linked)
            rows, drawn = pool.draw(pool.kind.rows)
            first = Pair(pool.video[rows, : grid(spec)[1] * grid(spec)[2]].float())
            levels = Pair(pool.image_levels[drawn])
            images = loss_of(self.model, pool.words[rows], pool.kind.images, first, levels, None)
        (clips.video + clips.audio + 0.4 * images.video).backward()
        found = torch.stack([clips.video, clips.audio, images.video, torch.ones_like(clips.video)])
        self.losses[number] += found.detach()

    def step(self) -> None:
        """The optimizer's, and the average's."""
        torch.nn.utils.clip_grad_norm_(self.weights, 1.0, foreach=True)
        self.optimizer.step()
        with torch.no_grad():
            torch._foreach_lerp_(list(self.shown.parameters()), self.weights, 1 - AVERAGE)

    def train(self, number: int, done: float) -> None:
        """A step on clips of one kind, `done` of all the time being over."""
        for group, peak in zip(self.optimizer.param_groups, self.peaks, strict=True):
            group["lr"].fill_(peak * scale(int(done * TICKS), RECIPE, TICKS))
        self.pools[number].count.fill_(self.pools[number].held)
        self.gradients[number]()
        self.update()
        self.steps += 1


class Refitted:
    """A codec whose decoder goes on learning."""

    def __init__(self, codec: nn.Module) -> None:
        self.codec, self.shown, self.steps = codec.train(), copy.deepcopy(codec).eval(), 0
        codec.encoder.requires_grad_(False)
        self.optimizer = configure(codec, DECODERS, TICKS)["optimizer"]

    def train(self, loss: Tensor, done: float) -> None:
        """A step."""
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.codec.parameters(), 1.0)
        for group in self.optimizer.param_groups:
            group["lr"] = group["initial_lr"] * scale(int(done * TICKS), DECODERS, TICKS)
        self.optimizer.step()
        with torch.no_grad():
            decay = min(0.998, (1 + self.steps) / (10 + self.steps))
            torch._foreach_lerp_(list(self.shown.parameters()), list(self.codec.parameters()), 1 - decay)
        self.steps += 1


class Feeder(threading.Thread):
    """Takes what is rendered: encodes it, lets the decoders learn from it."""

    def __init__(self, batches: Iterator[Any], pools: list[Pool], device: str, clock: Any) -> None:
        super().__init__(daemon=True)
        self.batches, self.pools, self.device, self.clock = batches, pools, device, clock
        self.see, self.hear = (
            Refitted(load_model(SMALL / name, device)) for name in ("video_codec", "audio_codec")
        )
        self.held_out: list[tuple[LatentBatch, Tensor]] = []
        self.failed: queue.Queue[BaseException] = queue.Queue()
        self.stopped, self.began, self.spent = False, time.monotonic(), 0.0

    def run(self) -> None:
        """Until `stopped`; what went wrong lies in `failed`."""
        stream = torch.cuda.Stream(priority=-1) if self.device == "cuda" else None
        try:
            with torch.cuda.stream(stream) if stream else nullcontext():
                while not self.stopped:
                    batch = next(self.batches)
                    self.take(batch)
                    if stream:
                        stream.synchronize()
                    if batch["kind"] >= 0:
                        self.pools[batch["kind"]].seen += CLIPS
        except BaseException as error:
            self.failed.put(error)

    def take(self, batch: dict[str, Any]) -> None:
        """One batch: into its pool, or among what is held out."""
        frames, waves = (
            from_bytes(batch["frames"].to(self.device)),
            from_shorts(batch["waves"].to(self.device)),
        )
        with torch.no_grad():
            latents = Latents(self.see.shown.encode(frames), self.hear.shown.encode(waves))
        if batch["kind"] < 0:
            spec, names = self.pools[0].kind.spec, batch["captions"]
            rows = torch.arange(CLIPS) + CLIPS * len(self.held_out)
            self.held_out.append((LatentBatch(spec, *latents, names, names, rows.to(self.device)), frames))
            return
        self.pools[batch["kind"]].add(to_tokens(latents), batch)
        began = time.monotonic()
        if self.spent < 0.4 * (began - self.began):  # what is rendered must not wait
            with quickest(self.device):
                self.refit(frames, waves)
            if self.device == "cuda":
                torch.cuda.current_stream().synchronize()
            self.spent += time.monotonic() - began

    def refit(self, frames: Tensor, waves: Tensor) -> None:
        """A step of each decoder."""
        done, number = self.clock(), self.see.steps
        some = [
            clip if i % 2 else varied(clip, generator(SEED, "varied", number, i))
            for i, clip in enumerate(padded(frames[:16, :, :32], 4, 8))
        ]
        some = torch.stack(some)
        see, hear = self.see.codec, self.hear.codec
        noise = torch.randn(16, see.channels, 1 + some.shape[2] // 4, 8, 8, device=self.device)
        made, _ = see(some, 0.01 * noise)
        self.see.train(0.02 * distortion(some, made, 2.0), done)
        room = waves.shape[-1] // hear.hop - SECOND
        start = int(torch.randint(room + 1, (), generator=generator(SEED, "crop", number)))
        found = hear.cues(waves[..., hear.hop * start : hear.hop * (start + SECOND)])
        made, _ = hear(found, 0.05 * torch.randn(len(found), hear.channels, SECOND, device=self.device))
        weights = {"frame": 6.0, "patch": 2.0, "balance": 0.5, "delay": 0.5}
        parts = cue_parts(found, made)
        self.hear.train(sum(weights.get(name, 1.0) * part for name, part in parts.items()), done)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=8.0, help="of training")
    parser.add_argument("--commit", default="", help="noted down")
    parser.add_argument("--eager", action="store_true", help="do not compile")
    parser.add_argument("--size", type=float, default=1.0, help="of batches and room: small for a rehearsal")
    said = parser.parse_args()
    began = time.monotonic()

    def say(*what: Any) -> None:
        print(f"{time.monotonic() - began:6.1f} s", *what, flush=True)

    model = load_model(SMALL / "generator")
    table, hashes = kinds(said.size), model.text.hashes
    loader = DataLoader(
        Rendered(table, hashes, model.shifts),
        batch_size=None,
        num_workers=max(1, (os.cpu_count() or 2) - 2),
        prefetch_factor=2,
    )
    batches = iter(loader)  # before the device is touched: its processes are forks
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device)
    words = model.text.length - 1, PIECES
    pools = [Pool(kind, model.channels, words, device) for kind in table]
    started: list[float] = []

    def clock() -> float:
        """Share of the training's time that is over."""
        return min(1.0, (time.monotonic() - started[0]) / (60 * said.minutes)) if started else 0.0

    feeder = Feeder(batches, pools, device, clock)
    trained = Trained(model, pools, device)
    say("loaded; makes graphs on", device)
    trained.prepare(compiled=not said.eager and device == "cuda")
    say("graphs are made")
    feeder.start()
    system = GeneratorSystem(trained.shown, seed=SEED)

    def held_out() -> str:
        with torch.no_grad(), quickest(device):
            rows = [system.score(batch, i) for i, (batch, _) in enumerate(feeder.held_out)]
            names = ("video", "audio", "audio_own", "sync_gap")
            scores = {name: torch.cat([row[name] for row in rows]).mean() for name in names}
        with torch.no_grad():
            see = feeder.see.shown
            seen = [
                psnr(frames, see.decode(batch.video, batch.spec.clip)) for batch, frames in feeder.held_out
            ]
            scores["psnr"] = torch.cat([each.flatten() for each in seen]).mean()
        return ", ".join(f"{name} {float(value):.4f}" for name, value in scores.items())

    def export() -> None:
        notes = {
            "commit": said.commit,
            "command": f"python experiments/004-small/lease.py --minutes {said.minutes:g}",
        }
        spec = asdict(table[0].spec.clip)
        parts = {"generator": trained, "video_codec": feeder.see, "audio_codec": feeder.hear}
        for name, part in parts.items():
            save_model(part.shown, said.out / name, dtype=torch.bfloat16, step=part.steps, spec=spec, **notes)

    while len(feeder.held_out) * CLIPS < HELD_OUT or pools[0].held < 4 * CLIPS:
        if not feeder.failed.empty():
            raise feeder.failed.get()
        time.sleep(0.2)
    say("before:", held_out())
    started.append(time.monotonic())
    random, told, minute = torch.Generator().manual_seed(SEED), 0.0, time.monotonic()
    while clock() < 1:
        weights = torch.tensor([pool.kind.trained * (pool.held >= 4 * CLIPS) for pool in pools])
        trained.train(int(torch.multinomial(weights, 1, generator=random)), clock())
        if trained.steps % 20:
            continue
        if device == "cuda":
            torch.cuda.synchronize()
        if not feeder.failed.empty():
            raise feeder.failed.get()
        if time.monotonic() - told > 10:
            told = time.monotonic()
            losses = [[round(v / max(1, row[3]), 4) for v in row[:3]] for row in trained.losses.tolist()]
            trained.losses.zero_()
            seen = [pool.seen for pool in pools]
            say(f"step {trained.steps}, decoders {feeder.see.steps}, clips {seen}, losses {losses}")
        if time.monotonic() - minute > 100:
            minute = time.monotonic()
            say(held_out())
            export()
    feeder.stopped = True
    feeder.join(10)
    say("after:", held_out())
    export()
    say("written to", said.out)
    os._exit(0)  # its renderers need not end what they are at


if __name__ == "__main__":
    main()
