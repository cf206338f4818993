from contextlib import suppress
from types import SimpleNamespace

import pytest
import torch

from avsim.clip import Clip, ClipSpec, LatentSpec
from avsim.diffusion.datamodule import CHUNK, ReplayBuffer, ReplayData, ReplayLength, _Chunks
from avsim.errors import InputError
from tests.small.models import SPEC, export


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    return str(export(tmp_path_factory.mktemp("replay") / "run"))


def data(run: str, **changes) -> ReplayData:
    lengths = (
        ReplayLength(1.0, 4, CHUNK, rendered_share=0.5, trained_share=0.5),
        ReplayLength(0.5, 4, 2 * CHUNK, rendered_share=0.5, trained_share=0.5),
    )
    settings = dict(
        world="easy", spec=ClipSpec(**SPEC), lengths=lengths, images=0.5, clips_per_step=CHUNK, minimum=CHUNK,
        held_out=CHUNK, workers=0, scenes={"strike": 0.5},
    )  # fmt: skip
    return ReplayData(run, run, **{**settings, **changes})


def steps(data: ReplayData, first: int, count: int):
    data.begin(first)
    batches = []
    for step in range(first, first + count):
        data.fill(step)
        batches.append(data.batch(step))
    data.teardown("fit")
    return batches


def test_a_run_that_goes_on_has_the_same_batches_bit_for_bit(run):
    whole, late = steps(data(run), 0, 6), steps(data(run), 4, 2)
    for one, other in zip(whole[4:], late, strict=True):
        assert one.spec == other.spec and one.names == other.names and one.captions == other.captions
        assert torch.equal(one.video, other.video) and torch.equal(one.audio, other.audio)
        assert torch.equal(one.images.video, other.images.video) and one.images.names == other.images.names
    assert {batch.spec.clip.seconds for batch in whole} == {1.0, 0.5}
    assert all(batch.video.shape[0] == 4 and batch.images.video.shape[0] == 2 for batch in whole)
    assert all(batch.images.video.shape[2] == 1 and batch.images.audio is None for batch in whole)


def test_the_buffer_keeps_the_newest(run):
    spec = data(run).specs[1]
    buffer = ReplayBuffer(spec, (16, 16), 2 * CHUNK, "cpu")
    for chunk in range(3):
        video = torch.full((CHUNK, 16, *spec.video), float(chunk))
        names = [f"{chunk}-{i}" for i in range(CHUNK)]
        buffer.add(video, torch.zeros(CHUNK, 16, spec.audio), names, names)
    assert buffer.held == 2 * CHUNK
    found = buffer.batch([0, 2 * CHUNK - 1], 5)
    assert found.names == ["1-0", f"2-{CHUNK - 1}"] and found.first_row == 5
    assert found.video[:, 0, 0, 0, 0].tolist() == [1.0, 2.0]


def test_workers_render_as_much_as_they_can_without_a_number(run):
    free = data(run, clips_per_step=None, workers=1)
    (batch,) = steps(free, 0, 1)
    assert free.chunks >= 1 and free.state_dict() == {"chunks": free.chunks} and len(batch.names) == 4


def test_what_is_held_out_is_of_the_validation_split(run):
    held = list(data(run).val_dataloader())
    assert sum(len(batch.names) for batch in held) == CHUNK
    assert all(name.startswith("world/validation/") for batch in held for name in batch.names)


def test_numbers_out_of_range_are_refused(run):
    with pytest.raises(InputError, match="capacity is 3"):
        ReplayLength(capacity=3)
    for shares in ({"rendered_share": 0.0}, {"trained_share": 0.0}, {"rendered_share": -1.0}):
        with pytest.raises(InputError, match="both must be above 0"):
            ReplayLength(**shares)
    with pytest.raises(InputError, match="batch_size is 0"):
        ReplayLength(batch_size=0)
    for changes, message in (
        ({"workers": 0, "clips_per_step": None}, "at least 1 must render"),
        ({"lengths": ()}, "lengths are empty"),
        ({"scenes": {"strike": 1.5}}, "of at most 1 together"),
        ({"spec": ClipSpec(**{**SPEC, "sample_rate": 8000})}, "made for 16000 Hz"),
        ({"scenes": {"strike": 0.0}}, "shares above 0"),
        ({"scenes": {"strike": 0.5, "drop": 0.6}}, "of at most 1 together"),
        ({"minimum": 0}, "minimum is 0"),
        ({"held_out": 1}, "held_out is 1"),
        ({"images": -0.5}, "images is -0.5"),
        ({"clips_per_step": -1.0}, "clips_per_step is -1.0"),
        ({"clips_per_step": float("inf")}, "clips_per_step is inf"),
    ):
        with pytest.raises(InputError, match=message):
            data(run, **changes)


def test_the_least_that_is_allowed_is_taken(run):
    taken = data(
        run, minimum=1, held_out=2, images=0.0, clips_per_step=0.0, scenes={"strike": 0.5, "drop": 0.5}
    )
    assert taken.held_out_clips == 2
    assert ReplayLength(batch_size=1, capacity=CHUNK).capacity == CHUNK


def test_what_is_not_said_is_2_seconds_of_64_x_64(run):
    found = ReplayData(run, run, clips_per_step=1.0)
    codec = found.models["video_codec"]
    assert found.spec == LatentSpec(
        ClipSpec(2.0, 64, 64), codec.time_stride, codec.space_stride, found.models["audio_codec"].hop
    )
    assert (found.images, found.minimum, found.held_out_clips, found.shares) == (0.0, 128, 96, {})
    assert found.channels == (16, 16) and set(found.codecs) == {"video", "audio"}


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (2, 1), (3, 1), (8, 6)])
def test_all_cores_but_two_render(run, monkeypatch, cores, workers):
    monkeypatch.setattr("os.sched_getaffinity", lambda process: range(cores))
    assert data(run, workers=None).workers == workers
    assert data(run, workers=0).workers == 0


class Numbered:
    """A world whose clip i is as bright as i says."""

    def __init__(self, config, seed, split="train"):
        self.config, self.split = config, split

    def __getitem__(self, index):
        spec = self.config.spec
        frames = torch.full((3, spec.frames, spec.height, spec.width), index / 255)
        clip = Clip(frames, torch.zeros(2, spec.samples), spec.frames_per_second, spec.sample_rate)
        return clip, SimpleNamespace(caption=f"clip {index}")


@pytest.fixture
def numbered(run, monkeypatch):
    """Makes data of `Numbered`, of process `rank` of `ranks`, whose latents are the number of their clip."""
    monkeypatch.setattr("avsim.diffusion.datamodule.WorldDataset", Numbered)

    def encode(chunk):
        count = len(chunk["names"])
        spec = found[0].specs[chunk["length"]]
        number = chunk["frames"][:, :1, :1, :1, :1].float()
        video = number.expand(count, 16, *spec.video)
        return video, number[:, 0, :, 0].expand(count, 16, spec.audio)

    found = []

    def make(rank=0, ranks=1, step=0, accumulated=1, **changes):
        made = data(run, **{"scenes": None, "images": 0.0, **changes})
        strategy = SimpleNamespace(root_device=torch.device("cpu"))
        made.trainer = SimpleNamespace(
            accumulate_grad_batches=accumulated, world_size=ranks, global_rank=rank, strategy=strategy,
            global_step=step,
        )  # fmt: skip
        made.encode = encode
        found[:] = [made]
        return made

    return make


ONE = (ReplayLength(1.0, 4, 4 * CHUNK),)


@pytest.mark.parametrize(
    ("ranks", "expected"),
    [(1, [2, 2, 3, 4, 4]), (2, [1, 1, 2, 2, 2]), (3, [1, 1, 1, 2, 2])],
)
def test_chunks_are_counted_per_process_and_rounded_up(numbered, ranks, expected):
    made = numbered(ranks=ranks, clips_per_step=10.0, minimum=20)  # 20, 30, 40, 50, 60 clips in all
    assert [made.chunks_before(step) for step in range(5)] == expected


def test_a_step_waits_for_what_it_needs_and_for_no_more(numbered):
    made = numbered(lengths=ONE, clips_per_step=CHUNK, minimum=CHUNK)
    made.begin(0)
    assert made.chunks == 1 == made.chunks_before(0) and not made.must_wait(0)
    assert made.must_wait(1)
    made.fill(1)
    assert made.chunks == 2 and not made.must_wait(1)
    made.fill(1)
    assert made.chunks == 2 and made.buffers[0].names[::CHUNK] == ["world/train/0", "world/train/16", "", ""]
    made.teardown("fit")
    assert made.renderer is None
    short = numbered(lengths=(ReplayLength(1.0, 4, CHUNK),), clips_per_step=0.0, minimum=3 * CHUNK)
    short.begin(0)  # the buffer holds the newest of the three chunks, and that must be enough
    assert short.chunks == 3 and short.ready() == [True] and not short.must_wait(0)
    assert short.buffers[0].names[0] == "world/train/32"
    short.teardown("fit")


@pytest.mark.parametrize("rank", [0, 1])
def test_each_of_two_processes_has_every_second_chunk_also_when_it_goes_on(numbered, rank):
    lengths = (ReplayLength(1.0, 4, CHUNK), ReplayLength(0.5, 4, 2 * CHUNK))

    def made():
        return numbered(rank, 2, lengths=lengths, images=0.5, clips_per_step=2 * CHUNK, minimum=4 * CHUNK)

    whole, late = steps(made(), 0, 6), steps(made(), 4, 2)
    for one, other in zip(whole[4:], late, strict=True):
        assert one.names == other.names and torch.equal(one.video, other.video)
        assert torch.equal(one.audio, other.audio) and one.images.names == other.images.names
    seen = {name for batch in whole for name in batch.names}
    numbers = {int(name.rpartition("/")[2]) for name in seen}
    assert len(numbers) > 8 and all(number // CHUNK % 2 == rank for number in numbers)
    for batch in whole:
        assert batch.first_row == 2 * rank and len(batch.names) == 2  # of 4 rows in all
        assert batch.images.first_row == rank and len(batch.images.names) == 1  # of 2 images in all
        assert batch.captions == [f"clip {name.rpartition('/')[2]}" for name in batch.names]
        shown = [int(name.rpartition("/")[2]) for name in batch.names]
        assert batch.video[:, 0, 0, 0, 0].tolist() == shown == batch.audio[:, 0, 0].tolist()


def test_a_run_that_goes_on_renders_what_the_buffer_still_holds_alone(numbered):
    made = numbered(lengths=(ReplayLength(1.0, 4, 2 * CHUNK),), clips_per_step=CHUNK, minimum=CHUNK)
    made.begin(6)
    assert made.chunks == 7 and made.buffers[0].seen == 7 * CHUNK and made.buffers[0].held == 2 * CHUNK
    assert sorted(name for name in made.buffers[0].names if name.endswith(("/80", "/96"))) == [
        "world/train/80", "world/train/96"
    ]  # fmt: skip
    first, last = made.buffers[0].batch([0, 2 * CHUNK - 1], 0).names
    assert (first, last) == ("world/train/80", "world/train/111")
    made.teardown("fit")


def test_the_second_of_three_processes_has_the_second_of_every_three_chunks(numbered):
    made = numbered(1, 3, lengths=ONE, clips_per_step=3 * CHUNK, minimum=6 * CHUNK)
    made.begin(0)
    assert made.buffers[0].names[::CHUNK] == ["world/train/16", "world/train/64", "", ""]
    made.teardown("fit")


def test_without_a_number_of_clips_a_run_goes_on_with_clips_it_has_not_rendered(numbered):
    made = numbered(lengths=ONE, clips_per_step=None, minimum=CHUNK, workers=1)
    made.load_state_dict({"chunks": 5})
    made.begin(3)
    assert made.buffers[0].held == 0 and made.must_wait(3)
    made.fill(3)
    assert made.buffers[0].names[0] == f"world/train/{5 * CHUNK}" and made.state_dict()["chunks"] >= 6
    made.teardown("fit")


def test_lengths_have_their_shares_of_the_chunks_and_of_the_steps(numbered):
    lengths = (
        ReplayLength(1.0, 4, CHUNK, rendered_share=1.0, trained_share=3.0),
        ReplayLength(0.5, 4, CHUNK, rendered_share=3.0, trained_share=1.0),
    )
    made = numbered(lengths=lengths, clips_per_step=0.0, minimum=1)
    rendered = [made.length_index(number) for number in range(400)]
    assert abs(sum(rendered) / 400 - 0.75) < 0.07
    made.begin(0)
    for number in (0, 1):  # whatever was rendered by now: both have clips
        made.buffers[number].seen = CHUNK
    trained = [made.batch(step).spec.clip.seconds for step in range(400)]
    assert abs(trained.count(1.0) / 400 - 0.75) < 0.07
    made.buffers[0].seen = 0
    assert {made.batch(step).spec.clip.seconds for step in range(20)} == {0.5}  # the other has no clips
    made.teardown("fit")


@pytest.mark.parametrize(("rank", "ranks", "expected"), [(0, 1, [(0, 16), (16, 4)]), (1, 2, [(16, 4)])])
def test_held_out_clips_are_spread_over_processes_and_keep_their_rows(numbered, rank, ranks, expected):
    made = numbered(rank, ranks, held_out=20)
    batches = list(made.val_dataloader())
    assert [(batch.first_row, len(batch.names)) for batch in batches] == expected
    for batch in batches:
        rows = range(batch.first_row, batch.first_row + len(batch.names))
        assert batch.names == [f"world/validation/{row}" for row in rows] and batch.spec == made.spec
    assert list(made.val_dataloader())[0] is batches[0]  # rendered once


def test_batches_begin_at_the_step_of_the_run(numbered):
    made = numbered(step=3, accumulated=2, lengths=ONE, clips_per_step=1.0, minimum=CHUNK)
    batches = iter(made.train_dataloader())
    found = [next(batches) for _ in range(3)]
    again = numbered(accumulated=2, lengths=ONE, clips_per_step=1.0, minimum=CHUNK)
    for mine, other in zip(found, steps(again, 6, 3), strict=True):
        assert mine.names == other.names and mine.first_row == other.first_row
    made.teardown("fit")
    assert [batch.first_row for batch in found] == [0, 4, 0]  # rows of the step that two batches make
    with pytest.raises(InputError, match="batch_size is 4; 3 processes can't share it evenly"):
        numbered(0, 3).train_dataloader()


def test_what_fails_while_rendering_is_raised_where_clips_are_waited_for(numbered, monkeypatch):
    def fail(self, index):
        raise InputError(f"clip {index} can't be rendered")

    monkeypatch.setattr(Numbered, "__getitem__", fail)
    made = numbered(lengths=ONE, clips_per_step=1.0, minimum=CHUNK)
    with pytest.raises(InputError, match="clip 0 can't be rendered"):
        made.begin(0)
    made.teardown("fit")


def test_scenes_have_their_shares_of_the_chunks(run):
    found = data(run, scenes={"strike": 0.25, "drop": 0.25})
    chunks = _Chunks(found, "train")
    seen = []
    for worlds in found.worlds:
        for k, world in enumerate(worlds):
            worlds[k] = Noted(world, seen)
    for number in range(60):
        with suppress(StopHere):
            chunks[number]
    counts = [seen.count(each.scenes) for each in found.configs]
    assert sum(counts) == 60 and abs(counts[0] - 30) < 12 and all(4 < each < 27 for each in counts[1:])


class StopHere(Exception):
    pass


class Noted:
    """A world that notes which one was taken from, and renders nothing."""

    def __init__(self, world, seen):
        self.config, self.seen = world.config, seen

    def __getitem__(self, index):
        self.seen.append(self.config.scenes)
        raise StopHere
