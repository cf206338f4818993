"""Latents are what the codecs say, name their codecs, and are finished by a second run."""

import itertools
import json
import shutil
from dataclasses import replace

import pytest
import torch

from avsim import devices
from avsim.codecs.audio import AudioAutoencoder
from avsim.codecs.video import VideoAutoencoder
from avsim.data import encode as module
from avsim.data.datamodule import LatentData
from avsim.data.encode import encode
from avsim.data.latent_shards import LatentSource
from avsim.data.sources import ShardSource
from avsim.errors import InputError
from avsim.seeds import generator
from avsim.weights import hash_of, load_model, save_model


@pytest.fixture(scope="module")
def codecs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("codecs")
    torch.manual_seed(0)
    video = VideoAutoencoder(channels=4, widths=(8, 8, 8), depths=(1, 1, 1))
    audio = AudioAutoencoder(sample_rate=8000, channels=4, width=16, depths=(1, 1), n_fft=128, stride=125)
    save_model(video, folder / "run" / "simulator" / "video_codec")
    save_model(audio, folder / "audio")
    return folder / "run", folder / "audio"


def sources(shards):
    return {split: ShardSource(shards, split) for split in ("train", "validation", "test")}


@pytest.fixture
def latents(shards, spec, codecs, tmp_path):
    encode(sources(shards), spec, *codecs, tmp_path / "latents", batch_size=3)
    return tmp_path / "latents"


def test_latents_are_what_the_codecs_say(float32, latents, shards, spec, codecs):
    see, hear = load_model(codecs[0] / "simulator" / "video_codec"), load_model(codecs[1])
    found, source = LatentSource(latents, "train"), ShardSource(shards, "train")
    assert len(found) == len(source) and found.channels == (4, 4)
    for index in (0, len(source) - 1):
        video, audio, caption, name = found.latents(index)
        sample = source.sample(index, spec, generator(0))
        with torch.no_grad():
            assert torch.allclose(video, see.encode(sample.frames[None])[0], atol=5e-3, rtol=1e-3)
            assert torch.allclose(audio, hear.encode(sample.wave[None])[0], atol=5e-3, rtol=1e-3)
        assert (caption, name) == (sample.caption, sample.name)
        assert video.shape == (4, *found.spec.video) and audio.shape == (4, found.spec.audio)


def test_they_name_their_codecs(latents, codecs):
    named = LatentSource(latents).codecs
    assert named["audio"] == {"folder": str(codecs[1]), "sha256": hash_of(codecs[1] / "model.safetensors")}
    assert named["video"]["folder"].endswith("simulator/video_codec")


def test_batches_of_latents(latents):
    data = LatentData(latents, batch_size=5, seed=2)
    batch = next(iter(data.train_dataloader()))
    assert batch.video.shape == (5, 4, *data.spec.video) and batch.audio.shape == (5, 4, data.spec.audio)
    assert batch.first_row == 0 and len(batch.names) == 5 and batch.spec == data.spec
    names = [name for some in data.val_dataloader() for name in some.names]
    assert names == [item["name"] for item in LatentSource(latents, "validation").items]


def test_a_batch_is_of_one_folder_with_images_beside_its_clips(shards, spec, codecs, latents, tmp_path):
    short = replace(spec, seconds=spec.seconds / 2)
    encode({"train": ShardSource(shards, "train")}, short, *codecs, tmp_path / "short")
    data = LatentData([str(latents), str(tmp_path / "short")], batch_size=2, images=1.5)
    batches = list(itertools.islice(data.train_dataloader(), 60))
    assert all(len(batch.names) == 2 and batch.audio is not None for batch in batches)
    assert all(len(batch.images.names) == 3 and batch.images.audio is None for batch in batches)
    assert {batch.spec for batch in batches} == {data.spec, LatentSource(tmp_path / "short").spec}
    still = replace(data.spec, clip=replace(spec, seconds=1 / spec.frames_per_second))
    assert {batch.images.spec for batch in batches} == {still}
    assert all(batch.video.shape[2:] == batch.spec.video for batch in batches)
    assert any(batch.names != batch.images.names[:2] for batch in batches)  # of other clips
    again = list(itertools.islice(data.train_dataloader(), 60))
    assert all(torch.equal(one.video, other.video) for one, other in zip(batches, again, strict=True))
    assert {batch.spec for batch in data.val_dataloader()} == {data.spec}
    with pytest.raises(InputError, match="images is -1"):
        LatentData(latents, images=-1.0)


def test_folders_of_other_codecs_are_refused(latents, tmp_path):
    other = shutil.copytree(latents, tmp_path / "other")
    index = json.loads((other / "index.json").read_text())
    index["codecs"]["video"]["sha256"] = "0" * 64
    (other / "index.json").write_text(json.dumps(index))
    with pytest.raises(InputError, match="other codecs"):
        LatentData([str(latents), str(other)])
    with pytest.raises(InputError, match="other codecs"):
        LatentData(latents, held_out=str(other))
    with pytest.raises(InputError, match="at least one folder"):
        LatentData([])


def test_a_second_run_encodes_what_is_missing(shards, spec, codecs, tmp_path, monkeypatch):
    monkeypatch.setattr(module, "PART", 4)
    out = tmp_path / "latents"
    encode(sources(shards), spec, *codecs, out)
    before = {path.name: path.read_bytes() for path in (out / "shards").iterdir()}
    index = json.loads((out / "index.json").read_text())
    (out / "index.json").unlink()
    (out / "parts" / "train-00000004.json").unlink()
    (out / "shards" / "test-00000000.safetensors").unlink()
    done = []
    work = module._encode_part
    monkeypatch.setattr(module, "_encode_part", lambda *a: done.append(a[1]) or work(*a))
    encode(sources(shards), spec, *codecs, out)
    assert sorted(part.start for part in done) == [0, 4]
    assert {path.name: path.read_bytes() for path in (out / "shards").iterdir()} == before
    assert json.loads((out / "index.json").read_text()) == index


def test_latents_in_bfloat16_are_near_those_in_float32(shards, spec, codecs, tmp_path, monkeypatch):
    for quick in (False, True):
        monkeypatch.setattr(devices, "fast_in_bfloat16", lambda device, quick=quick: quick)
        encode(sources(shards), spec, *codecs, tmp_path / str(quick))
    for a, b in zip(
        *(LatentSource(tmp_path / str(quick)).latents(0)[:2] for quick in (False, True)), strict=True
    ):
        assert not torch.equal(a, b)
        assert (a - b).abs().mean() < 0.1 * a.abs().mean()


def test_refusals(latents, shards, spec, codecs, tmp_path):
    video, audio = codecs
    with pytest.raises(InputError, match="no trained video_codec here"):
        encode(sources(shards), spec, tmp_path, audio, tmp_path / "out")
    with pytest.raises(InputError, match="holds a AudioAutoencoder; expected a video codec"):
        encode(sources(shards), spec, audio, audio, tmp_path / "out")
    with pytest.raises(InputError, match="choose another folder"):
        encode({"train": ShardSource(shards, "train")}, spec, *codecs, latents)
    other = AudioAutoencoder(sample_rate=16000, channels=4, width=16, depths=(1, 1), n_fft=128)
    save_model(other, tmp_path / "other")
    with pytest.raises(InputError, match="encodes 16000 Hz; the clips have 8000 Hz"):
        encode(sources(shards), spec, video, tmp_path / "other", tmp_path / "out")
    with pytest.raises(InputError, match="lacks video or audio"):
        encode({"train": ShardSource(shards, wave=False)}, spec, *codecs, tmp_path / "out")
    with pytest.raises(InputError, match="holds latents; expected clips"):
        ShardSource(latents)
    assert not (tmp_path / "out" / "index.json").exists()
