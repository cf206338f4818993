"""Audio beside pretrained video transformers: the video stays, bit for bit, until something trains."""

import dataclasses

import pytest
import torch
from einops import rearrange
from torch import nn

import avsim
from avsim.clip import ClipSpec, LatentSpec
from avsim.errors import InputError
from avsim.models import add_audio
from avsim.models.backbone import State

pytest.importorskip(
    "diffusers", reason="the adapters are of diffusers' transformers: pip install avsim[test]"
)

from tests.models import tiny  # noqa: E402

DA, WIDTH, TEXT = 6, 24, 20  # audio latents' channels, tower's width, text embeddings' width


def latents(model, spec, rows=2, seed=1, dtype=torch.float32):
    random = torch.Generator().manual_seed(seed)
    channels = getattr(model.video, "channels", 3)
    z_video = torch.randn(rows, channels, *spec.video, generator=random)
    z_audio = torch.randn(rows, DA, spec.audio, generator=random)
    text = torch.randn(rows, 5, TEXT, generator=random)
    s = torch.rand(2, rows, generator=random)
    return z_video.to(dtype), z_audio.to(dtype), s[0], s[1], text.to(dtype)


def wan_itself(transformer, z, s, text, spec):
    """What diffusers' own model returns, called as its pipelines call it."""
    if s.ndim == 2:  # as in Wan 2.2 TI2V: one timestep per token
        _, ph, pw = transformer.config.patch_size
        s = s[:, :, None, None].expand(-1, -1, z.shape[3] // ph, z.shape[4] // pw).flatten(1)
    return transformer(z, 1000 * s, text, return_dict=False)[0]


def ltx_itself(transformer, z, s, text, spec, mask=None):
    t, h, w = z.shape[2:]
    p = transformer.config.patch_size
    if s.ndim == 2:
        s = s.repeat_interleave(h * w // p**2, dim=1)
    x = rearrange(z, "b c t (h p) (w q) -> b (t h w) (c p q)", p=p, q=p)
    scale = (spec.time_stride / spec.clip.frames_per_second, spec.space_stride, spec.space_stride)
    v = transformer(x, text, 1000 * s, mask, t, h // p, w // p, scale, return_dict=False)[0]
    return rearrange(v, "b (t h w) (c p q) -> b c t (h p) (w q)", t=t, h=h // p, p=p, q=p)


CASES = {
    "wan 2.1": (tiny.wan, {}, (3, 4, 6), wan_itself),
    "wan 2.2 ti2v": (
        tiny.wan,
        {"in_channels": 12, "out_channels": 12, "num_layers": 2},
        (2, 6, 4),
        wan_itself,
    ),
    "wan of another size": (
        tiny.wan,
        {"num_attention_heads": 3, "patch_size": (1, 1, 1)},
        (1, 3, 5),
        wan_itself,
    ),
    "ltx-video": (tiny.ltx_video, {}, (3, 3, 5), ltx_itself),
    "ltx-video of patches": (tiny.ltx_video, {"patch_size": 2}, (2, 4, 2), ltx_itself),
}


@pytest.fixture(params=CASES)
def case(request):
    make, options, size, itself = CASES[request.param]
    transformer = make(**options)
    return transformer, tiny.spec_of(*size), itself


@pytest.mark.parametrize("by_frame", [False, True])
@pytest.mark.parametrize("options", [{}, {"every": 2}, {"to_video": False}, {"patch": 2}, {"depth": 5}])
def test_fresh_audio_leaves_the_video_as_it_is(case, by_frame, options):
    transformer, spec, itself = case
    model = add_audio(transformer, audio_channels=DA, width=WIDTH, **options)
    z_video, z_audio, s_video, s_audio, text = latents(model, spec)
    if by_frame:
        s_video = torch.rand(2, spec.video[0])
        s_audio = torch.rand(2, spec.audio)
    with torch.no_grad():
        expected = itself(transformer, z_video, s_video, text, spec)
        v_video, v_audio = model.velocity(z_video, z_audio, s_video, s_audio, text, spec)
        alone, none = model.velocity(z_video, None, s_video, None, text, spec)
        nothing, audio_alone = model.velocity(None, z_audio, None, s_audio, text, spec)
    assert torch.equal(v_video, expected) and torch.equal(alone, expected)
    assert none is None and nothing is None
    assert v_video.shape == z_video.shape and v_audio.shape == z_audio.shape
    assert torch.equal(audio_alone, v_audio)  # fresh fusion gives audio nothing either
    assert v_audio.isfinite().all()


@pytest.mark.parametrize("training", [False, True])
@pytest.mark.parametrize("checkpointing", [False, True])
def test_equal_in_training_and_with_gradient_checkpointing(case, training, checkpointing):
    transformer, spec, itself = case
    model = add_audio(transformer, DA, WIDTH)
    model.train(training)
    if checkpointing:
        model.enable_gradient_checkpointing()
    z_video, z_audio, s_video, s_audio, text = latents(model, spec)
    v_video, v_audio = model.velocity(z_video, z_audio, s_video, s_audio, text, spec)
    assert torch.equal(v_video, itself(transformer, z_video, s_video, text, spec))
    (v_video.square().mean() + v_audio.square().mean()).backward()
    gradients = {name: weight.grad for name, weight in model.named_parameters()}
    assert [name for name, grad in gradients.items() if grad is None] == []
    for name, grad in gradients.items():  # behind an output of zero, queries, keys and values learn next
        zero = name.startswith("fusion") and ".out." not in name
        assert bool(grad.abs().sum() > 0) != zero or "level.out" in name or ".text_k_norm" in name, name


def test_bfloat16(case):
    transformer, spec, itself = case
    model = add_audio(transformer.to(torch.bfloat16), DA, WIDTH)
    z_video, z_audio, s_video, s_audio, text = latents(model, spec, dtype=torch.bfloat16)
    with torch.no_grad():
        expected = itself(transformer, z_video, s_video, text, spec)
        for _ in range(2):
            v_video, v_audio = model.velocity(z_video, z_audio, s_video, s_audio, text, spec)
            assert torch.equal(v_video, expected) and v_audio.dtype == torch.bfloat16
            model.to(torch.bfloat16)  # the tower too
        full, _ = model.velocity(z_video.float(), z_audio.float(), s_video, s_audio, text.float(), spec)
    assert torch.equal(full, expected.float())


def test_under_autocast_the_streams_stay_float32(case):
    transformer, spec, itself = case
    model = add_audio(transformer, DA, WIDTH)
    z_video, z_audio, s_video, s_audio, text = latents(model, spec)
    seen = []
    model.audio.blocks[-1].register_forward_hook(lambda module, inputs, output: seen.append(output.dtype))
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        expected = itself(transformer, z_video, s_video, text, spec)
        v_video, v_audio = model.velocity(z_video, z_audio, s_video, s_audio, text, spec)
    assert torch.equal(v_video, expected.to(v_video.dtype)) and v_audio.dtype == torch.float32
    assert seen == [torch.float32]


def test_one_step_of_a_frozen_model_changes_audio_alone(case):
    transformer, spec, itself = case
    model = add_audio(transformer, DA, WIDTH)
    z_video, z_audio, s_video, s_audio, text = latents(model, spec)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, weight_decay=0.1)

    def backward():
        v_video, v_audio = model.velocity(z_video, z_audio, s_video, s_audio, text, spec)
        (v_video.square().mean() + v_audio.square().mean()).backward()

    backward()  # with gradients of the video from before
    model.freeze_video()
    model.train()
    assert not transformer.training
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    backward()
    optimizer.step()
    after = model.state_dict()
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert not any(name.startswith("video.") for name in changed)
    assert any(name.startswith("audio.blocks.0.qkv") for name in changed)
    assert any(name.startswith("fusion.0.to_video.out") for name in changed)
    with torch.no_grad():
        expected = itself(transformer, z_video, s_video, text, spec)
        assert torch.equal(model.velocity(z_video, None, s_video, None, text, spec)[0], expected)
        assert not torch.equal(model.velocity(z_video, z_audio, s_video, s_audio, text, spec)[0], expected)


def test_without_fusion_into_video_training_keeps_it_and_audio_learns(case):
    transformer, spec, itself = case
    torch.manual_seed(0)
    model = add_audio(transformer, DA, 32, to_video=False)
    model.freeze_video()
    z_video, noise, s_video, s_audio, text = latents(model, spec)
    x = torch.sin(torch.arange(spec.audio) / 2).expand_as(noise)
    s_audio = s_audio.clamp(0.2)
    z_audio = (1 - s_audio[:, None, None]) * x + s_audio[:, None, None] * noise
    optimizer = torch.optim.AdamW([w for w in model.parameters() if w.requires_grad], lr=3e-3)
    losses = []
    for _ in range(30):
        v_video, v_audio = model.velocity(z_video, z_audio, s_video, s_audio, text, spec)
        loss = (v_audio - (noise - x)).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(float(loss.detach()))
    with torch.no_grad():
        v_video, _ = model.velocity(z_video, z_audio, s_video, s_audio, text, spec)
        assert torch.equal(v_video, itself(transformer, z_video, s_video, text, spec))
    assert losses[-1] < 0.3 * losses[0]


def test_audio_depends_on_the_video_once_fusion_is_trained(case):
    transformer, spec, _ = case
    model = add_audio(transformer, DA, WIDTH)
    for fusion in model.fusion.values():
        nn.init.normal_(fusion.to_audio.out.weight)
    z_video, z_audio, s_video, s_audio, text = latents(model, spec)
    with torch.no_grad():
        _, one = model.velocity(z_video, z_audio, s_video, s_audio, text, spec)
        _, other = model.velocity(z_video + 1, z_audio, s_video, s_audio, text, spec)
    assert (one - other).abs().max() > 1e-4


def test_masked_text_is_as_good_as_absent():
    model = add_audio(tiny.ltx_video(), DA, WIDTH)
    spec = tiny.spec_of(2, 3, 3)
    z_video, z_audio, s_video, s_audio, text = latents(model, spec)
    mask = torch.tensor([[True, True, True, False, False]] * 2)
    with torch.no_grad():
        masked = model.velocity(z_video, z_audio, s_video, s_audio, text, spec, mask)
        other = model.velocity(
            z_video, z_audio, s_video, s_audio, torch.where(mask[..., None], text, 7.0), spec, mask
        )
        cut = model.velocity(z_video, z_audio, s_video, s_audio, text[:, :3], spec)
        own = ltx_itself(model.video.transformer, z_video, s_video, text, spec, mask.float())
    assert torch.equal(masked[0], own)
    for one, same, shorter in zip(masked, other, cut, strict=True):
        assert torch.allclose(one, same, atol=1e-6) and torch.allclose(one, shorter, atol=1e-5)


def test_wan_takes_absent_text_as_the_zeros_its_pipeline_pads_with():
    model = add_audio(tiny.wan(), DA, WIDTH)
    spec = tiny.spec_of(2, 4, 4)
    z_video, _, s_video, _, text = latents(model, spec)
    mask = torch.tensor([[True, True, True, False, False]] * 2)
    with torch.no_grad():
        v, _ = model.velocity(z_video, None, s_video, None, text, spec, mask)
        expected = wan_itself(model.video.transformer, z_video, s_video, text * mask[..., None], spec)
    assert torch.equal(v, expected)


@pytest.mark.parametrize(("make", "options"), [(tiny.wan, {}), (tiny.ltx_video, {"patch_size": 2})])
def test_latents_that_patches_do_not_divide_are_padded_and_cropped(make, options):
    model = add_audio(make(**options), DA, WIDTH, patch=4)
    spec = tiny.spec_of(3, 5, 3)
    z_video, z_audio, s_video, s_audio, text = latents(model, spec)
    with torch.no_grad():
        v_video, v_audio = model.velocity(z_video, z_audio, s_video, s_audio, text, spec)
        padded = nn.functional.pad(z_video, (0, 1, 0, 1, 0, 0), mode="replicate")
        whole, _ = model.velocity(padded, None, s_video, None, text, tiny.spec_of(3, 6, 4))
    assert v_video.shape == z_video.shape and v_audio.shape == z_audio.shape
    assert torch.equal(v_video, whole[..., :5, :3])


def test_frames_that_share_a_patch_have_their_highest_level():
    transformer = tiny.wan(patch_size=(2, 2, 2))
    model = add_audio(transformer, DA, WIDTH)
    spec = tiny.spec_of(4, 4, 4)
    z_video, _, _, _, text = latents(model, spec)
    s = torch.tensor([[0.0, 0.5, 0.2, 0.3]] * 2)
    with torch.no_grad():
        v, _ = model.velocity(z_video, None, s, None, text, spec)
        by_token = torch.tensor([[0.5] * 4 + [0.3] * 4] * 2)
        assert torch.equal(v, transformer(z_video, 1000 * by_token, text, return_dict=False)[0])


def test_a_model_of_one_level_per_clip_refuses_several():
    from avsim.models.backbones.wan import WanBackbone

    transformer = tiny.wan()
    model = add_audio(WanBackbone(transformer, levels="clip"), DA, WIDTH)
    spec = tiny.spec_of(3, 4, 4)
    z_video, z_audio, s_video, s_audio, text = latents(model, spec)
    same = s_video[:, None].expand(-1, 3)
    with torch.no_grad():
        v, _ = model.velocity(z_video, z_audio, same, s_audio, text, spec)
        assert torch.equal(v, wan_itself(transformer, z_video, s_video, text, spec))
    with pytest.raises(InputError, match="one noise level per clip"):
        model.velocity(z_video, z_audio, same * torch.tensor([0, 1, 1]), s_audio, text, spec)


def test_fusion_acts_at_every_kth_block_and_the_tower_is_spread_over_them():
    model = add_audio(tiny.wan(num_layers=5), DA, WIDTH, every=2, depth=3)
    assert list(model.fusion) == ["0", "2", "4"]
    runs = [range(3)[model._blocks_at(i)] for i in range(5)]
    assert [i for run in runs for i in run] == [0, 1, 2] and max(map(len, runs)) == 1


@dataclasses.dataclass(frozen=True)
class MyState(State):
    size: tuple[int, ...]


class MyBackbone(nn.Module):
    """The least that a backbone is."""

    width, depth, patch, levels, text_width = 12, 2, (1, 1, 1), "clip", TEXT

    def __init__(self):
        super().__init__()
        self.enter, self.leave = nn.Linear(3, 12), nn.Linear(12, 3)
        self.blocks = nn.ModuleList(nn.Linear(12, 12) for _ in range(2))

    def begin(self, x_s, s, text, spec):
        return MyState(self.enter(rearrange(x_s, "b c t h w -> b (t h w) c")), x_s.shape[2:])

    def block(self, index, state):
        return dataclasses.replace(state, hidden=self.blocks[index](state.hidden))

    def end(self, state):
        return self.leave(state.hidden).mT.unflatten(2, state.size)


def test_any_backbone_of_the_protocol_is_taken_as_it_is():
    backbone = MyBackbone()
    model = add_audio(backbone, DA, WIDTH)
    assert model.video is backbone
    spec = tiny.spec_of(2, 3, 4)
    z_video, z_audio, s_video, s_audio, text = latents(model, spec)
    v_video, v_audio = model.velocity(z_video, z_audio, s_video, s_audio, text, spec)
    assert torch.equal(v_video, model.velocity(z_video, None, s_video, None, text, spec)[0])
    assert v_video.shape == z_video.shape and v_audio.shape == z_audio.shape


def test_no_tensor_of_all_pairs_of_tokens_is_held():
    from torch.utils._python_dispatch import TorchDispatchMode

    largest = 0

    class Watch(TorchDispatchMode):
        def __torch_dispatch__(self, func, types, args=(), kwargs=None):
            nonlocal largest
            out = func(*args, **(kwargs or {}))
            for each in out if isinstance(out, tuple | list) else (out,):
                if isinstance(each, torch.Tensor):
                    largest = max(largest, each.numel())
            return out

    model = add_audio(tiny.wan(num_layers=2), DA, WIDTH)
    spec = tiny.spec_of(4, 32, 32, latents=600)
    tokens = 4 * 16 * 16
    z_video, z_audio, s_video, s_audio, text = latents(model, spec, rows=1)
    with Watch():
        v_video, v_audio = model.velocity(z_video, z_audio, s_video, s_audio, text, spec)
        (v_video.mean() + v_audio.mean()).backward()
    assert 0 < largest < tokens * 600 / 2  # La Lv is the smallest such product


def test_it_is_reached_from_avsim_alone():
    assert avsim.models.add_audio is add_audio


class Unknown(nn.Module):
    pass


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"width": 100}, "width 100"),
        ({"width": 0}, "width"),
        ({"heads": 5}, "in 5 heads"),
        ({"every": 0}, "every is 0"),
        ({"depth": 0}, "depth is 0"),
        ({"patch": 0}, "patch is 0"),
        ({"audio_channels": 0}, "channels is 0"),
    ],
)
def test_sizes_that_cannot_be_are_refused(arguments, message):
    with pytest.raises(InputError, match=message):
        add_audio(tiny.wan(), **{"audio_channels": DA, "width": WIDTH} | arguments)


def test_unknown_transformers_are_refused_with_what_is_known():
    with pytest.raises(InputError, match="Unknown is no known .*WanTransformer3DModel.*LTXVideo"):
        add_audio(Unknown())
    with pytest.raises(InputError, match="36 channels and returns 16"):
        add_audio(tiny.wan(in_channels=36, out_channels=16))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"z_video": torch.zeros(2, 3, 2, 4, 4)}, "z_video is"),
        ({"z_video": torch.zeros(2, 4, 3, 4, 4)}, "z_video is"),
        ({"z_video": torch.zeros(1, 4, 2, 4, 4)}, "z_video is"),
        ({"z_audio": torch.zeros(2, DA, 8)}, "z_audio is"),
        ({"z_audio": torch.zeros(2, DA + 1, 9)}, "z_audio is"),
        ({"s_video": torch.zeros(2, 3)}, "s_video is"),
        ({"s_audio": torch.zeros(2, 3)}, "s_audio is"),
        ({"s_audio": None}, "s_audio is None"),
        ({"text": torch.zeros(2, 5, TEXT + 1)}, "text is"),
        ({"text": torch.zeros(2, 0, TEXT)}, "text is"),
        ({"text_mask": torch.ones(2, 4)}, "text_mask is"),
        ({"z_video": None, "z_audio": None}, "both latents are None"),
    ],
)
def test_shapes_that_disagree_are_refused(change, message):
    model = add_audio(tiny.wan(), DA, WIDTH)
    spec = tiny.spec_of(2, 4, 4)
    names = ("z_video", "z_audio", "s_video", "s_audio", "text")
    given = dict(zip(names, latents(model, spec), strict=True))
    with pytest.raises(InputError, match=message):
        model.velocity(**given | {"spec": spec} | change)


def test_rates_of_the_spec_reach_the_positions_of_ltx_video():
    model = add_audio(tiny.ltx_video(), DA, WIDTH)
    z_video, _, s_video, _, text = latents(model, tiny.spec_of(3, 2, 2))
    slow, fast = (
        LatentSpec(ClipSpec(9 / rate, 16, 16, rate), time_stride=4, space_stride=8) for rate in (8.0, 24.0)
    )
    with torch.no_grad():
        one, other = (model.velocity(z_video, None, s_video, None, text, spec)[0] for spec in (slow, fast))
    assert not torch.equal(one, other)


@pytest.mark.parametrize("coupling", ["NoCoupling", "CrossCoupling", "JointCoupling", "SingleCoupling"])
@pytest.mark.parametrize("by_frame", [False, True])
def test_the_video_half_of_avsims_own_model_stays_as_it_is(coupling, by_frame):
    from avsim.models import couplings
    from avsim.models.joint import JointDiT
    from avsim.models.pair import Pair
    from avsim.models.tokens import to_latents, to_tokens

    own = JointDiT(4, 5, width=32, blocks=2, heads=2, coupling=getattr(couplings, coupling))
    own = tiny.randomised(own)
    model = add_audio(own, DA, WIDTH)
    spec = tiny.spec_of(3, 4, 3)
    z_video, z_audio, s_video, s_audio, _ = latents(model, spec)
    s_video = torch.rand(2, 3) if by_frame else s_video
    captions = ["a ball falls", ""]
    with torch.no_grad():
        text, mask = own.text(captions)
        tokens, levels = to_tokens(Pair(z_video)), Pair(s_video if by_frame else s_video[:, None])
        expected = to_latents(own(tokens, levels, own.context(captions, spec)), spec).video
        v_video, v_audio = model.velocity(z_video, z_audio, s_video, s_audio, text, spec, mask)
        alone, _ = model.velocity(z_video, None, s_video, None, text, spec, mask)
    assert torch.equal(v_video, expected) and torch.equal(alone, expected)
    v_video, v_audio = model.velocity(z_video, z_audio, s_video, s_audio, text, spec, mask)
    (v_video.square().mean() + v_audio.square().mean()).backward()
    trained = {name for name, weight in model.named_parameters() if weight.requires_grad}
    assert trained == {name for name, weight in model.named_parameters() if weight.grad is not None}


def test_cogvideox_is_refused_with_the_reason():
    from diffusers import CogVideoXTransformer3DModel

    transformer = CogVideoXTransformer3DModel(2, 8, 4, 4, time_embed_dim=8, text_embed_dim=8, num_layers=1)
    with pytest.raises(InputError, match="predicts v of a variance-preserving"):
        add_audio(transformer)


def test_importing_avsim_and_its_models_imports_neither_torch_nor_diffusers():
    import subprocess
    import sys

    code = (
        "import avsim, sys; avsim.models; import avsim.models.backbones;"
        "print([name for name in ('torch', 'diffusers', 'lightning') if name in sys.modules])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"
