"""Networks of others as functions of a clip, each with what its results must state.

clap=NAME              CLAP (transformers), audio and text
ast=NAME               Audio Spectrogram Transformer with its classes (transformers)
panns=CHECKPOINT       CNN14 of PANNs (panns-inference), its file Cnn14_mAP=0.431.pth
videomae=NAME          VideoMAE (transformers)
NAME=module:function   a function of a clip in a module of yours (VGGish, PaSST, I3D, Synchformer, ...)
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torchaudio
from torch import Tensor

from avsim.clip import Clip
from avsim.errors import InputError, first_line_of
from avsim.evaluation.published import clap_features, fetched, videomae
from avsim.evaluation.result import NotJudged, Reason
from avsim.weights import allowed_function, hash_of

PAIRED = {  # functions that compare a clip's audio with its video
    "desync": "DeSync, s",
    "imagebind": "ImageBind score",
    "spatial-av-align": "Spatial AV-Align",
    "lse-c": "LSE-C",
    "lse-d": "LSE-D",
}


@dataclass(frozen=True)
class Network:
    """A network and what a result that uses it must state."""

    name: str
    source: str  # as it was given
    sha256: str  # of its weights; "" where they are not in a local file
    modality: str  # "audio", "video" or "both": what it receives
    window: float  # s that one embedding covers; inf: the whole clip
    rate: float  # Hz, or frames per clip for video; nan: unknown
    embed: Callable[[Clip], Tensor]  # -> (windows, d)
    classes: Callable[[Clip], Tensor] | None = None  # -> probabilities (windows, classes)
    text: Callable[[str], Tensor] | None = None  # caption -> (d,), in the space of `embed`

    def protocol(self) -> str:
        """One line for reports."""
        parts = [f"{self.name} {self.source}"]
        if self.sha256:
            parts.append(f"sha256 {self.sha256[:12]}")
        if math.isfinite(self.window):
            parts.append(f"windows of {self.window:g} s")
        if math.isfinite(self.rate):
            parts.append(f"{self.rate:g} Hz" if self.modality == "audio" else f"{self.rate:g} frames")
        return ", ".join(parts)


def network(kind: str, source: str) -> Network:
    """The network that KIND=SOURCE names.

    Raises:
        InputError: its package or its weights are missing, or it is no allowed function.
    """
    if not source:
        raise InputError(
            f"{kind}: expected {kind}=PATH (a file, a folder or a name on the hub) or module:function"
        )
    module, _, function = source.partition(":")
    if function and module.replace(".", "").replace("_", "").isalnum() and not Path(source).exists():
        return _function(kind, source)
    if kind not in MADE:
        raise InputError(f"{kind}={source}: expected module:function; avsim itself loads {', '.join(MADE)}")
    return MADE[kind](source)


def _function(kind: str, source: str) -> Network:
    """A function of a clip -> embeddings (d,) or (windows, d)."""
    function = allowed_function(source)
    file = getattr(sys.modules[source.partition(":")[0]], "__file__", None)
    digest = hash_of(file) if file else ""

    def embed(clip: Clip) -> Tensor:
        if clip.wave is None and not video:
            raise NotJudged(Reason.NO_AUDIO)
        if clip.frames is None and (video or both):
            raise NotJudged(Reason.NO_VIDEO)
        return torch.atleast_2d(torch.as_tensor(function(clip)).double())

    video, both = kind in ("i3d", "videomae"), kind in PAIRED
    return Network(kind, source, digest, "video" if video else "audio", math.inf, math.nan, embed, embed)


def windows(clip: Clip, rate: int, seconds: float) -> Iterator[Tensor]:
    """Mono audio at `rate` in consecutive windows (n,); the last one, if shorter than half, joins none.

    Raises:
        NotJudged: the clip has no audio.
    """
    if clip.wave is None:
        raise NotJudged(Reason.NO_AUDIO)
    wave = torchaudio.functional.resample(clip.wave.float().mean(0), clip.sample_rate, rate)
    length = round(seconds * rate)
    count = max(1, math.floor(len(wave) / length + 0.5))
    for k in range(count):
        yield wave[k * length : (k + 1) * length]


def clap(source: str) -> Network:
    """CLAP's audio and text features (Wu et al., 2211.06687)."""
    model, extractor = fetched("ClapModel", source), fetched("ClapFeatureExtractor", source)
    rate, seconds = extractor.sampling_rate, float(extractor.max_length_s)

    @torch.no_grad()
    def embed(clip: Clip) -> Tensor:
        return torch.stack([clap_features(model, extractor, wave) for wave in windows(clip, rate, seconds)])

    @torch.no_grad()
    def text(caption: str) -> Tensor:
        tokens = tokenizer()(caption, return_tensors="pt", truncation=True)
        found = model.get_text_features(**tokens)
        return getattr(found, "pooler_output", found)[0].double()

    @cache
    def tokenizer() -> Any:
        return fetched("AutoTokenizer", source)

    return Network("CLAP", source, weights_hash(source), "audio", seconds, rate, embed, text=text)


def ast(source: str) -> Network:
    """The Audio Spectrogram Transformer's features and classes (Gong et al., 2104.01778)."""
    model, extractor = fetched("ASTForAudioClassification", source), fetched("ASTFeatureExtractor", source)
    rate, seconds = extractor.sampling_rate, extractor.max_length / 100.0

    @torch.no_grad()
    def outputs(clip: Clip, what: str) -> Tensor:
        rows = []
        for wave in windows(clip, rate, seconds):
            given = extractor(wave.numpy(), sampling_rate=rate, return_tensors="pt")
            if what == "embedding":
                rows.append(model.audio_spectrogram_transformer(**given).pooler_output[0].double())
            else:
                rows.append(model(**given).logits[0].double().softmax(-1))
        return torch.stack(rows)

    return Network(
        "AST", source, weights_hash(source), "audio", seconds, rate,
        lambda clip: outputs(clip, "embedding"), lambda clip: outputs(clip, "classes"),
    )  # fmt: skip


def panns(source: str) -> Network:
    """CNN14's features and classes (Kong et al., 1912.10211), as MMAudio and AudioLDM report them."""
    try:
        from panns_inference.models import Cnn14
    except ImportError as error:
        raise InputError("panns: needs PANNs (pip install panns-inference)") from error
    if not Path(source).is_file():
        raise InputError(
            f"panns={source}: no such file; expected a checkpoint of CNN14 (Cnn14_mAP=0.431.pth)"
        )
    model = Cnn14(
        sample_rate=32000, window_size=1024, hop_size=320, mel_bins=64, fmin=50, fmax=14000, classes_num=527
    )
    try:
        model.load_state_dict(torch.load(source, map_location="cpu", weights_only=True)["model"])
    except Exception as error:  # garbage makes torch raise whatever it meets
        raise InputError(f"panns={source}: no checkpoint of CNN14 ({first_line_of(error)[:200]})") from error
    model.eval()

    @torch.no_grad()
    def outputs(clip: Clip, what: str) -> Tensor:
        rows = [model(wave[None])[what][0].double() for wave in windows(clip, 32000, 10.0)]
        return torch.stack(rows)

    def classes(clip: Clip) -> Tensor:
        found = outputs(clip, "clipwise_output")  # independent sigmoids
        return found / found.sum(-1, keepdim=True)

    return Network(
        "PANNs CNN14", source, weights_hash(source), "audio", 10.0, 32000,
        lambda clip: outputs(clip, "embedding"), classes,
    )  # fmt: skip


def _videomae(source: str) -> Network:
    """VideoMAE's features of 16 frames over the clip (Tong et al., 2203.12602)."""
    embed = videomae(source)
    return Network(
        "VideoMAE", source, weights_hash(source), "video", math.inf, 16, lambda clip: embed(clip)[None]
    )


MADE: dict[str, Callable[[str], Network]] = {"clap": clap, "ast": ast, "panns": panns, "videomae": _videomae}


def weights_hash(source: str) -> str:
    """The sha256 of a weights' file, or of all of a folder's; "" for a name on the hub."""
    path = Path(source)
    files = [path] if path.is_file() else sorted(path.glob("*.safetensors")) + sorted(path.glob("*.bin"))
    return hash_of(*files) if files else ""
