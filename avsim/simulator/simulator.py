"""One object with all tasks of a trained model."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from avsim import separation
from avsim.clip import Clip, ClipSpec, Region, Stems
from avsim.diffusion import (
    ANIMATE,
    AUDIO_ONLY,
    AUDIO_TO_VIDEO,
    JOINT,
    VIDEO_ONLY,
    Guidance,
    Latents,
    Task,
)
from avsim.diffusion.generate import STEPS
from avsim.errors import InputError
from avsim.perception.captioner import describe
from avsim.perception.detect import detect_video
from avsim.simulator.editing import STRENGTH, edited
from avsim.simulator.joining import LOOP_SECONDS, connected, extended, in_order, looped, retaken
from avsim.simulator.keyframes import Condition, conditioned
from avsim.simulator.models import MAX_LENGTH, Models, Sampling
from avsim.simulator.presence import Missing, missing
from avsim.simulator.prompts import warn_once
from avsim.simulator.resize import (
    clip_with_frames,
    clip_with_wave,
    frames_for,
    wave_for,
)
from avsim.simulator.sizes import check_trained, composed, is_composed
from avsim.simulator.soundtrack import SEED_STEP, soundtrack
from avsim.simulator.stream import Shot, Transition, stream


class Simulator(Models):
    """A generator with its codecs, a separator and detectors; parts that a folder lacks are None.

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
        conditions: Sequence[Condition] = (),
        num_candidates: int = 1,
    ) -> Clip:
        """Video and audio from text; by default of the length and size (H, W) of the training clips.

        Clips longer than `MAX_LENGTH` times the training clips are generated in windows, as by `stream`.
        `conditions` are frames that the clip has at some times. Of `num_candidates` clips, the first with the
        fewest `missing` things is returned.

        Raises:
            InputError: more pixels than memory holds, conditions that can't be met, or no candidates.
        """
        if num_candidates < 1:
            raise InputError(f"num_candidates is {num_candidates}; it must be at least 1")

        def candidate(seed: int) -> Clip:
            if conditions:
                return conditioned(self, prompt, conditions, seconds, seed, Sampling(size, steps, guidance))
            return self.batch([prompt], seconds, seed, size, steps, guidance)[0]

        best = candidate(seed)
        for number in range(1, num_candidates):
            if not (lacks := len(self.missing(best, prompt))):
                break
            other = candidate(seed + number * SEED_STEP)
            best = other if len(self.missing(other, prompt)) < lacks else best
        return best

    def missing(self, clip: Clip, prompt: str) -> Missing:
        """What a prompt names and the detectors don't find in a clip; nothing without detectors."""
        return missing(clip, prompt, self.video_detector, self.audio_detector)

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
        if seconds is not None and seconds > MAX_LENGTH * self.spec.seconds:
            self.check_pixels(seconds, size)
            return [
                in_order([*self.stream(prompt, seconds, "cut", seed + row, size, steps, guidance)])
                for row, prompt in enumerate(prompts)
            ]
        return self._clips(prompts, seconds, JOINT, Latents(), seed, Sampling(size, steps, guidance))

    def _clips(
        self,
        prompts: Sequence[str],
        seconds: float | None,
        task: Task,
        given: Latents,
        seed: int,
        sampling: Sampling,
    ) -> list[Clip]:
        """Clips of a task without given video, of any size, also one that the model was not trained on."""
        if not is_composed(self, sampling.size):
            spec = self.latent_spec(seconds, sampling.size)
            return self.sample_clips(prompts, spec, task, given, seed, sampling)
        spec = self.latent_spec(seconds, None)
        self.check_pixels(spec.clip.seconds, sampling.size)
        base = self.sample_latents(prompts, spec, task, given, seed, sampling)
        return composed(self, prompts, base, spec, seed, sampling)

    def stream(
        self,
        prompt: str | Sequence[Shot],
        seconds: float | None = None,
        transition: Transition = "cut",
        seed: int = 0,
        size: tuple[int, int] | None = None,
        steps: int = STEPS,
        guidance: float | Guidance | None = None,
    ) -> Iterator[Clip]:
        """Video and audio of any length from text, as an iterator of consecutive pieces, generated lazily.

        Each window, of the length of the training clips, is conditioned on the last latents of the window
        before it. Memory does not grow with the length.

        Args:
            prompt: one for all, with `seconds`; or the shots of a storyboard.
            seconds: the length, of a single prompt; that of the training clips by default.
            transition: as of `storyboard`.
            seed: of the first window; the others derive theirs from it.
            size: (H, W); that of the training clips by default.
            steps: number of sampler steps.
            guidance: as of the other methods.

        Raises:
            InputError: as of `storyboard`.
        """
        if isinstance(prompt, str):
            prompt = [Shot(prompt, self.spec.seconds if seconds is None else seconds)]
        return stream(self, prompt, transition, seed, Sampling(size, steps, guidance))

    def storyboard(
        self,
        shots: Sequence[Shot],
        transition: Transition = "cut",
        seed: int = 0,
        size: tuple[int, int] | None = None,
        steps: int = STEPS,
        guidance: float | Guidance | None = None,
    ) -> Clip:
        """Consecutive shots, each with a prompt and a length.

        The audio continues across shots. With the transition "continuous" the video continues too, with the
        next prompt; with "cut" it starts again from the same noise, so that shots with similar prompts look
        similar.

        Raises:
            InputError: no shots, one of less than a frame, or an unknown transition.
        """
        pieces = self.stream(shots, None, transition, seed, size, steps, guidance)
        self.check_pixels(sum(shot.seconds for shot in shots), size)
        return in_order([*pieces])

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

        The default prompt is the caption by `describe`; "" is unconditional. For clips longer than
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
        return soundtrack(self, frames_at, seconds, prompt, seed, Sampling(size, steps, guidance))

    def describe(self, clip: Clip) -> str:
        """A caption of a clip from what `video_detector` finds; "" if it finds nothing or is absent.

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

        Of `num_candidates` (default `NUM_CANDIDATES`), the video that makes the audio likeliest is returned.
        """
        if clip.wave is None:
            raise InputError("visualize needs a clip with audio; its wave is None")
        seconds = clip.wave.shape[1] / clip.sample_rate
        given = Latents(None, self.encode_audio(wave_for(clip, self.clip_spec(seconds))))
        sampling = Sampling(size, steps, guidance, num_candidates)
        (made,) = self._clips([prompt], seconds, AUDIO_TO_VIDEO, given, seed, sampling)
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
        """Video and audio from the first frame of `image`; the codec's reconstruction of it is frame 0."""
        check_trained(self, size, "animate")
        spec = self.latent_spec(seconds, size)
        first = self.encode_video(frames_for(image, spec.clip.still))  # (1, Dv, 1, h, w)
        video = torch.cat([first, torch.zeros_like(first).expand(-1, -1, spec.video[0] - 1, -1, -1)], 2)
        sampling = Sampling(size, steps, guidance)
        return self.sample_clips([prompt], spec, ANIMATE, Latents(video, None), seed, sampling)[0]

    def image(
        self,
        prompt: str,
        seed: int = 0,
        size: tuple[int, int] | None = None,
        steps: int = STEPS,
        guidance: float | Guidance | None = None,
    ) -> Clip:
        """One image from text."""
        seconds = 1 / self.spec.frames_per_second
        sampling = Sampling(size, steps, guidance)
        return self._clips([prompt], seconds, VIDEO_ONLY, Latents(), seed, sampling)[0]

    def audio(
        self,
        prompt: str,
        seconds: float | None = None,
        seed: int = 0,
        steps: int = STEPS,
        guidance: float | Guidance | None = None,
    ) -> Clip:
        """Audio alone from text."""
        spec, sampling = self.latent_spec(seconds, None), Sampling(None, steps, guidance)
        return self.sample_clips([prompt], spec, AUDIO_ONLY, Latents(), seed, sampling)[0]

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
        source_prompt: str | None = None,
    ) -> Clip:
        """A clip changed from what `source_prompt` describes to what `prompt` does; the rest stays similar.

        The velocity difference of both prompts moves the clip (FlowEdit, 2412.08629), from the timestep
        `strength` in (0, 1] on. The default source prompt is the caption by `describe`. `keep` is
        "video" or "audio", which is returned unchanged; a modality that the clip lacks stays absent.

        Raises:
            InputError: a strength out of range, an unknown `keep`, or `keep` of a clip that lacks a modality.
        """
        if source_prompt is None:
            source_prompt = "" if clip.frames is None else self.describe(clip)
        return edited(
            self, clip, prompt, source_prompt, strength, keep, seed, Sampling(size, steps, guidance)
        )

    def extend(
        self,
        clip: Clip,
        prompt: str = "",
        seconds: float | None = None,
        seed: int = 0,
        size: tuple[int, int] | None = None,
        steps: int = STEPS,
        guidance: float | Guidance | None = None,
        backward: bool = False,
    ) -> Clip:
        """The clip continued for `seconds` (by default the length of a training clip), in windows.

        `backward`: the part before the clip is generated. The clip is returned at the generator's rates,
        channels and size; at those it is unchanged. Without a prompt, or if the clip looks unlike the
        training clips and the prompt contains neither "loud" nor "hard", the continuation is at most
        `MAX_GAIN` times as loud as the clip.

        Raises:
            InputError: a clip without video or audio, `seconds` of less than a frame, or a generator of clips
                that are too short for a window.
        """
        out_of_distribution = self.is_out_of_distribution(clip)
        sampling = Sampling(size, steps, guidance)
        return extended(self, clip, prompt, seconds, backward, out_of_distribution, seed, sampling)

    def loop(
        self,
        what: str | Clip,
        seconds: float | None = None,
        prompt: str = "",
        seed: int = 0,
        size: tuple[int, int] | None = None,
        steps: int = STEPS,
        guidance: float | Guidance | None = None,
    ) -> Clip:
        """A clip whose end leads back to its beginning, in video and audio.

        Args:
            what: a prompt, or a clip that the loop begins with, unchanged at the generator's rates and size.
            seconds: length of the loop. By default a clip and `LOOP_SECONDS` more; of a prompt, the length of
                the training clips.
            prompt: of what is added to a clip.
            seed: of the clip.
            size: (H, W); that of the training clips by default.
            steps: number of sampler steps.
            guidance: as of the other methods.

        Raises:
            InputError: a clip without video or audio, or a loop that is not longer than it.
        """
        sampling = Sampling(size, steps, guidance)
        if isinstance(what, Clip):
            return looped(self, what, seconds, prompt, seed, sampling)
        seconds = self.spec.seconds if seconds is None else seconds
        begin = self.generate(what, max(seconds / 2, seconds - LOOP_SECONDS), seed, size, steps, guidance)
        return looped(
            self, begin, max(seconds, begin.seconds + 1 / begin.frames_per_second), what, seed, sampling
        )

    def connect(
        self,
        one: Clip,
        other: Clip,
        seconds: float = 1.0,
        prompt: str = "",
        seed: int = 0,
        size: tuple[int, int] | None = None,
        steps: int = STEPS,
        guidance: float | Guidance | None = None,
    ) -> Clip:
        """`one`, then `seconds` of generated video and audio as a transition, then `other`.

        If the last frame of `one` and the first of `other` show different scenes, a continuation of `one`
        dissolves into a backward continuation of `other`. Both clips are returned at the generator's rates,
        channels and size; at those they are unchanged.

        Raises:
            InputError: a clip without video or audio, or `seconds` of less than a frame.
        """
        return connected(self, one, other, seconds, prompt, seed, Sampling(size, steps, guidance))

    def retake(
        self,
        clip: Clip,
        prompt: str,
        start_time: float,
        end_time: float,
        region: Region | None = None,
        regenerate_video: bool = True,
        regenerate_audio: bool = True,
        seed: int = 0,
        size: tuple[int, int] | None = None,
        steps: int = STEPS,
        guidance: float | Guidance | None = None,
    ) -> Clip:
        """The clip with a span of it, in seconds, regenerated from a prompt; arguments are named as in LTX-2.

        With a `region` of the clip's frames, the video outside it stays. The clip is returned at the
        generator's rates, channels and size; at those all else is unchanged, bit for bit.

        Raises:
            InputError: a span outside the clip or empty, nothing to generate, a region of another size, a
                clip without video or audio.
        """
        return retaken(
            self, clip, prompt, start_time, end_time, region, regenerate_video, regenerate_audio, seed,
            Sampling(size, steps, guidance),
        )  # fmt: skip

    def separate(self, clip: Clip, regions: Sequence[Region]) -> Stems:
        """The stem of each region and, last, of off-screen audio; they add up to the clip's audio."""
        return separation.separate(self.part("separator"), clip, regions)
