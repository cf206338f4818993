"""A world's synthetic clips -> latents: clips are rendered during training and kept in a replay buffer.

Worker processes render clips, the training device encodes them, and their latents stay there in a replay
buffer until newer ones replace them. A step trains on clips that are sampled from the buffer.

Reproducibility:
- Clip i, its place in the buffer, and the noise, levels and dropped captions of row r of step k are functions
  of (seed, i) and of (seed, k, r) alone.
- With `clips_per_step`, the buffer before step k holds the newest of the first `minimum + clips_per_step k`
  clips: training waits for rendering if necessary, nothing is dropped, and a run that was killed renders the
  buffer again and continues bit for bit.
- Without it, the buffer takes all clips that are rendered by then. Which clips a step samples from depends on
  the speed of rendering, and a resumed run begins with an empty buffer and with clips that it has not
  rendered before.
- With n processes, each has a buffer of its own, of every n-th chunk.
"""

from __future__ import annotations

import itertools
import os
import queue
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from avsim.clip import ClipSpec, LatentSpec
from avsim.data.batch import LatentBatch
from avsim.data.shards import from_int16, from_uint8, to_int16, to_uint8
from avsim.devices import autocast_if_faster
from avsim.errors import InputError
from avsim.seeds import derive, generator
from avsim.weights import codec_records, load_parts
from avsim.world import WorldConfig, WorldDataset, world_config

CHUNK = 16  # clips that are rendered and encoded together


@dataclass(frozen=True)
class ReplayLength:
    """Clips of one length, their batch size and their buffer.

    Raises:
        InputError: fewer than one clip in a batch, a buffer that holds less than a chunk, or shares that are
            not positive.
    """

    seconds: float = 2.0
    batch_size: int = 32  # clips of a step
    capacity: int = 4096  # clips that the buffer keeps
    rendered_share: float = 1.0  # share of this length in the rendered clips, relative to the other lengths
    trained_share: float = 1.0  # share of this length in the steps, relative to the other lengths

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise InputError(f"batch_size is {self.batch_size}; it must be at least 1")
        if self.capacity < CHUNK:
            raise InputError(f"capacity is {self.capacity}; a buffer holds at least {CHUNK} clips")
        if not (self.rendered_share > 0 and self.trained_share > 0):
            raise InputError(
                f"rendered_share is {self.rendered_share}, trained_share {self.trained_share}; "
                "both must be above 0"
            )


class ReplayBuffer:
    """Latents of clips of one spec on a device; the newest replace the oldest."""

    def __init__(
        self, spec: LatentSpec, channels: tuple[int, int], capacity: int, device: torch.device | str
    ) -> None:
        self.spec, self.capacity = spec, capacity // CHUNK * CHUNK
        self.video = torch.empty(self.capacity, channels[0], *spec.video, dtype=torch.float16, device=device)
        self.audio = torch.empty(self.capacity, channels[1], spec.audio, dtype=torch.float16, device=device)
        self.captions, self.names = [""] * self.capacity, [""] * self.capacity
        self.seen = 0  # clips that were ever added

    @property
    def held(self) -> int:
        """The number of clips in the buffer."""
        return min(self.seen, self.capacity)

    def add(self, video: Tensor, audio: Tensor, captions: Sequence[str], names: Sequence[str]) -> None:
        """Add a chunk of latents (n, Dv, t, h, w), (n, Da, l)."""
        at = self.seen % self.capacity
        rows = slice(at, at + len(names))
        self.video[rows], self.audio[rows] = video.to(self.video), audio.to(self.audio)
        self.captions[rows], self.names[rows] = list(captions), list(names)
        self.seen += len(names)

    def batch(self, clips: Sequence[int], first_row: int, image: bool = False) -> LatentBatch:
        """A batch of `clips`, numbered from the oldest in the buffer; with `image`, of their first frames."""
        oldest = self.seen - self.held
        slots = [(oldest + clip) % self.capacity for clip in clips]
        at = torch.tensor(slots)
        at = (at.pin_memory() if self.video.is_cuda else at).to(self.video.device, non_blocking=True)
        captions, names = [self.captions[slot] for slot in slots], [self.names[slot] for slot in slots]
        if image:
            spec = replace(self.spec, clip=self.spec.clip.still)
            return LatentBatch(spec, self.video[at, :, :1].float(), None, captions, names, first_row)
        video, audio = self.video[at].float(), self.audio[at].float()
        return LatentBatch(self.spec, video, audio, captions, names, first_row)


class ReplayData(LightningDataModule):
    """Clips of a world, rendered while a generator trains on them.

    Args:
        video_codec: run or folder of the codec that encodes the frames.
        audio_codec: the same for the waves.
        world: the name of a difficulty, such as "medium", or a config.
        spec: of the clips, except for their length.
        lengths: the lengths of the clips; all clips of a batch have the same.
        scenes: share of the clips with scenes of one kind alone, by kind, such as {strike: 0.25}; all
            other clips have the world's own mixture.
        images: first frames added to a batch, as a fraction of its clips.
        clips_per_step: clips that are rendered for each step; None: as many as the workers can render.
        minimum: clips of a length to render before training on it begins.
        held_out: number of clips of the split "validation".
        workers: number of processes that render; None: all cores but two.
        seed: of the world, and of the clips that a step samples.

    Raises:
        InputError: no codec there, or one for other clips, numbers out of range, an unknown world or scene.
    """

    def __init__(
        self,
        video_codec: str,
        audio_codec: str,
        world: str | WorldConfig = "medium",
        spec: ClipSpec = ClipSpec(2.0, 64, 64),  # noqa: B008  # frozen
        lengths: Sequence[ReplayLength] = (ReplayLength(),),
        scenes: Mapping[str, float] | None = None,
        images: float = 0.0,
        clips_per_step: float | None = None,
        minimum: int = 128,
        held_out: int = 96,
        workers: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.workers = max(1, len(os.sched_getaffinity(0)) - 2) if workers is None else workers
        if not lengths:
            raise InputError("lengths are empty; give at least one")
        if self.workers < 0 or (self.workers == 0 and clips_per_step is None):
            raise InputError(f"workers is {self.workers}; without clips_per_step at least 1 must render")
        for name, value, least in (("minimum", minimum, 1), ("held_out", held_out, 2), ("images", images, 0)):
            if not value >= least:
                raise InputError(f"{name} is {value}; it must be at least {least}")
        if clips_per_step is not None and not 0 <= clips_per_step < float("inf"):
            raise InputError(f"clips_per_step is {clips_per_step}; it must be 0 or more")
        self.shares = dict(scenes or {})
        if not all(share > 0 for share in self.shares.values()) or sum(self.shares.values()) > 1:
            raise InputError(f"scenes: {self.shares}; expected shares above 0 of at most 1 together")
        self.lengths, self.images, self.seed = tuple(lengths), images, seed
        self.clips_per_step, self.minimum, self.held_out_clips = clips_per_step, minimum, held_out
        self.paths = {"video_codec": video_codec, "audio_codec": audio_codec}
        self.models: dict[str, Any] = dict(load_parts(self.paths))
        frame_codec, wave_codec = self.models["video_codec"], self.models["audio_codec"]
        if wave_codec.sample_rate != spec.sample_rate:
            raise InputError(
                f"{audio_codec}: made for {wave_codec.sample_rate} Hz; the clips have {spec.sample_rate} Hz"
            )
        self.specs = [
            LatentSpec(
                replace(spec, seconds=each.seconds),
                frame_codec.time_stride,
                frame_codec.space_stride,
                wave_codec.hop,
            )
            for each in self.lengths
        ]
        self.spec = self.specs[0]
        self.channels: tuple[int, int] = frame_codec.channels, wave_codec.channels
        config = world_config(world)
        alone = [replace(config, scenes=(scene,)) for scene in self.shares]
        self.configs = [config, *alone]
        self.worlds = [
            [WorldDataset(replace(each, spec=latents.clip), seed) for latents in self.specs]
            for each in self.configs
        ]
        self.buffers: list[ReplayBuffer] = []
        self.held_out: list[LatentBatch] = []
        self.chunks = 0  # of this process, in its buffers or passed through them
        self.renderer: _Renderer | None = None

    @property
    def codecs(self) -> dict[str, dict[str, str]]:
        """The codecs of the latents, by part: their folders and sha256."""
        return codec_records(self.paths)

    @property
    def device(self) -> torch.device:
        """Where latents are kept."""
        return self.trainer.strategy.root_device if self.trainer else torch.device("cpu")

    @property
    def _processes(self) -> tuple[int, int]:
        """This process's number, and how many there are."""
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def state_dict(self) -> dict[str, Any]:
        """How many chunks were rendered."""
        return {"chunks": self.chunks}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue after the chunks that a checkpoint counts."""
        self.chunks = int(state_dict["chunks"])

    def train_dataloader(self) -> Iterable[LatentBatch]:
        """Endless batches, from the current step of the run on."""
        _, ranks = self._processes
        for each in self.lengths:
            if each.batch_size % ranks:
                raise InputError(f"batch_size is {each.batch_size}; {ranks} processes can't share it evenly")
        return _Steps(self)

    def val_dataloader(self) -> DataLoader[LatentBatch]:
        """The held-out clips of the first length, in order; rendered once."""
        if not self.held_out:
            rank, ranks = self._processes
            count = -(-self.held_out_clips // CHUNK)
            chunks = _Chunks(self, "validation", self.held_out_clips)
            for number, chunk in enumerate(self._loader(chunks, range(rank, count, ranks))):
                video, audio = self.encode(chunk)
                first = CHUNK * (rank + ranks * number)
                batch = LatentBatch(self.spec, video, audio, chunk["captions"], chunk["names"], first)
                self.held_out.append(batch)
        return DataLoader(self.held_out, batch_size=None)  # type: ignore[arg-type]

    test_dataloader = val_dataloader

    def teardown(self, stage: str) -> None:
        """Stop the processes that render."""
        if self.renderer is not None:
            self.renderer.stop()
            self.renderer = None

    def _loader(self, chunks: _Chunks, numbers: Iterable[int]) -> DataLoader[Any]:
        return DataLoader(
            chunks, batch_size=None, sampler=numbers, num_workers=self.workers,
            prefetch_factor=2 if self.workers else None,
        )  # fmt: skip

    def length_index(self, number: int) -> int:
        """The index in `lengths` of the length that the clips of a chunk have."""
        shares = torch.tensor([each.rendered_share for each in self.lengths])
        return int(torch.multinomial(shares, 1, generator=generator(self.seed, "chunk", number)))

    @torch.no_grad()
    def encode(self, chunk: Mapping[str, Any]) -> tuple[Tensor, Tensor]:
        """The latents of a chunk, (n, Dv, t, h, w) and (n, Da, l)."""
        device = self.device
        names = ("video_codec", "audio_codec")
        frame_codec, wave_codec = (self.models[name].to(device).eval() for name in names)
        frames, waves = (chunk[name].to(device, non_blocking=True) for name in ("frames", "waves"))
        with autocast_if_faster(device):
            video = frame_codec.encode(from_uint8(frames)).float()
            return video, wave_codec.encode(from_int16(waves)).float()

    def begin(self, step: int) -> None:
        """Empty the buffers, start rendering; with `clips_per_step`, restore what they held before `step`."""
        self.teardown("fit")
        self.buffers = [
            ReplayBuffer(spec, self.channels, each.capacity, self.device)
            for spec, each in zip(self.specs, self.lengths, strict=True)
        ]
        rank, ranks = self._processes
        again: list[int] = []
        if self.clips_per_step is not None:
            self.chunks = self.chunks_before(step)
            room = [buffer.capacity // CHUNK for buffer in self.buffers]
            for number in range(self.chunks - 1, -1, -1):
                length = self.length_index(number * ranks + rank)
                self.buffers[length].seen += CHUNK
                if self.buffers[length].seen <= CHUNK * room[length]:
                    again.append(number)
            for buffer in self.buffers:  # clips that would be overwritten by now need no rendering
                buffer.seen -= buffer.held
        again.reverse()
        numbers = itertools.chain(again, itertools.count(self.chunks))
        mine = (number * ranks + rank for number in numbers)
        self.renderer = _Renderer(self._loader(_Chunks(self, "train"), mine), 2 * max(1, self.workers))
        for _ in again:
            self.add(self.renderer.next())

    def chunks_before(self, step: int) -> int:
        """The number of chunks that this process has rendered before a step; needs `clips_per_step`."""
        assert self.clips_per_step is not None
        _, ranks = self._processes
        return -(-int(self.minimum + self.clips_per_step * step) // (CHUNK * ranks))

    def add(self, chunk: Mapping[str, Any]) -> None:
        """Encode a chunk into its buffer."""
        self.buffers[chunk["length"]].add(*self.encode(chunk), chunk["captions"], chunk["names"])

    def fill(self, step: int) -> None:
        """Add the chunks that a step requires; without `clips_per_step`, also all others that are ready."""
        assert self.renderer is not None
        while self.must_wait(step):
            self.add(self.renderer.next())
            self.chunks += 1
        if self.clips_per_step is None:
            while (chunk := self.renderer.next_if_ready()) is not None:
                self.add(chunk)
                self.chunks += 1

    def must_wait(self, step: int) -> bool:
        """Whether the buffers still lack clips that a step needs."""
        if self.clips_per_step is not None and self.chunks < self.chunks_before(step):
            return True
        return not any(self.ready())

    def ready(self) -> list[bool]:
        """Which lengths have enough clips to train on."""
        return [buffer.held >= min(self.minimum, buffer.capacity) for buffer in self.buffers]

    def batch(self, step: int) -> LatentBatch:
        """This process's rows of a step, sampled from one buffer, with images if there are any."""
        shares = torch.tensor(
            [each.trained_share * ready for each, ready in zip(self.lengths, self.ready(), strict=True)]
        )
        length = int(torch.multinomial(shares, 1, generator=generator(self.seed, "length", step)))
        buffer, size = self.buffers[length], self.lengths[length].batch_size
        clips = self._picked(step, size, buffer, "clip", False)
        count = round(self.images * size)
        return replace(clips, images=self._picked(step, count, buffer, "image", True)) if count else clips

    def _picked(self, step: int, size: int, buffer: ReplayBuffer, name: str, image: bool) -> LatentBatch:
        rank, ranks = self._processes
        accumulated = self.trainer.accumulate_grad_batches if self.trainer else 1
        mine = range(size * rank // ranks, size * (rank + 1) // ranks)
        picked = [derive(self.seed, name, step, row) % buffer.held for row in mine]
        return buffer.batch(picked, mine.start + size * (step % accumulated), image)


class _Chunks(Dataset):
    """Chunk k of a split: CHUNK clips of one length, as uint8 frames and int16 waves."""

    def __init__(self, data: ReplayData, split: str, clips: int = 1 << 40) -> None:
        # This is sent to workers: it must hold no latents and no device.
        self.seed, self.split, self.clips = data.seed, split, clips
        self.length_index, self.shares = data.length_index, torch.tensor(list(data.shares.values()))
        self.worlds = data.worlds
        if split != "train":
            self.worlds = [[WorldDataset(data.worlds[0][0].config, data.seed, split)]]

    def __getitem__(self, number: int) -> dict[str, Any]:
        trained = self.split == "train"
        length = self.length_index(number) if trained else 0
        at = torch.rand((), generator=generator(self.seed, "chunk scenes", number))
        which = (
            int((at < self.shares.cumsum(0)).int().argmax()) + 1
            if trained and (at < self.shares.sum())
            else 0
        )
        world = self.worlds[which][length]
        first = number * CHUNK
        indices = range(first, min(first + CHUNK, self.clips))
        clips, truths = zip(*(world[i] for i in indices), strict=True)
        return {
            "length": length,
            "frames": torch.stack([to_uint8(clip.frames) for clip in clips]),
            "waves": torch.stack([to_int16(clip.wave) for clip in clips]),
            "captions": [truth.caption for truth in truths],
            "names": [f"world/{self.split}/{i}" for i in indices],
        }


class _Renderer:
    """Puts what a loader renders into a queue; its exceptions are raised in `next`."""

    def __init__(self, loader: DataLoader[Any], ahead: int) -> None:
        self.queue: queue.Queue[Any] = queue.Queue(ahead)
        self.stopped = threading.Event()
        self.thread = threading.Thread(target=self._run, args=(iter(loader),), daemon=True)
        self.thread.start()

    def _run(self, chunks: Iterator[Any]) -> None:
        try:
            for chunk in chunks:
                self._put(chunk)
                if self.stopped.is_set():
                    return
        except BaseException as error:  # of a worker
            self._put(error)

    def _put(self, what: Any) -> None:
        while not self.stopped.is_set():
            try:
                return self.queue.put(what, timeout=0.2)
            except queue.Full:
                continue

    def next(self) -> dict[str, Any]:
        """The next chunk, waited for."""
        return self._checked(self.queue.get())

    def next_if_ready(self) -> dict[str, Any] | None:
        """The next chunk; None: it isn't rendered yet."""
        try:
            return self._checked(self.queue.get_nowait())
        except queue.Empty:
            return None

    def _checked(self, what: Any) -> dict[str, Any]:
        if isinstance(what, BaseException):
            raise what
        return what

    def stop(self) -> None:
        """Stop rendering, once each process has finished its current chunk."""
        self.stopped.set()
        self.thread.join()


class _Steps:
    """The training batches, from the current step on."""

    def __init__(self, data: ReplayData) -> None:
        self.data = data

    def __iter__(self) -> Iterator[LatentBatch]:
        trainer = self.data.trainer
        step = trainer.global_step * trainer.accumulate_grad_batches if trainer else 0
        self.data.begin(step)
        while True:
            self.data.fill(step)
            yield self.data.batch(step)
            step += 1
