"""Under FSDP2 on two processes the fresh model's video is the transformer's own, and training moves audio."""

import os

import pytest
import torch
import torch.multiprocessing as mp

pytest.importorskip("diffusers", reason="the transformers are of diffusers: pip install avsim[test]")

from avsim.models import add_audio  # noqa: E402
from tests.models import tiny  # noqa: E402


def work(rank, folder, kind):
    import torch.distributed as dist
    from torch.distributed.fsdp import fully_shard

    os.environ |= {"MASTER_ADDR": "127.0.0.1", "OMP_NUM_THREADS": "1"}
    dist.init_process_group("gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=2)
    make, blocks = (tiny.wan, "blocks") if kind == "wan" else (tiny.ltx_video, "transformer_blocks")
    torch.manual_seed(0)
    transformer = make()
    spec = tiny.spec_of(2, 4, 4)
    model = add_audio(transformer, 6, 16)
    z_video, z_audio = torch.randn(2, model.video.channels, *spec.video), torch.randn(2, 6, spec.audio)
    text, s = torch.randn(2, 3, 20), torch.rand(2)
    with torch.no_grad():
        expected, audio = model.velocity(z_video, z_audio, s, s, text, spec)
    model.freeze_video()
    for block in (*getattr(transformer, blocks), *model.audio.blocks, *model.fusion.values()):
        fully_shard(block)
    fully_shard(model)
    optimizer = torch.optim.AdamW([w for w in model.parameters() if w.requires_grad], lr=1e-2)
    for step in range(2):
        v_video, v_audio = model.velocity(z_video, z_audio, s, s, text, spec)
        if step == 0:
            assert torch.equal(v_video, expected) and torch.equal(v_audio, audio)
        else:
            assert not torch.equal(v_video, expected)  # fusion into video was trained
        (v_video.square().mean() + v_audio.square().mean()).backward()
        optimizer.step()
        optimizer.zero_grad()
    (folder / f"done-{rank}").touch()
    dist.destroy_process_group()


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["wan", "ltx"])
def test_two_processes_share_the_weights(kind, tmp_path):
    mp.spawn(work, (tmp_path, kind), nprocs=2)
    assert (tmp_path / "done-0").exists() and (tmp_path / "done-1").exists()
