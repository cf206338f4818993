"""Joint models in folders: the same bits come back; what does not fit is refused before it takes memory."""

import json
import subprocess
import sys

import pytest
import torch

from avsim.errors import InputError
from avsim.models import LoRA, add_audio, add_lora, load_joint
from avsim.models.joint import JointDiT
from avsim.models.joint_folder import is_lora
from avsim.models.lora import TARGET_MODULES

diffusers = pytest.importorskip(
    "diffusers", reason="the transformers are of diffusers: pip install avsim[test]"
)

from tests.models import tiny  # noqa: E402

DA, WIDTH = 6, 24


def own():
    from avsim.models.joint import JointDiT

    return tiny.randomised(JointDiT(4, 5, width=32, blocks=2, heads=2))


MAKERS = {"wan": tiny.wan, "ltx": tiny.ltx_video, "own": own}


def velocities(model, seed=0):
    random = torch.Generator().manual_seed(seed)
    spec = tiny.spec_of(2, 4, 4)
    dtype = next(model.video.parameters()).dtype
    z_video = torch.randn(2, model.video.channels, *spec.video, generator=random).to(dtype)
    z_audio = torch.randn(2, DA, spec.audio, generator=random).to(dtype)
    text = torch.randn(2, 5, model.audio.text_width, generator=random).to(dtype)
    with torch.no_grad():
        return model.velocity(z_video, z_audio, torch.full((2,), 0.3), torch.full((2,), 0.6), text, spec)


def trained(model):
    """The model with all that it added away from its start."""
    random = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if not name.startswith("video.") or is_lora(name):
                weight.add_(0.05 * torch.randn(weight.shape, generator=random))
    return model.eval()


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("options", [{}, {"every": 2, "patch": 2, "depth": 2, "to_video": False}])
@pytest.mark.parametrize("name", MAKERS)
def test_saved_and_loaded_gives_the_same_bits(tmp_path, name, options, dtype):
    transformer = MAKERS[name]()
    if name != "own":
        for (
            weight
        ) in transformer.parameters():  # not the tables of positions, which diffusers loads in float32
            weight.data = weight.data.to(dtype)
    model = trained(add_audio(transformer, DA, WIDTH, **options))
    model.save(tmp_path / "joint")
    loaded = load_joint(tmp_path / "joint")
    assert not loaded.training and loaded.lora is None
    assert {n: w.dtype for n, w in model.named_parameters()} == {
        n: w.dtype for n, w in loaded.named_parameters()
    }
    for one, other in zip(velocities(model), velocities(loaded), strict=True):
        assert torch.equal(one, other)
    loaded.freeze_video()
    loaded.save(tmp_path / "again")  # the transformer's files are those of the first folder
    for one, other in zip(velocities(model), velocities(load_joint(tmp_path / "again")), strict=True):
        assert torch.equal(one, other)


def test_diffusers_alone_loads_the_transformer(tmp_path):
    model = add_audio(tiny.wan(), DA, WIDTH)
    model.save(tmp_path / "joint")
    alone = diffusers.WanTransformer3DModel.from_pretrained(tmp_path / "joint" / "transformer")
    for name, weight in model.video.transformer.state_dict().items():
        assert torch.equal(weight, alone.state_dict()[name])


@pytest.mark.parametrize("make", [tiny.wan, tiny.ltx_video])
def test_lora_starts_at_zero_trains_alone_and_is_saved(tmp_path, make):
    model = trained(add_audio(make(), DA, WIDTH))
    before = velocities(model)
    add_lora(model, LoRA(rank=2))
    for one, other in zip(before, velocities(model), strict=True):
        assert torch.equal(one, other)
    weights = {name: weight.clone() for name, weight in model.named_parameters()}
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    spec = tiny.spec_of(2, 4, 4)
    text = torch.randn(1, 3, model.audio.text_width)
    z = torch.randn(1, model.video.channels, 2, 4, 4), torch.randn(1, DA, spec.audio)
    for _ in range(2):
        v_video, v_audio = model.velocity(*z, torch.ones(1), torch.ones(1), text, spec)
        optimizer.zero_grad()
        (v_video.square().mean() + v_audio.square().mean()).backward()
        optimizer.step()
    changed = {name for name, weight in model.named_parameters() if not torch.equal(weight, weights[name])}
    base = {name for name in weights if name.startswith("video.") and not is_lora(name)}
    adapters = {name for name in weights if is_lora(name)}
    assert not changed & base and adapters and adapters <= changed
    model.eval()
    model.save(tmp_path / "lora")
    loaded = load_joint(tmp_path / "lora")
    assert loaded.lora == LoRA(rank=2, targets=TARGET_MODULES)
    for one, other in zip(velocities(model), velocities(loaded), strict=True):
        assert torch.equal(one, other)


def test_lora_on_an_own_video_transformer_adapts_its_video_attention_alone():
    model = add_audio(JointDiT(4, 4, width=32, heads=2, blocks=2), DA, WIDTH)
    add_lora(model, LoRA(rank=2))
    adapted = {name.split(".lora_")[0] for name, _ in model.named_parameters() if is_lora(name)}
    assert len(adapted) == 2 * 2
    assert all(".streams.video." in name and name.endswith(("qkv", "out")) for name in adapted)


def test_lora_of_layers_that_are_not_there_is_refused():
    with pytest.raises(InputError, match="no such layers in WanTransformer3DModel"):
        add_lora(add_audio(tiny.wan(), DA, WIDTH), LoRA(targets=("nowhere",)))
    with pytest.raises(InputError, match="must be positive"):
        LoRA(rank=0)


def test_loading_needs_no_lightning(tmp_path):
    add_audio(tiny.wan(), DA, WIDTH).save(tmp_path / "joint")
    code = (
        f"import sys, avsim; avsim.models.load_joint({str(tmp_path / 'joint')!r});"
        "print([n for n in sys.modules if n in ('lightning', 'wandb')])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[]"


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("saved") / "joint"
    add_audio(tiny.wan(), DA, WIDTH).save(folder)
    return folder


def changed(saved, tmp_path, change):
    import shutil

    folder = tmp_path / "changed"
    shutil.copytree(saved, folder)
    change(folder)
    return folder


def edit(**values):
    def change(folder, name="config.json"):
        config = json.loads((folder / name).read_text())
        for key, value in values.items():
            part, _, inner = key.partition("__")
            if inner:
                config[part][inner] = value
            else:
                config[part] = value
        (folder / name).write_text(json.dumps(config))

    return change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            edit(architecture="os.system"),
            "'os.system' is not known; known are WanTransformer3DModel, LTXVideo",
        ),
        (
            edit(audio__width=10**6 * 8),
            "not the weights of this architecture",
        ),  # 10^13 weights: no memory taken
        (edit(audio__width="wide"), "no joint model can be built"),
        (edit(audio__depth=4), "not the weights of this architecture"),
        (edit(audio={}), "no joint model can be built"),
        (edit(fusion__blocks=[0, 99]), "fusion after block 99"),
        (edit(levels=None, fusion=None), "no joint model can be built"),
        (edit(sha256="0"), "changed or cut short"),
        (lambda folder: (folder / "config.json").write_text("{"), "not valid json"),
        (lambda folder: (folder / "config.json").unlink(), "no config.json of a joint model here"),
        (
            lambda folder: (folder / "model.safetensors").write_bytes(b"x" * 100),
            "can't be read as safetensors",
        ),
        (
            lambda folder: (folder / "transformer/config.json").unlink(),
            "no config of a WanTransformer3DModel",
        ),
        (
            lambda folder: edit(ffn_dim=10**9)(folder, "transformer/config.json"),
            "transformer: not the weights of this architecture",
        ),
        (
            lambda folder: next((folder / "transformer").glob("*.safetensors")).unlink(),
            "no safetensors file of the video transformer",
        ),
    ],
)
def test_a_folder_that_does_not_fit_is_refused(saved, tmp_path, change, message):
    with pytest.raises(InputError, match=message):
        load_joint(changed(saved, tmp_path, change))


def test_what_no_file_can_describe_is_not_saved(tmp_path):
    from tests.models.test_add_audio import MyBackbone

    with pytest.raises(InputError, match="MyBackbone can't be saved"):
        add_audio(MyBackbone(), DA, WIDTH).save(tmp_path / "mine")
    assert not (tmp_path / "mine").exists()
