"""Metrics of the field: known values, protocols, warnings; networks are tiny random ones of their classes."""

import dataclasses
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
    FieldResult,
    field_metric,
    inception_score,
    kernel_audio_distance,
)
from avsim.evaluation.field.suite import FieldSuite
from avsim.evaluation.frechet import frechet
from avsim.evaluation.result import NotJudged
from avsim.measures import Interval
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
    mine.shape = lambda clip: torch.tensor(clip.frames.shape)
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
    model = transformers.ASTForAudioClassification.from_pretrained(tmp_path / "ast").eval()
    extractor = transformers.ASTFeatureExtractor.from_pretrained(tmp_path / "ast")
    network = networks.network("ast", str(tmp_path / "ast"))
    given = Clip(None, noise(3, 2, 20480).float(), sample_rate=16000)
    assert (network.window, network.rate, network.modality) == (0.64, 16000, "audio")
    halves = [part.numpy() for part in given.wave.mean(0).split(10240)]
    inputs = extractor(halves, sampling_rate=16000, return_tensors="pt")
    with torch.no_grad():
        features = model.audio_spectrogram_transformer(**inputs).pooler_output
        classes = model(**inputs).logits.softmax(-1)
    torch.testing.assert_close(network.embed(given), features.double(), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(network.classes(given), classes.double(), rtol=1e-4, atol=1e-5)


def test_windows_follow_each_other_and_a_short_rest_is_left_out():
    wave = noise(0, 2, 4400).float()
    given = Clip(None, wave, sample_rate=1000)
    assert [len(part) for part in networks.windows(given, 1000, 1.0)] == [1000] * 4
    parts = list(networks.windows(Clip(None, wave[:, :3600], sample_rate=1000), 1000, 1.0))
    assert [len(part) for part in parts] == [1000] * 3 + [600]
    torch.testing.assert_close(torch.cat(parts), wave[:, :3600].mean(0))
    assert [len(part) for part in networks.windows(given, 500, 10.0)] == [2200]  # shorter than one: whole
    with pytest.raises(NotJudged, match="no audio"):
        next(networks.windows(Clip(torch.zeros(3, 4, 8, 8), None), 1000, 1.0))


def test_what_a_result_states_of_its_network(module):
    found = networks.network("vggish", "mynetworks:levels")
    assert found.protocol() == "vggish mynetworks:levels" and found.modality == "audio"
    assert networks.network("i3d", "mynetworks:levels").modality == "video"
    known = networks.Network("N", "x", "0123456789abcdef", "audio", 0.96, 16000.0, lambda clip: clip.wave)
    assert known.protocol() == "N x, sha256 0123456789ab, windows of 0.96 s, 16000 Hz"
    assert dataclasses.replace(known, modality="video", rate=16).protocol().endswith("s, 16 frames")
    silent, blind = Clip(clip().frames, None, 16.0), Clip(None, clip().wave, sample_rate=16000)
    video = networks.network("i3d", "mynetworks:shape")
    assert video.embed(silent).shape == (1, 4)
    for network, given, lacks in ((video, blind, "video"), (found, silent, "audio")):
        with pytest.raises(NotJudged, match=f"no {lacks}"):
            network.embed(given)
    both = networks.network("imagebind", "mynetworks:shape")
    with pytest.raises(NotJudged, match="no video"):
        both.embed(blind)
    with pytest.raises(NotJudged, match="no audio"):
        both.embed(silent)


def test_warnings_by_the_shortest_clip_and_the_fewest():
    window = networks.Network("N", "x", "", "audio", 1.5, 16000.0, lambda clip: clip.wave.mean(0)[None, :4])
    metric = FieldMetric("FAD-N", "fad", window)
    for seconds in (2.0, 1.25, 3.0):
        metric.update(clip(0, seconds))
        metric.add_reference(clip(1, seconds))
    few, short = metric.result().warnings
    assert few.startswith("3 clips; ") and short == "clips of 1.25 s are shorter than the window"
    kernel = FieldMetric("KAD-N", "kad", window, [*metric.rows], [*metric.known], 3, 1.5)
    assert kernel.result().warnings == ()
    desync = FieldMetric("DeSync", "desync", window, [torch.tensor([-0.4, 2.0])], clips=1, shortest=4.8)
    assert desync.result().warnings == () and desync.result().value.mean == pytest.approx(0.4)
    many = FieldMetric("FAD-N", "fad", window, [noise(k, 1, 1) for k in range(2048)], [noise(0, 1, 1)] * 2048)
    assert [*many._warnings()] == []
    short_of_it = FieldMetric("FAD-N", "fad", window, many.rows, many.known[1:])
    assert [*short_of_it._warnings()] == ["2047 clips; published values use 2,048 or more"]


def test_the_jackknife_leaves_out_clips_with_all_their_windows():
    rows = [noise(k, 2, 3) for k in range(12)]
    metric = FieldMetric("IS", "is", None, [row.softmax(1) for row in rows])
    found, windows = metric._value(), torch.cat([row.softmax(1) for row in rows])
    group = torch.arange(12).repeat_interleave(2) % 10
    left = torch.tensor([inception_score(windows[group != k]) for k in range(10)])
    error = ((left - left.mean()).square().sum() * 9 / 10).sqrt()  # of the jackknife of ten groups
    assert found.mean == pytest.approx(inception_score(windows))
    assert found.high - found.mean == pytest.approx(1.96 * error.item(), rel=1e-3)
    with pytest.raises(InputError, match="judged 2 of 2 clips; it needs 3"):
        FieldMetric("IS", "is", None, metric.rows[:2], clips=2).result()


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
    found = networks.network("panns", str(tmp_path / "cnn14.pth"))
    given = Clip(None, clip(0, 2.0).wave, sample_rate=32000)
    with torch.no_grad():
        expected = made.eval()(given.wave.mean(0)[None])
    torch.testing.assert_close(found.embed(given), expected["embedding"].double())
    shares = expected["clipwise_output"].double()
    torch.testing.assert_close(found.classes(given), shares / shares.sum())
    assert (found.window, found.rate) == (10.0, 32000)


class Evil:
    def __reduce__(self):
        return (open, ("evil.txt", "w"))


def test_a_checkpoint_of_panns_runs_no_code(tmp_path, monkeypatch):
    pytest.importorskip("panns_inference.models", reason="pip install panns-inference")
    monkeypatch.chdir(tmp_path)
    torch.save({"model": Evil()}, tmp_path / "cnn14.pth")
    with pytest.raises(InputError, match="no checkpoint of CNN14"):
        networks.network("panns", str(tmp_path / "cnn14.pth"))
    assert not (tmp_path / "evil.txt").exists()
    with pytest.raises(InputError, match="no such file"):
        networks.network("panns", str(tmp_path / "absent.pth"))


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


def test_names_by_kind_and_network(module):
    names = {
        "fad:passt=mynetworks:levels": "FD-passt", "fad:panns=mynetworks:levels": "FD-panns",
        "fad:vggish=mynetworks:levels": "FAD-vggish", "kad:passt=mynetworks:levels": "KAD-passt",
        "fvd:i3d=mynetworks:shape": "FVD-i3d", "is:panns=mynetworks:levels": "IS-panns",
        "imagebind=mynetworks:levels": "ImageBind score", "lse-c=mynetworks:levels": "LSE-C",
        "av-align": "AV-Align",
    }  # fmt: skip
    assert {spec: field_metric(spec).name for spec in names} == names
    assert [field_metric(spec).needs_reference for spec in names] == [True] * 5 + [False] * 4
    for spec, example in (("fvd", "fvd:videomae=PATH"), ("is", "is:panns=PATH"), ("kad", "kad:clap=PATH")):
        with pytest.raises(InputError, match=f"such as {example}"):
            field_metric(spec)
    with pytest.raises(InputError, match="FVD needs a network for video"):
        field_metric("fvd:vggish=mynetworks:levels")


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
    assert "AV-Align ↑: " in done.out and "fad:clap=/no/folder: no value" in done.out
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
    assert "DeSync, s ↓: " in capsys.readouterr().out


def test_too_few_clips_are_said():
    metric = FieldMetric("AV-Align", "av-align", None)
    metric.update(Clip(None, torch.zeros(1, 100), sample_rate=16000))
    with pytest.raises(InputError, match="judged 0 of 1 clips"):
        metric.result()


@pytest.mark.parametrize(
    ("kind", "higher"),
    [("fad", False), ("kad", False), ("fvd", False), ("is", True), ("clap", True), ("av-align", True),
     ("desync", False), ("imagebind", True), ("spatial-av-align", True), ("lse-c", True), ("lse-d", False)],
)  # fmt: skip
def test_each_metric_says_which_direction_is_better(kind, higher):
    metric = FieldMetric("some", kind, None)
    assert metric.higher_is_better is higher
    shown = FieldResult("some", Interval(0.5, 0.4, 0.6), higher, "as it is", 3, 4)
    assert str(shown).startswith(f"some {'↑' if higher else '↓'}: 0.5 (0.4 … 0.6), judged 3 of 4")
    assert shown.plain()["higher is better"] is higher
