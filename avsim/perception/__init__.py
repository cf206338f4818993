"""Small detectors of things, events and sounds, which judges and the separator share.

A `PictureDetector` and a `SoundDetector` are plain networks over one `Grid`; `detect` turns what they say of
a clip into plain findings (`found`), `truths` says what a perfect detector would find. `lessons`, `labels`
and `system` train them; `OffsetJudge` tells by how much sound and picture are apart.
"""

from avsim.perception.audio_detector import SoundDetector
from avsim.perception.detections import Event, Heard, Onset, Seen, View
from avsim.perception.grid import Grid
from avsim.perception.sync import OffsetJudge, Shift, shift
from avsim.perception.video_detector import PictureDetector

__all__ = [
    "Event",
    "Grid",
    "Heard",
    "OffsetJudge",
    "Onset",
    "PictureDetector",
    "Seen",
    "Shift",
    "SoundDetector",
    "View",
    "shift",
]
