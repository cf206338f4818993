"""Of several takes the one is kept in which the sound is best heard, row by row."""

import torch

from avsim.clip import ClipSpec, LatentSpec
from avsim.diffusion import JointDiT, Latents
from avsim.diffusion.rerank import clean_audio_loss, rerank
from avsim.models.tokens import to_tokens

SPEC = LatentSpec(ClipSpec(0.5, 16, 16))


def model() -> JointDiT:
    torch.manual_seed(0)
    model = JointDiT(width=32, blocks=1, heads=2)
    with torch.no_grad():
        for value in model.parameters():
            value.add_(0.1 * torch.randn(value.shape))
    return model.eval()


def takes(count: int, rows: int) -> list[Latents]:
    random = torch.Generator().manual_seed(1)
    sound = torch.randn(rows, 16, SPEC.audio, generator=random)
    return [Latents(torch.randn(rows, 16, *SPEC.video, generator=random), sound) for _ in range(count)]


@torch.no_grad()
def test_each_row_is_the_take_that_leaves_least_of_its_sound_untold():
    net, several = model(), takes(3, 4)
    captions = ["a", "b", "", "d"]
    kept = rerank(net, captions, SPEC, several)
    context = net.context(captions, SPEC)
    losses = torch.stack([clean_audio_loss(net, context, to_tokens(take)) for take in several])  # (takes, B)
    assert len(losses.argmin(0).unique()) > 1  # else the test could not tell rows apart
    for row, take in enumerate(losses.argmin(0).tolist()):
        assert torch.equal(kept.video[row], several[take].video[row])
    assert torch.equal(kept.audio, several[0].audio)


def test_a_row_is_judged_by_itself():
    net, several = model(), takes(2, 3)
    context, alone_context = net.context(["a", "b", "c"], SPEC), net.context(["c"], SPEC)
    x = to_tokens(several[0])
    with torch.no_grad():
        together = clean_audio_loss(net, context, x, first_row=5)[2:]
        by_itself = clean_audio_loss(net, alone_context, x.each(lambda each: each[2:]), first_row=7)
        other = clean_audio_loss(net, alone_context, x.each(lambda each: each[2:]), first_row=6)
    torch.testing.assert_close(together, by_itself, atol=1e-5, rtol=0)
    assert (other - by_itself).abs().item() > 1e-3
    kept = rerank(net, ["a", "b", "c"], SPEC, several, first_row=5)
    alone = rerank(net, ["c"], SPEC, [take.each(lambda each: each[2:]) for take in several], first_row=7)
    assert torch.equal(kept.video[2:], alone.video)
