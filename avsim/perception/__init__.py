"""Small detectors of things, events and sounds, which judges and the separator share.

A `VideoDetector` and a `AudioDetector` are plain networks over one `Grid`; `detect` turns what they say of
a clip into plain findings (`found`), `truths` says what a perfect detector would find. `samples`, `labels`
and `system` train them; `SyncModel` tells by how much audio and video are apart.
"""

from avsim.perception.audio_detector import AudioDetector
from avsim.perception.detections import AudioDetections, DetectedThing, Event, Onset, VideoDetections
from avsim.perception.grid import Grid
from avsim.perception.sync import Shift, SyncModel, shift
from avsim.perception.video_detector import VideoDetector

__all__ = [
    "Event",
    "Grid",
    "AudioDetections",
    "SyncModel",
    "Onset",
    "VideoDetector",
    "DetectedThing",
    "Shift",
    "AudioDetector",
    "VideoDetections",
    "shift",
]
