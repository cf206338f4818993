"""Embeddings of others, each under its own name, through the package that it comes in.

clap:NAME        CLAP's audio features (transformers), NAME on the hub or a folder
videomae:NAME    VideoMAE's features of 16 frames, averaged (transformers)
module:function  a function of a clip that a module of yours, or of a package, makes: PaSST, ImageBind, I3D,
                 VGGish, Synchformer ... where their packages are installed and allowed (--allow-module)
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
import torchaudio
from torch import Tensor

from avsim.clip import Clip
from avsim.errors import InputError, first_line_of
from avsim.evaluation.embeddings import Embedding
from avsim.evaluation.result import NotJudged, Reason
from avsim.weights import allowed_function

MEAN, SPREAD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)  # of ImageNet's colours, as VideoMAE is fed


def embedding(spec: str) -> Embedding:
    """The embedding that a `KIND:NAME` or a `module:function` names.

    Raises:
        InputError: it can't be found or is not allowed, its package isn't installed, or it is no function.
    """
    kind, _, name = spec.partition(":")
    if not (kind and name):
        raise InputError(f"embedding {spec!r}: expected clap:NAME, videomae:NAME or module:function")
    if kind in MADE:
        return MADE[kind](name)
    return allowed_function(spec)


def clap(name: str) -> Embedding:
    """CLAP's audio features (d,) of the channels' mean (Wu et al., 2211.06687)."""
    network, extractor = fetched("ClapModel", name), fetched("ClapFeatureExtractor", name)
    rate = extractor.sampling_rate

    @torch.no_grad()
    def embed(clip: Clip) -> Tensor:
        if clip.wave is None:
            raise NotJudged(Reason.NO_AUDIO)
        wave = torchaudio.functional.resample(clip.wave.float().mean(0), clip.sample_rate, rate)
        return clap_features(network, extractor, wave)

    return embed


def clap_features(network: Any, extractor: Any, wave: Tensor) -> Tensor:
    """CLAP's audio features (d,) of a wave (n,) at its extractor's rate."""
    given = extractor(wave.numpy(), sampling_rate=extractor.sampling_rate, return_tensors="pt")
    found = network.get_audio_features(**given)
    return getattr(found, "pooler_output", found)[0].double()


def videomae(name: str) -> Embedding:
    """The mean of VideoMAE's last features (d,) over frames evenly spaced (Tong et al., 2203.12602)."""
    network = fetched("VideoMAEModel", name)
    count, size = network.config.num_frames, network.config.image_size

    @torch.no_grad()
    def embed(clip: Clip) -> Tensor:
        if clip.frames is None:
            raise NotJudged(Reason.NO_VIDEO)
        chosen = torch.linspace(0, clip.frames.shape[1] - 1, count).round().long()
        frames = clip.frames[:, chosen].transpose(0, 1).float()  # (T, 3, H, W)
        frames = F.interpolate(frames, (size, size), mode="bilinear", antialias=True)
        mean, spread = (torch.tensor(values)[:, None, None] for values in (MEAN, SPREAD))
        return network(((frames - mean) / spread)[None]).last_hidden_state[0].mean(0).double()

    return embed


MADE = {"clap": clap, "videomae": videomae}


def fetched(kind: str, name: str) -> Any:
    """A class of transformers, from the hub or a folder.

    Raises:
        InputError: transformers isn't installed, there is no such model, or it can't be fetched.
    """
    try:
        import transformers
    except ImportError as error:
        raise InputError(f"{kind} needs transformers: pip install 'avsim[pretrained]'") from error
    try:
        found = getattr(transformers, kind).from_pretrained(name)
    except (OSError, ValueError) as error:
        raise InputError(f"{name}: no {kind} can be loaded ({first_line_of(error)})") from error
    return found.eval() if hasattr(found, "eval") else found
