"""A perceptual distance of videos for training decoders: the features of a trained video detector."""

from torch import Tensor, nn

from avsim.perception.video_detector import VideoDetector
from avsim.weights import load_model, part_folder


class DetectorFeatures(nn.Module):
    """The features of a video detector, whose weights stay as they are.

    Args:
        detector: a folder or run with a video_detector; "small" ships.
    """

    def __init__(self, detector: str = "small") -> None:
        super().__init__()
        self.detector = load_model(part_folder(detector, "video_detector"), expected=VideoDetector)
        self.requires_grad_(False)
        self.eval()

    def train(self, mode: bool = True) -> "DetectorFeatures":
        """Stays in evaluation mode."""
        return super().train(False)

    def forward(self, frames: Tensor) -> Tensor:
        """Frames (B, 3, T, H, W) of the detector's grid -> (B, T, h, w, C), of unit variance over C."""
        return self.detector.features(frames)[0]
