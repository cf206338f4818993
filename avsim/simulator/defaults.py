"""How a task is drawn when nobody says otherwise: by whom, guided how, of how many takes, what is ahead."""

from dataclasses import replace
from typing import Any

from avsim.diffusion.guidance import FOR_AUDIO, GUIDANCE, Guidance

BY_THE_STUDENT = ("joint", "animate", "extend", "visualize")  # tasks
# How its teacher hears: of eight steps from noise in three, in six for a sound.
HEARS: dict[str, Any] = {"sync_scale": 0.45, "sync_start": 0.6, "sync_end": 0.88}
HEARS_FOR_A_SOUND: dict[str, Any] = {"sync_scale": 0.3, "sync_start": 0.25, "sync_samples": 1}
# How a judge of offsets is asked in the ear's place: in one of eight steps from noise, in five for a sound.
WATCHED: dict[str, Any] = {"sync_scale": 0.7, "sync_start": 0.6, "sync_end": 0.7}
WATCHED_FOR_A_SOUND: dict[str, Any] = {"sync_scale": 0.4, "sync_start": 0.25, "sync_end": 0.88}
TAKES = {"visualize": 3}  # of tasks of which the best heard of several is kept
AHEAD = {"joint": 1 / 8}  # of tasks: share of the steps by which frame 0 is drawn before the rest


def usual(task: str, student: bool = False, judge: bool = False) -> Guidance:
    """The guidance of a task that isn't told another.

    A `student` needs none but the ear; with a `judge` of offsets, that is asked in the ear's place.
    """
    sound = task == "visualize"
    how = FOR_AUDIO if sound else GUIDANCE
    if judge:
        return replace(how, **(WATCHED_FOR_A_SOUND if sound else WATCHED))
    if student:
        return replace(how, **(HEARS_FOR_A_SOUND if sound else HEARS))
    return how
