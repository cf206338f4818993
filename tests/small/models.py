"""Tiny models with random weights, as a run would have exported them."""

from pathlib import Path

import torch

from avsim.clip import ClipSpec
from avsim.codecs import AudioAutoencoder, VideoAutoencoder
from avsim.diffusion import JointDiT
from avsim.perception.audio_detector import AudioDetector
from avsim.perception.sync import SyncModel
from avsim.perception.video_detector import VideoDetector
from avsim.separation import Separator
from avsim.weights import save_model

SPEC = {
    "seconds": 1.0,
    "height": 32,
    "width": 48,
    "frames_per_second": 8.0,
    "sample_rate": 16000,
    "channels": 2,
}


def offset_judge() -> SyncModel:
    """The judge of offsets, tiny."""
    picture = VideoDetector(fine=8, coarse=8, blocks=1)
    return SyncModel(picture, AudioDetector(bands=16, widths=(4,), width=8, blocks=1), width=4, blocks=1)


def export(run: Path) -> Path:
    """Write RUN/simulator/ with all four parts; trained on clips of `SPEC`."""
    torch.manual_seed(0)
    parts = {
        "generator": JointDiT(width=32, blocks=2, heads=2),
        "video_codec": VideoAutoencoder(widths=(8, 8, 8), depths=(1, 1, 1)),
        "audio_codec": AudioAutoencoder(width=16),
        "separator": Separator(short_side=32, width=4, fine=4, coarse=8, frame_blocks=1, bin_widths=[4, 8]),
    }
    with torch.no_grad():
        for value in parts["generator"].parameters():
            value.add_(0.1 * torch.randn(value.shape))  # so that nothing starts at zero
    assert ClipSpec(**SPEC)
    for name, part in parts.items():
        save_model(part, run / "simulator" / name, spec=SPEC, step=1)
    return run
