"""The generator on a GPU that is lent for minutes: python lease.py OUT [--minutes 8] [--taught 2].

From what ships on, or from `--init` (of another `--video-codec`'s latents what `finer.py` makes). All cores
render worlds, which are encoded as they come and stay on the GPU: it trains from the first minute, and
seldom sees a clip as often as twenty times. A step is two CUDA graphs; its rate follows the clock. On the
same clips both decoders may be refitted; their latents stay what they are. For the last minutes a pupil
learns to draw in one pass what the generator draws when it is guided (`avsim.diffusion.distillation`), with
the judge of offsets that ships as its critic. With `--minutes 0` that is all: the generator and the codecs
stay as they are, and clips that nobody draws with a pupil are left out.

OUT/generator, OUT/pupil, OUT/video_codec and OUT/audio_codec (averages, in bfloat16) are written every
100 s. A file OUT/until with a time in seconds (`date +%s`) ends it sooner or later than was said.
"""

import argparse
import copy
import os
import queue
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import nullcontext, suppress
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

sys.path.insert(0, str(Path(__file__).parents[1]))
from leased import CLIPS, TICKS, Kind, Part, Pool, Trained, as_batch, on_device, rendered, scores, stopwatch

from avsim.clip import ClipSpec, LatentSpec
from avsim.codecs.augment import varied
from avsim.codecs.losses import cue_parts, distortion
from avsim.codecs.video import VideoAutoencoder, padded
from avsim.data.batch import LatentBatch
from avsim.devices import quickest
from avsim.diffusion import JointDiT, Latents, Pair
from avsim.diffusion.distillation import CRITICISED
from avsim.diffusion.levels import LevelMixture
from avsim.measures import psnr
from avsim.seeds import generator
from avsim.simulator.sync_reward import timing
from avsim.training.optimizers import Recipe, configure, scale
from avsim.weights import SMALL, load_model, save_model
from avsim.world import LEVELS, WorldDataset

SEED = 8
MET = LevelMixture(together=0.34, apart=0.16, clean_video=0.22, clean_audio=0.28, alone=0.0, spread=1.5)
ALONE = LevelMixture(together=0.0, apart=0.0, clean_video=0.0, clean_audio=0.0, alone=1.0, spread=1.5)
# Of lessons: what a pupil draws, both or a picture for a sound.
LEARNED = LevelMixture(together=0.6, apart=0.06, clean_video=0.02, clean_audio=0.32, alone=0.0, spread=1.5)
RECIPE = Recipe(6e-4, 1.2e-3, warmup_steps=100, decay_from=0.2, final=0.02)  # of the clock's ticks
DECODERS = Recipe(5e-4, warmup_steps=100, decay_from=0.25, final=0.02)
AVERAGE = 0.998
MOTION = 6.0  # by how much more a token weighs where something moves
FALLS, STRIKES = 0.15, 0.25  # shares of clips in which things fall or are struck, beside those of `medium`
UNTOLD_GIVEN = 0.5  # share of captions that are withheld where a picture tells most of what they would
LATE = 0.75  # the rate of a training that is so far over is the highest of lessons
HELD_OUT = 96
SECOND = 32  # audio latents in one


def kinds(size: float, codec: Any, lessons: bool = False) -> list[Kind]:
    """Clips of 2, 1 and 4 s of 8 x 8 latents, for `lessons` alone if so; a small `size` is a rehearsal's."""
    table = ((2.0, 0.86, 0.84, 44, 300_000), (1.0, 0.07, 0.06, 80, 30_000), (4.0, 0.07, 0.10, 20, 24_000))

    def parts(rows: int) -> tuple[Part, ...]:
        met, alone, still = (max(2, round(rows * share * size)) for share in (1.0, 0.1, 0.75))
        if lessons:
            return (Part(LEARNED, met, 1.0),)
        return Part(MET, met, 0.9), Part(ALONE, alone, 0.1), Part(MET, still, 0.4, still=True)

    stride, fewer = codec.space_stride, 64 / codec.channels  # clips of larger latents fit
    return [
        Kind(
            LatentSpec(ClipSpec(seconds, 8 * stride, 8 * stride), space_stride=stride),
            parts(rows),
            max(4 * CLIPS, int(room * size * fewer)),
            share,
            steps,
        )
        for seconds, share, steps, rows, room in table
    ]


class Rendered(Dataset):
    """Batch k of clips that were never seen; the first few are held out. More things than usual move."""

    def __init__(self, kinds: list[Kind], hashes: Any, shifts: Pair[float]) -> None:
        self.kinds, self.hashes, self.shifts = kinds, hashes, shifts
        medium = LEVELS["medium"]
        self.held = WorldDataset(replace(medium, spec=kinds[0].spec.clip), seed=SEED, split="validation")
        self.worlds = [
            [WorldDataset(replace(world, spec=kind.spec.clip), seed=SEED) for kind in kinds]
            for world in (medium, *(replace(medium, scenes=(scene,)) for scene in ("drop", "strike")))
        ]

    def __len__(self) -> int:
        return 1 << 20

    def __getitem__(self, k: int) -> dict[str, Any]:
        held = k * CLIPS < HELD_OUT
        scene, which = torch.rand(2, generator=generator(SEED, "batch", k)).tolist()
        kind = 0
        while not held and which > self.kinds[kind].rendered and kind + 1 < len(self.kinds):
            which -= self.kinds[kind].rendered
            kind += 1
        more = 1 if scene < FALLS else 2 if scene < FALLS + STRIKES else 0
        world = self.held if held else self.worlds[more][kind]
        found = rendered(world, k * CLIPS, self.kinds[kind], self.hashes, self.shifts, SEED)
        return {"kind": -1 if held else kind, **found}


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

    def __init__(
        self,
        batches: Iterator[Any],
        pools: list[Pool],
        codecs: tuple[nn.Module, nn.Module],
        device: str,
        refitting: float,
    ) -> None:
        super().__init__(daemon=True)
        self.batches, self.pools, self.device = batches, pools, device
        self.clock: Callable[[], float] = lambda: 0.0  # share of all the time that is over
        self.refitting = refitting  # share of its time
        self.see, self.hear = (Refitted(codec.to(device)) for codec in codecs)
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
        frames, waves = on_device(batch, self.device)
        with torch.no_grad():
            latents = Latents(self.see.shown.encode(frames), self.hear.shown.encode(waves))
        if batch["kind"] < 0:
            held = as_batch(latents, batch["captions"], self.pools[0].kind.spec, CLIPS * len(self.held_out))
            self.held_out.append((held, frames))
            return
        self.pools[batch["kind"]].add(latents, batch)
        began = time.monotonic()
        if self.spent < self.refitting * (began - self.began):  # what is rendered must not wait
            with quickest(self.device):
                self.refit(frames, waves)
            if self.device == "cuda":
                torch.cuda.current_stream().synchronize()
            self.spent += time.monotonic() - began

    def refit(self, frames: Tensor, waves: Tensor) -> None:
        """A step of each decoder."""
        done, number = self.clock(), self.see.steps
        see, hear = self.see.codec, self.hear.codec
        some = [
            clip if i % 2 else varied(clip, generator(SEED, "varied", number, i))
            for i, clip in enumerate(padded(frames[:16, :, :32], 4, see.space_stride))
        ]
        some = torch.stack(some)
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


class Clock:
    """What of some minutes from now on is over, in [0, 1]; a file may say when they end instead."""

    def __init__(self, minutes: float, until: Path | None = None) -> None:
        self.began, self.minutes, self.until = time.time(), minutes, until

    def __call__(self) -> float:
        """The share that is over."""
        end = self.began + 60 * self.minutes
        if self.until and self.until.exists():
            with suppress(ValueError):  # half written, or no number
                end = float(self.until.read_text())
        return min(1.0, (time.time() - self.began) / max(1.0, end - self.began))


class Lease:
    """A training and the feeder of its clips: watched and written down as it goes."""

    def __init__(self, trained: Trained, feeder: Feeder, said: argparse.Namespace, say: Any) -> None:
        self.trained, self.feeder, self.said, self.say = trained, feeder, said, say
        self.random = torch.Generator().manual_seed(SEED)

    def check(self) -> None:
        """Fail as the feeder did."""
        if not self.feeder.failed.empty():
            raise self.feeder.failed.get()

    def held_out(self) -> str:
        """How well it does on what is held out."""
        if not self.said.minutes:
            return "lessons alone"  # a pupil's velocities aren't the data's
        held, see = self.feeder.held_out, self.feeder.see.shown
        found = scores(self.trained.shown, [batch for batch, _ in held], SEED)
        with torch.no_grad():
            seen = [psnr(frames, see.decode(batch.video, batch.spec.clip)) for batch, frames in held]
        found["psnr"] = float(torch.cat([each.flatten() for each in seen]).mean())
        names = ("video", "audio", "audio_own", "sync_gap", "psnr")
        return ", ".join(f"{name} {found[name]:.4f}" for name in names)

    def export(self, name: str) -> None:
        """Write what is trained, and decoders, to OUT."""
        notes = {"commit": self.said.commit, "command": command(self.said), "places": LEVELS["medium"].places}
        spec = asdict(self.trained.pools[0].kind.spec.clip)
        parts: dict[str, Any] = {name: self.trained}
        if self.said.minutes:
            parts |= {"video_codec": self.feeder.see, "audio_codec": self.feeder.hear}
        for part, one in parts.items():
            folder = self.said.out / part
            save_model(one.shown, folder, dtype=torch.bfloat16, step=one.steps, spec=spec, **notes)

    def run(self, name: str, over: Callable[[], float], taught: bool = False) -> None:
        """Train until all of `over` is."""
        trained, pools = self.trained, self.trained.pools
        told = minute = time.monotonic()
        while (done := over()) < 1:
            weights = torch.tensor([pool.kind.trained * (pool.held >= 4 * CLIPS) for pool in pools])
            rate = self.said.late + (1 - self.said.late) * done if taught else done
            trained.train(int(torch.multinomial(weights, 1, generator=self.random)), rate, taught)
            if trained.steps % 20:
                continue
            if trained.cuda:
                torch.cuda.synchronize()
            self.check()
            if time.monotonic() - told > 10:
                told = time.monotonic()
                decoders, clips = self.feeder.see.steps, [pool.seen for pool in pools]
                self.say(f"step {trained.steps}, decoders {decoders}, clips {clips}: {trained.means()}")
            if time.monotonic() - minute > 100:
                minute = time.monotonic()
                self.say(name, self.held_out())
                self.export(name)
        self.say(name, "ends:", self.held_out())
        self.export(name)


def command(said: argparse.Namespace) -> str:
    """The line that trains so, of what differs from the usual."""
    how = f"OUT --minutes {said.minutes:g} --refit {said.refit:g} --taught {said.taught:g}"
    how += f" --init {said.init}" * (said.init != SMALL / "generator")
    how += f" --video-codec {said.video_codec}" * (said.video_codec != SMALL / "video_codec")
    how += f" --pupil {said.pupil}" * (said.pupil is not None) + f" --late {said.late:g}"
    return f"python experiments/004-small/lease.py {how}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--minutes", type=float, default=8.0, help="of training")
    parser.add_argument("--taught", type=float, default=0.0, help="minutes of learning what guidance says")
    parser.add_argument(
        "--video-codec", type=Path, default=SMALL / "video_codec", help="whose latents it is to draw"
    )
    parser.add_argument("--pupil", type=Path, help="where a pupil starts, if not as its teacher")
    parser.add_argument(
        "--late", type=float, default=LATE, help="share of a training; lessons begin with its rate there"
    )
    parser.add_argument("--commit", default="", help="noted down")
    parser.add_argument("--eager", action="store_true", help="do not compile")
    parser.add_argument("--init", type=Path, default=SMALL / "generator", help="where it starts")
    parser.add_argument("--refit", type=float, default=0.4, help="share of the feeder's time for decoders")
    parser.add_argument("--size", type=float, default=1.0, help="of batches and room: small for a rehearsal")
    said = parser.parse_args()
    if not (said.minutes or said.taught):
        parser.error("--minutes 0 without --taught trains nothing")
    if said.pupil and not said.taught:
        parser.error("--pupil is where lessons start; --taught says for how long")
    say = stopwatch()

    model = load_model(said.init)
    pupil = load_model(said.pupil, expected=JointDiT) if said.pupil else None
    codecs = load_model(said.video_codec, expected=VideoAutoencoder), load_model(SMALL / "audio_codec")
    table, hashes = kinds(said.size, codecs[0], lessons=not said.minutes), model.text.hashes
    loader = DataLoader(
        Rendered(table, hashes, model.shifts),
        batch_size=None,
        num_workers=max(1, len(os.sched_getaffinity(0)) - 2),
        prefetch_factor=2,
    )
    batches = iter(loader)  # before the device is touched: its processes are forks
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device)
    pools = [Pool(kind, model.channels, model.text.length - 1, device) for kind in table]
    judge = load_model(SMALL / "offset", device).requires_grad_(False)
    see, hear = (copy.deepcopy(codec).to(device).requires_grad_(False) for codec in codecs)
    feeder = Feeder(batches, pools, codecs, device, said.refit if said.minutes else 0.0)
    trained = Trained(
        model, pools, RECIPE, AVERAGE, SEED, motion=MOTION, given=UNTOLD_GIVEN,
        lessons=CRITICISED if said.taught else (), critic=partial(timing, judge, see, hear),
    )  # fmt: skip
    say("loaded; makes graphs on", device)
    trained.prepare(compiled=not said.eager and device == "cuda", data=said.minutes > 0)
    say("graphs are made, ms:", trained.timed())
    feeder.start()

    lease = Lease(trained, feeder, said, say)
    while len(feeder.held_out) * CLIPS < HELD_OUT or pools[0].held < 4 * CLIPS:
        lease.check()
        time.sleep(0.2)
    say("before:", lease.held_out())

    until = said.out / "until"
    until.unlink(missing_ok=True)  # of another training
    feeder.clock = Clock(said.minutes + said.taught, until)
    if said.minutes:
        lease.run("generator", Clock(said.minutes, None if said.taught else until))
    if said.taught:
        trained.teach(pupil and pupil.to(device))
        lease.run("pupil", Clock(said.taught, until), taught=True)
    feeder.stopped = True
    feeder.join(10)
    say("written to", said.out)
    os._exit(0)  # its renderers need not end what they are at


if __name__ == "__main__":
    main()
