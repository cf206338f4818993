"""One object for all that a trained model can do with a clip."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from avsim import separation
from avsim.clip import Clip, ClipSpec, Region, Stems, samples_of
from avsim.diffusion import (
    ANIMATE,
    AUDIO,
    IMAGE,
    JOINT,
    VISUALIZE,
    Guidance,
    Latents,
    Task,
    everything,
    nothing,
    until,
)
from avsim.diffusion.generate import STEPS
from avsim.errors import InputError
from avsim.perception.captioner import describe
from avsim.perception.detect import detect_video
from avsim.simulator.models import Models
from avsim.simulator.prompts import warn_once
from avsim.simulator.resize import (
    clip_with_frames,
    clip_with_wave,
    frames_for,
    frames_over,
    joined,
    pad_with_last,
    wave_for,
)
from avsim.simulator.soundtrack import SEED_STEP, soundtrack

STRENGTH = 0.6  # of an edit: how much noise it starts from
MAX_GAIN = 10 ** (2.5 / 20)  # of an extension's RMS over the clip's: 3 dB less what a seam adds
FAINT = 1e-3  # RMS of audio that counts as silent
KEPT = ("video", "audio")  # modalities that an edit may keep


@dataclass(frozen=True, eq=False)
class Simulator(Models):
    """A generator with the codecs of its latents, a separator and detectors, as far as a folder holds them.

    Every method that generates has a `seed`: the same seed gives the same frames and samples, bit for bit, on
    one machine (on a GPU, except for the gradients of `Guidance.sync_scale`). `guidance` is a `Guidance`, or
    the `guidance_scale` alone beside the task's other defaults (`task_guidance`). Without it, the `student`
    generates the tasks that it was distilled for (`STUDENT_TASKS`) in one forward pass a step. Where video is
    generated beside audio, `sync_model` is the reward of `Guidance.sync_scale`.
    """

    def generate(
        self,
        prompt: str,
        seconds: float | None = None,
        seed: int = 0,
        size: tuple[int, int] | None = None,
        steps: int = STEPS,
        guidance: float | Guidance | None = None,
    ) -> Clip:
        """Video and audio from text; by default of the length and size (H, W) of the training clips."""
        return self.batch([prompt], seconds, seed, size, steps, guidance)[0]

    def batch(
        self,
        prompts: Sequence[str],
        seconds: float | None = None,
        seed: int = 0,
        size: tuple[int, int] | None = None,
        steps: int = STEPS,
        guidance: float | Guidance | None = None,
    ) -> list[Clip]:
        """A clip for each prompt, generated in one batch; clip i has the seed `seed` + i."""
        spec = self.latent_spec(seconds, size)
        return self.sample_clips(prompts, spec, JOINT, Latents(), seed, steps, guidance)

    def foley(
        self,
        clip: Clip,
        prompt: str | None = None,
        seed: int = 0,
        size: tuple[int, int] | None = None,
        steps: int = STEPS,
        guidance: float | Guidance | None = None,
    ) -> Clip:
        """Audio for a video, whose frames are returned unchanged; the model receives a copy at `size`.

        Without a prompt the caption is that of `describe`; "" is unconditional. For clips longer than
        `MAX_LENGTH` times the training clips, audio is generated in windows, as by `soundtrack`.
        """
        if clip.frames is None:
            raise InputError("foley needs a clip with video; it has audio alone")
        prompt = self.describe(clip) if prompt is None else prompt
        rate = clip.frames_per_second

        def frames_at(start: float, spec: ClipSpec) -> Tensor:
            first = round(start * rate)
            last = math.ceil((start + spec.end) * rate) + 1
            return frames_for(Clip(clip.frames[:, first:last], None, rate), spec)  # type: ignore[index]

        pieces = self.soundtrack(frames_at, clip.seconds, prompt, seed, size, steps, guidance)
        return clip_with_frames(clip.frames, rate, torch.cat([*pieces], 1), self.spec.sample_rate)

    def soundtrack(
        self,
        frames_at: Callable[[float, ClipSpec], Tensor],
        seconds: float,
        prompt: str = "",
        seed: int = 0,
        size: tuple[int, int] | None = None,
        steps: int = STEPS,
        guidance: float | Guidance | None = None,
    ) -> Iterator[Tensor]:
        """Audio for a video of any length, in consecutive pieces (A, n).

        Beyond `MAX_LENGTH` times the length of the training clips the model runs in windows of that length.
        A window is conditioned on the last `CONTEXT` seconds of the audio so far: every sample is generated
        once, and no onset is doubled. Memory does not grow with the length.

        Args:
            frames_at: (start in seconds, spec) -> frames (3, T, H, W) of `spec` from `start` on.
            seconds: length of the video.
            prompt: a caption of the whole video.
            seed: of the first window; the others derive theirs from it.
            size: (H, W) of the copy that the model receives; that of its training clips by default.
            steps: number of sampler steps.
            guidance: as of the other methods.

        Raises:
            InputError: a length that is not positive.
        """
        return soundtrack(self, frames_at, seconds, prompt, seed, size, steps, guidance)

    def describe(self, clip: Clip) -> str:
        """A caption of a clip from what `video_detector` finds; "" where it finds nothing, or is absent.

        The detector receives what the generator receives: the center of the frames, at the training size.
        """
        if self.video_detector is None:
            return ""
        if self.is_out_of_distribution(clip):
            warn_once(
                "this video looks unlike what the model was trained on: no caption is made of it, and its "
                "audio is generated without a prompt (--prompt gives one)"
            )
            return ""
        frames = frames_for(clip, self.clip_spec(clip.seconds))
        rate = self.spec.frames_per_second
        return describe(detect_video(self.video_detector, Clip(frames, None, rate)), rate)

    def is_out_of_distribution(self, clip: Clip) -> bool:
        """Whether a clip's beginning is out of distribution for `video_detector`; False: unknown."""
        if self.ood_check is None or self.video_detector is None or clip.frames is None:
            return False
        from avsim.evaluation.ood import is_out_of_distribution

        beginning = Clip(frames_for(clip, self.spec), None, self.spec.frames_per_second)
        return is_out_of_distribution(beginning, self.video_detector, self.ood_check)

    def visualize(
        self,
        clip: Clip,
        prompt: str = "",
        seed: int = 0,
        size: tuple[int, int] | None = None,
        steps: int = STEPS,
        guidance: float | Guidance | None = None,
        num_candidates: int | None = None,
    ) -> Clip:
        """Video for audio, whose samples are returned unchanged.

        Of `num_candidates` (by default `NUM_CANDIDATES`) it is the one under which the audio is likeliest.
        """
        if clip.wave is None:
            raise InputError("visualize needs a clip with audio; its wave is None")
        spec = self.latent_spec(clip.wave.shape[1] / clip.sample_rate, size)
        given = Latents(None, self.encode_audio(wave_for(clip, spec.clip)))
        made = self.sample_clips([prompt], spec, VISUALIZE, given, seed, steps, guidance, num_candidates)[0]
        assert made.frames is not None
        return clip_with_wave(made.frames, made.frames_per_second, clip.wave, clip.sample_rate)

    def animate(
        self,
        image: Clip,
        prompt: str = "",
        seconds: float | None = None,
        seed: int = 0,
        size: tuple[int, int] | None = None,
        steps: int = STEPS,
        guidance: float | Guidance | None = None,
    ) -> Clip:
        """Video and audio that begin with the first frame of `image`, which is returned decoded."""
        spec = self.latent_spec(seconds, size)
        first = self.encode_video(frames_for(image, spec.clip.still))  # (1, Dv, 1, h, w)
        video = torch.cat([first, torch.zeros_like(first).expand(-1, -1, spec.video[0] - 1, -1, -1)], 2)
        return self.sample_clips([prompt], spec, ANIMATE, Latents(video, None), seed, steps, guidance)[0]

    def image(
        self,
        prompt: str,
        seed: int = 0,
        size: tuple[int, int] | None = None,
        steps: int = STEPS,
        guidance: float | Guidance | None = None,
    ) -> Clip:
        """One image from text."""
        spec = self.latent_spec(1 / self.spec.frames_per_second, size)
        return self.sample_clips([prompt], spec, IMAGE, Latents(), seed, steps, guidance)[0]

    def audio(
        self,
        prompt: str,
        seconds: float | None = None,
        seed: int = 0,
        steps: int = STEPS,
        guidance: float | Guidance | None = None,
    ) -> Clip:
        """Audio alone from text."""
        return self.sample_clips(
            [prompt], self.latent_spec(seconds, None), AUDIO, Latents(), seed, steps, guidance
        )[0]

    def edit(
        self,
        clip: Clip,
        prompt: str,
        strength: float = STRENGTH,
        keep: str | None = None,
        seed: int = 0,
        size: tuple[int, int] | None = None,
        steps: int = STEPS,
        guidance: float | Guidance | None = None,
    ) -> Clip:
        """A clip generated by `prompt` from a copy of `clip` with `strength`, in (0, 1], of noise (SDEdit).

        `keep` is "video" or "audio", which is returned unchanged; a modality that the clip lacks stays
        absent.

        Raises:
            InputError: a strength out of range, an unknown `keep`, or `keep` of a clip that lacks a modality.
        """
        if not 0 < strength <= 1:
            raise InputError(f"strength is {strength:g}; it must be above 0 and at most 1")
        if keep is not None and (keep not in KEPT or clip.frames is None or clip.wave is None):
            raise InputError(
                f"keep is {keep!r}; expected {' or '.join(KEPT)}, of a clip that has both; this one has "
                f"{'no video' if clip.frames is None else 'no audio' if clip.wave is None else 'both'}"
            )
        spec = self.latent_spec(clip.seconds, size)
        given = Latents(
            None if clip.frames is None else self.encode_video(frames_for(clip, spec.clip)),
            None if clip.wave is None else self.encode_audio(wave_for(clip, spec.clip)),
        )
        video, audio = (
            None if latents is None else everything if keep == name else nothing
            for name, latents in zip(KEPT, given, strict=True)
        )
        made = self.sample_clips(
            [prompt], spec, Task("edit", video, audio, strength), given, seed, steps, guidance
        )[0]
        if keep == "video":
            return clip_with_frames(clip.frames, clip.frames_per_second, made.wave, made.sample_rate)  # type: ignore[arg-type]
        if keep == "audio":
            return clip_with_wave(made.frames, made.frames_per_second, clip.wave, clip.sample_rate)  # type: ignore[arg-type]
        return made

    def extend(
        self,
        clip: Clip,
        prompt: str = "",
        seconds: float | None = None,
        seed: int = 0,
        size: tuple[int, int] | None = None,
        steps: int = STEPS,
        guidance: float | Guidance | None = None,
    ) -> Clip:
        """The clip continued for `seconds` (by default the length of a training clip), in windows.

        The first half of a window is the end of the clip so far. The clip is returned at the generator's
        rates, channels and size; at those it is unchanged. Without a prompt, or where the clip looks unlike
        the training clips and the prompt contains neither "loud" nor "hard", the continuation is at most
        `MAX_GAIN` times as loud as the clip.

        Raises:
            InputError: a clip without video or audio, `seconds` of less than a frame, or a generator of clips
                that are too short for a window.
        """
        if clip.frames is None or clip.wave is None:
            missing = "video" if clip.frames is None else "audio"
            raise InputError(f"extend needs a clip with both video and audio; its {missing} is missing")
        spec = self.latent_spec(self.spec.seconds, size)
        seconds = self.spec.seconds if seconds is None else seconds
        own = replace(spec.clip, seconds=clip.seconds)
        frames, wave = frames_for(clip, own), wave_for(clip, own)
        rate, stride = own.frames_per_second, spec.time_stride
        if not (math.isfinite(seconds) and seconds * rate >= 1 - 1e-6):
            raise InputError(f"extend by {seconds:g} s: expected a frame or more, {1 / rate:g} s")
        wanted = frames.shape[1] + frames_over(seconds, rate)
        limit = self._limit(clip, wave, prompt)
        longest = 1 + spec.clip.frames // 2  # frames of a window that are given
        if longest >= spec.clip.frames:
            raise InputError(
                f"{self.source}: its clips of {spec.clip.frames} frames are too short to extend by"
            )
        while frames.shape[1] < wanted:
            seed += SEED_STEP
            known = 1 + stride * ((min(frames.shape[1], longest) - 1) // stride)  # frames, of whole latents
            last_frames = frames[:, -known:]
            last_wave = wave[:, -samples_of(known, rate, own.sample_rate) :]
            given = Latents(
                self.encode_video(pad_with_last(last_frames, spec.clip.frames)),
                self.encode_audio(pad_with_last(last_wave, spec.clip.samples)),
            )
            task = Task("extend", until(known / rate), until(known / rate))
            made = self.sample_clips([prompt], spec, task, given, seed, steps, guidance)[0]
            assert made.frames is not None and made.wave is not None
            new_wave = made.wave[:, last_wave.shape[1] :]
            gain = min(1.0, limit / max(float(new_wave.square().mean().sqrt()), 1e-9))
            new = joined(last_wave, gain * made.wave, own.sample_rate)[:, last_wave.shape[1] :]
            frames, wave = torch.cat([frames, made.frames[:, known:]], 1), torch.cat([wave, new], 1)
            wave = wave_for(
                Clip(None, wave, rate, own.sample_rate), replace(own, seconds=frames.shape[1] / rate)
            )
        return Clip.fitted(frames[:, :wanted], wave, rate, own.sample_rate)

    def _limit(self, clip: Clip, wave: Tensor, prompt: str) -> float:
        """The largest RMS that an extension of a clip with the audio `wave` may have."""
        foreign = self.is_out_of_distribution(clip)
        level = float(wave.square().mean().sqrt())
        loud = re.search(r"\b(loud|hard)", prompt.lower()) if foreign else prompt
        if loud or (level < FAINT and not foreign):  # a silent clip may begin to sound
            return math.inf
        return max(level, FAINT) * MAX_GAIN

    def separate(self, clip: Clip, regions: Sequence[Region]) -> Stems:
        """The stem of each region and, last, of off-screen audio; they add up to the clip's audio."""
        return separation.separate(self.part("separator"), clip, regions)
