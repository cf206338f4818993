"""AV-Align (Yariv et al., 2309.16429): intersection over union of optical-flow peaks and audio onsets."""

from __future__ import annotations

import numpy as np

from avsim.clip import Clip
from avsim.evaluation.result import NotJudged, Reason

WINDOW = 1  # frames before and after a peak of motion in which an onset counts


def av_align(clip: Clip) -> float:
    """Onsets within a frame of a motion peak, over the union of both.

    As in the authors' code, onsets are librosa's, motion is the mean magnitude of Farneback's optical flow,
    its peaks are local maxima, and each onset near a peak counts: two at one peak may give a value above 1.

    Raises:
        NotJudged: a modality is missing, or there is neither an onset nor a peak.
    """
    if clip.frames is None:
        raise NotJudged(Reason.NO_VIDEO)
    if clip.wave is None:
        raise NotJudged(Reason.NO_AUDIO)
    import librosa

    wave = clip.wave.float().mean(0).cpu().numpy()
    onsets = librosa.onset.onset_detect(y=wave, sr=round(clip.sample_rate), units="time")
    peaks = [frame / clip.frames_per_second for frame in flow_peaks(clip)]
    if not len(onsets) and not peaks:
        raise NotJudged(Reason.NOTHING_HAPPENS)
    reach = WINDOW / clip.frames_per_second
    matched = sum(any(abs(onset - peak) < reach for peak in peaks) for onset in onsets)
    return matched / (len(onsets) + len(peaks) - matched)


def flow_peaks(clip: Clip) -> list[int]:
    """Frames at which the mean magnitude of optical flow is a local maximum."""
    import cv2

    assert clip.frames is not None
    images = (clip.frames.float().mean(0) * 255).round().clamp(0, 255).byte().cpu().numpy()  # (T, H, W)
    flow = [0.0]
    for one, other in zip(images, images[1:], strict=False):
        found = cv2.calcOpticalFlowFarneback(
            one, other, np.zeros((*one.shape, 2), np.float32), 0.5, 3, 15, 3, 5, 1.2, 0
        )
        flow.append(float(np.linalg.norm(found, axis=-1).mean()))
    return [k for k in range(1, len(flow) - 1) if flow[k] > flow[k - 1] and flow[k] > flow[k + 1]]
