"""Metrics of the field: known values, protocols, warnings; networks are tiny random ones of their classes."""

import json
import sys
import types

import pytest
import torch

from avsim import media
from avsim.__main__ import main
from avsim.clip import Clip
from avsim.errors import InputError
from avsim.evaluation.field import networks
from avsim.evaluation.field.align import av_align, flow_peaks
from avsim.evaluation.field.metrics import (
    FieldMetric,
    field_metric,
    inception_score,
    kernel_audio_distance,
)
from avsim.evaluation.field.suite import FieldSuite
from avsim.evaluation.frechet import frechet
from avsim.evaluation.result import NotJudged
from avsim.weights import allowing
from tests.running import avsim

transformers = pytest.importorskip("transformers")


def noise(name: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(name), dtype=torch.float64)


def clip(seed: int = 0, seconds: float = 1.0, level: float = 0.1) -> Clip:
    count = round(16 * seconds)
    frames = torch.rand(3, count, 24, 24, generator=torch.Generator().manual_seed(seed))
    return Clip(frames, (level * noise(seed, 2, round(16000 * seconds))).float(), 16.0, 16000)


@pytest.fixture
def module(monkeypatch):
    """A module of the user's with functions of a clip."""
    mine = types.ModuleType("mynetworks")
    mine.levels = lambda clip: torch.stack([clip.wave.std(), clip.wave.abs().max(), clip.wave.mean()])
    mine.late = lambda clip: torch.tensor(-0.2)
    monkeypatch.setitem(sys.modules, "mynetworks", mine)
    with allowing(["mynetworks"]):
        yield mine


def test_kernel_audio_distance_by_hand():
    known = noise(0, 60, 4)
    same = kernel_audio_distance(noise(1, 60, 4), known)
    far = kernel_audio_distance(noise(1, 60, 4) + 10, known)
    assert (
        abs(same) < 2 and far > 50
    )  # unbiased around 0; of disjoint sets the kernel's means within are left
    x, y = torch.tensor([[0.0], [2.0]]).double(), torch.tensor([[1.0], [3.0]]).double()
    k = lambda d: torch.exp(torch.tensor(-(d**2) / 8.0))  # noqa: E731  # the reference's median distance is 2
    expected = 100 * (k(2) + k(2) - 2 * (k(1) + k(3) + k(1) + k(1)) / 4)
    assert kernel_audio_distance(x, y) == pytest.approx(expected.item())


def test_inception_score_by_hand():
    assert inception_score(torch.full((5, 4), 0.25)) == pytest.approx(1)
    assert inception_score(torch.eye(4)) == pytest.approx(4)


def test_distances_of_a_function_of_ones_own(module):
    metric = field_metric("fad:vggish=mynetworks:levels")
    for seed in range(12):
        metric.update(clip(seed, level=0.2))
        metric.add_reference(clip(100 + seed))
    metric.update(Clip(clip().frames, None, 16.0))  # without audio
    found = metric.result()
    rows, known = torch.cat(metric.rows), torch.cat(metric.known)
    assert found.value.mean == pytest.approx(frechet(rows, known))
    assert found.name == "FAD-vggish" and "mynetworks:levels" in found.protocol
    assert (found.judged, found.clips, found.reference) == (12, 13, 12)
    assert found.warnings == ("12 clips; published values use 2,048 or more",)
    assert "judged 12 of 13 against 12" in str(found) and found.plain()["judged"] == "12 of 13"


def test_desync_is_the_mean_magnitude_and_warns_of_short_clips(module):
    metric = field_metric("desync=mynetworks:late")
    metric.update(clip(0))
    metric.update(clip(1))
    found = metric.result()
    assert found.value.mean == pytest.approx(0.2) and "shorter than Synchformer's window" in found.warnings[0]


def test_clap_score_and_distance(tmp_path):
    torch.manual_seed(0)
    audio = dict(
        patch_embeds_hidden_size=16, hidden_size=32, depths=[1, 1], num_attention_heads=[2, 2], spec_size=64,
        num_mel_bins=16, projection_dim=8, enable_fusion=False,
    )  # fmt: skip
    text = dict(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, projection_dim=8,
        vocab_size=50, max_position_embeddings=40,
    )  # fmt: skip
    config = transformers.ClapConfig(text_config=text, audio_config=audio, projection_dim=8)
    folder = tmp_path / "clap"
    transformers.ClapModel(config).save_pretrained(folder)
    transformers.ClapFeatureExtractor(
        feature_size=16, max_length_s=1, truncation="rand_trunc", fft_window_size=1024
    ).save_pretrained(folder)
    words = {"<s>": 0, "<pad>": 1, "</s>": 2, "<unk>": 3, "a": 4, "bell": 5, "rings": 6}
    from tokenizers import Tokenizer, models, pre_tokenizers

    tokenizer = Tokenizer(models.WordLevel(words, "<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    ).save_pretrained(folder)
    score, distance = field_metric(f"clap={folder}"), field_metric(f"fad:clap={folder}")
    for seed in range(4):
        score.update(clip(seed), "a bell rings" if seed else "")
        distance.update(clip(seed, seconds=2.0))
        distance.add_reference(clip(10 + seed))
    found = score.result()
    assert -1 <= found.value.mean <= 1 and (found.judged, found.clips) == (3, 4)
    assert networks.weights_hash(str(folder))[:12] in found.protocol and "windows of 1 s" in found.protocol
    assert distance.rows[0].shape == (2, 8)  # two windows of a second
    assert distance.result().value.mean > 0


def test_ast_gives_embeddings_and_classes(tmp_path):
    torch.manual_seed(0)
    config = transformers.ASTConfig(
        hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16, max_length=64,
        num_mel_bins=16, num_labels=5,
    )  # fmt: skip
    transformers.ASTForAudioClassification(config).save_pretrained(tmp_path / "ast")
    transformers.ASTFeatureExtractor(num_mel_bins=16, max_length=64).save_pretrained(tmp_path / "ast")
    score = field_metric(f"is:ast={tmp_path / 'ast'}")
    for seed in range(3):
        score.update(clip(seed))
    assert 1 <= score.result().value.mean <= 5
    assert score.result().name == "IS-AST"


def test_panns(tmp_path):
    models = pytest.importorskip("panns_inference.models", reason="pip install panns-inference")
    torch.manual_seed(0)
    made = models.Cnn14(sample_rate=32000, window_size=1024, hop_size=320, mel_bins=64, fmin=50, fmax=14000,
                        classes_num=527)  # fmt: skip
    torch.save({"model": made.state_dict()}, tmp_path / "cnn14.pth")
    metric = field_metric(f"is:panns={tmp_path / 'cnn14.pth'}")
    for seed in range(3):
        metric.update(clip(seed))
    assert metric.result().value.mean >= 1 and "PANNs CNN14" in metric.result().protocol


def test_av_align_of_a_flash_with_a_click():
    frames = torch.zeros(3, 32, 32, 32)
    for k in range(32):
        x = 4 if k < 8 else 20  # it jumps at frame 8
        frames[:, k, 10:18, x : x + 8] = 1.0
    wave = torch.zeros(1, 32000)
    wave[:, 8000:] = noise(5, 1, 24000).float() * torch.exp(-torch.arange(24000) / 2000)
    assert flow_peaks(Clip(frames, None, 16.0)) == [8]
    in_time = Clip(frames, wave, 16.0, 16000)
    assert av_align(in_time) == 2 / (2 + 1 - 2)  # librosa gives two onsets, at 0.512 and 0.544 s
    assert av_align(Clip(frames, wave.roll(12000, -1), 16.0, 16000)) == 0
    with pytest.raises(NotJudged, match="no audio"):
        av_align(Clip(frames, None, 16.0))
    with pytest.raises(NotJudged, match="nothing happens"):
        av_align(Clip(frames[:, :4], torch.zeros(1, 4000), 16.0, 16000))


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("beauty", "unknown metric 'beauty'; there are FAD".lower()),
        ("fad", "expected fad:NETWORK=PATH"),
        ("fad:clap=", "expected fad:NETWORK=PATH"),
        ("fad:vggish=weights.pt", "expected module:function; avsim itself loads clap, ast"),
        ("fad:clap=/no/such/folder", "no ClapModel can be loaded"),
        ("fvd:clap=/no/such/folder", "no ClapModel can be loaded"),
        ("desync=weights.pt", "expected desync=module:function"),
        ("fad:mine=nomodule:f", "If you trust it: --allow-module nomodule"),
        ("fad:mine=math:pi", "is a float; expected a function"),
        ("av-align=x", "takes no network"),
    ],
)
def test_wrong_values(spec, message):
    with pytest.raises(InputError) as found, allowing(["math"]):
        field_metric(spec)
    assert message.lower() in str(found.value).lower()


def test_one_that_fails_stops_no_other(module):
    suite = FieldSuite(["av-align", "fad:clap=/no/folder", "fad:vggish=mynetworks:levels"])
    for seed in range(3):
        suite.update(clip(seed))
    plain, lines = suite.plain(), suite.lines()
    assert plain["AV-Align"]["judged"] == "3 of 3"
    assert any("fad:clap=/no/folder: no value: " in line for line in lines)
    assert any("FAD-vggish: no value: FAD-vggish: needs true clips, --reference" in line for line in lines)


def test_metrics_of_one_name_are_told_apart_and_computed_once(module, monkeypatch):
    module.peaks = lambda clip: clip.wave.abs().max()[None]
    suite = FieldSuite(["fad:vggish=mynetworks:levels", "fad:vggish=mynetworks:peaks"])
    computed, result = [], FieldMetric.result
    monkeypatch.setattr(FieldMetric, "result", lambda self: computed.append(self.name) or result(self))
    for seed in range(3):
        suite.update(clip(seed))
        suite.add_reference(clip(seed + 9))
    assert set(suite.plain()) == {"FAD-vggish", "FAD-vggish (fad:vggish=mynetworks:peaks)"}
    assert len(suite.lines()) == len(computed) == 2
    suite.update(clip(4))
    assert suite.plain()["FAD-vggish"]["judged"] == "4 of 4"


def test_the_command(tmp_path):
    for seed in range(3):
        media.write(clip(seed), tmp_path / "clips" / f"{seed}.mp4")
    done = avsim(tmp_path / "o", "evaluate", tmp_path / "clips", "--metrics", "av-align,fad:clap=/no/folder",
                 "--out", tmp_path / "scores")  # fmt: skip
    assert done.code == 0, done.err
    assert "AV-Align: " in done.out and "fad:clap=/no/folder: no value" in done.out
    plain = json.loads((tmp_path / "scores" / "metrics.json").read_text())
    assert plain["field"]["AV-Align"]["judged"] == "3 of 3"


def test_a_function_of_ones_own_must_be_allowed(tmp_path, monkeypatch, capsys):
    (tmp_path / "ownmetric.py").write_text("def late(clip):\n    return clip.wave.mean()\n")
    monkeypatch.syspath_prepend(tmp_path)
    media.write(clip(0), tmp_path / "a.mp4")
    command = ["evaluate", tmp_path / "a.mp4", "--metrics", "desync=ownmetric:late", "--out", tmp_path / "s"]
    assert main([str(each) for each in command]) == 2
    assert "--allow-module ownmetric" in capsys.readouterr().err and not (tmp_path / "s").exists()
    assert main([str(each) for each in (*command, "--allow-module", "ownmetric")]) == 0
    assert "DeSync, s: " in capsys.readouterr().out


def test_too_few_clips_are_said():
    metric = FieldMetric("AV-Align", "av-align", None)
    metric.update(Clip(None, torch.zeros(1, 100), sample_rate=16000))
    with pytest.raises(InputError, match="judged 0 of 1 clips"):
        metric.result()
