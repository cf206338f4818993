from collections.abc import Callable

import pytest
import torch
from torch import nn

from avsim.clip import ClipSpec, LatentSpec
from avsim.diffusion import JointDiT, Pair
from avsim.models.couplings import Coupling, CrossCoupling, JointCoupling, NoCoupling, SingleCoupling
from avsim.models.text import WordEncoder
from avsim.models.tokens import lengths

COUPLINGS = [NoCoupling, CrossCoupling, JointCoupling, SingleCoupling]
MEETING = [CrossCoupling, JointCoupling, SingleCoupling]
SPEC = LatentSpec(ClipSpec(seconds=0.75, height=32, width=48))  # 4 x 4 x 6 video tokens, 24 audio tokens


@pytest.fixture(autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def spec() -> LatentSpec:
    return SPEC


@pytest.fixture
def make() -> Callable[..., JointDiT]:
    """A small `JointDiT` with random weights everywhere, also where training starts at zero."""

    def build(coupling: type[Coupling] = JointCoupling, awake: bool = True, **arguments) -> JointDiT:
        torch.manual_seed(0)
        settings = dict(video_channels=4, audio_channels=6, width=32, blocks=2, heads=2, mlp_ratio=2.0)
        text = WordEncoder(width=32, layers=1, rows=64, length=8)
        model = JointDiT(**{**settings, "text": text, "coupling": coupling, **arguments}).eval()
        if awake:
            waken(model)
        return model

    return build


def waken(model: nn.Module, std: float = 0.15) -> None:
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(torch.randn(parameter.shape) * std)


def tokens(model: JointDiT, rows: int, spec: LatentSpec = SPEC, seed: int = 0) -> Pair:
    random = torch.Generator().manual_seed(seed)
    sizes = zip(lengths(spec), model.channels, strict=True)
    return Pair(*(torch.randn(rows, *size, generator=random) for size in sizes))


def levels(rows: int, seed: int = 0) -> Pair:
    random = torch.Generator().manual_seed(seed)
    return Pair(*(torch.rand(rows, 1, generator=random) for _ in range(2)))
