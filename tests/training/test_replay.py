from contextlib import suppress
from types import SimpleNamespace

import pytest
import torch

from avsim.clip import ClipSpec
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


def test_accumulated_batches_have_rows_of_their_own(run):
    apart = data(run, images=0.0)
    strategy = SimpleNamespace(root_device=torch.device("cpu"))
    apart.trainer = SimpleNamespace(accumulate_grad_batches=2, world_size=1, global_rank=0, strategy=strategy)
    apart.begin(0)
    apart.fill(3)
    assert [apart.batch(step).first_row for step in range(4)] == [0, 4, 0, 4]


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
