"""One object for all that a trained model can do with a clip."""

from __future__ import annotations

import logging
import math
import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn
from torch.nn.functional import pad

from avsim import separation
from avsim.clip import Clip, ClipSpec, LatentSpec, Region, Stems, samples_of
from avsim.data.vocabulary import words_of
from avsim.devices import autocast_if_faster
from avsim.diffusion import (
    ANIMATE,
    AUDIO,
    FOLEY,
    IMAGE,
    JOINT,
    VISUALIZE,
    Guidance,
    JointDiT,
    Latents,
    Task,
    everything,
    generate,
    nothing,
    until,
)
from avsim.diffusion.generate import STEPS, OnStepEnd
from avsim.diffusion.rerank import rerank
from avsim.diffusion.sync_reward import sync_reward
from avsim.errors import InputError
from avsim.perception.captioner import describe
from avsim.perception.detect import detect_video
from avsim.perception.sync import SyncModel
from avsim.perception.video_detector import VideoDetector
from avsim.separation.separator import Separator
from avsim.simulator.defaults import FIRST_FRAME_LEAD, NUM_CANDIDATES, STUDENT_TASKS, default_guidance
from avsim.simulator.resize import (
    clip_with_frames,
    clip_with_wave,
    frames_for,
    frames_over,
    joined,
    pad_with_last,
    wave_for,
)
from avsim.world.captions.parsing import VOCABULARY
from avsim.world.sound.rooms import PLACES

if TYPE_CHECKING:
    from avsim.evaluation.ood import OODCheck

log = logging.getLogger("avsim")
STRENGTH = 0.6  # of an edit: how much noise it starts from
MAX_PIXELS = 2**28  # of all frames of a clip together: 3 GiB once decoded
MAX_LENGTH = 1.5  # times the length of the training clips; longer audio is generated in windows
CONTEXT = 0.5  # seconds of audio before a window that the window is conditioned on
EDGE = 2  # frames
CHUNK = 4  # windows of long audio that are decoded together
MARGIN = 8  # audio latents on both sides, against the decoder's edge effects
FADE = 0.02  # seconds in which one such piece fades into the next
MAX_WORDS = 8  # unknown words of a prompt that a warning names
SEED_STEP = 1_000_003  # between the seeds of windows, so that they differ from those of other clips
MAX_GAIN = 10 ** (2.5 / 20)  # of an extension's RMS over the clip's: 3 dB less what a seam adds
FAINT = 1e-3  # RMS of audio that counts as silent
KEPT = ("video", "audio")  # modalities that an edit may keep


def _with_suggestion(word: str, known: frozenset[str]) -> str:
    """An unknown word, and the known one that is nearest to it."""
    near = get_close_matches(word, known, n=1, cutoff=0.75)
    return word[:40] + (f" ({near[0]}?)" if near else "")


_WARNED_OF_WORDS: list[str] = []  # the prompt that was warned of


@lru_cache(maxsize=64)
def _warn_once(message: str) -> None:
    """Warn once per process: many clips are generated with the same settings."""
    log.warning(message)


@dataclass(frozen=True, eq=False)
class Simulator:
    """A generator with the codecs of its latents, a separator and detectors, as far as a folder holds them.

    Every method that generates has a `seed`: the same seed gives the same frames and samples, bit for bit, on
    one machine (on a GPU, except for the gradients of `Guidance.sync_scale`). `guidance` is a `Guidance`, or
    the `guidance_scale` alone beside the task's other defaults (`task_guidance`). Without it, the `student`
    generates the tasks that it was distilled for (`STUDENT_TASKS`) in one forward pass a step. Where video is
    generated beside audio, `sync_model` is the reward of `Guidance.sync_scale`.
    """

    generator: Any = None  # a JointDiT or a JointGenerator
    video_codec: Any = None  # a codecs.protocol.VideoCodec
    audio_codec: Any = None  # a codecs.protocol.AudioCodec
    separator: Separator | None = None
    spec: ClipSpec = ClipSpec()  # of the training clips: rates, size, length
    source: str = "this simulator"  # for messages
    student: JointDiT | None = None  # distilled from the guided generator
    video_detector: VideoDetector | None = None  # captions clips that have no prompt
    places: tuple[str, ...] = ()  # of the synthetic world, in the training clips; empty: unknown
    ood_check: OODCheck | None = None  # of the training clips of `video_detector`; None: unknown
    sync_model: SyncModel | None = None  # rewards synchrony while video is generated
    vocabulary: frozenset[str] | None = None  # words of the training captions; None: unknown
    on_step_end: OnStepEnd | None = None  # called after each step of the sampler

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
        spec = self._spec(seconds, size)
        return self._generate(prompts, spec, JOINT, Latents(), seed, steps, guidance)

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
        if seconds <= MAX_LENGTH * self.spec.seconds:
            spec = self._spec(seconds, size)
            given = Latents(self._encode_video(frames_at(0.0, spec.clip)), None)
            made = self._generate([prompt], spec, FOLEY, given, seed, steps, guidance)[0]
            assert made.wave is not None
            yield made.wave
            return
        spec = self._spec(self.spec.seconds, size)
        rate = spec.clip.frames_per_second
        latents = self._window_latents(frames_at, seconds, spec, prompt, seed, steps, guidance)
        total = samples_of(frames_over(seconds, rate), rate, spec.clip.sample_rate)
        yield from self._decode_windows(latents, spec, total, CHUNK * spec.audio)

    def _window_latents(
        self,
        frames_at: Callable[[float, ClipSpec], Tensor],
        seconds: float,
        spec: LatentSpec,
        prompt: str,
        seed: int,
        steps: int,
        guidance: float | Guidance | None,
    ) -> Iterator[Tensor]:
        """Audio latents (1, Da, n) of a long video; a window is conditioned on the end of the one before.

        The last `EDGE` frames of a window are dropped, for lack of context. Latents are carried from
        window to window: decoding and encoding them would raise the loudness by several dB each time.
        """
        rate, length = spec.clip.frames_per_second, spec.clip.frames
        context = max(1, min(round(CONTEXT * rate), (length - EDGE) // 2))
        if length - EDGE <= context:
            raise InputError(
                f"{self.source}: its clips of {length} frames are too short for windows of audio"
            )
        z, first, begins = None, 0, 0  # the window before: its latents, its first frame and first latent
        while z is None or first + length - EDGE < frames_over(seconds, rate):
            given, task, known = None, FOLEY, 0
            if z is not None:
                first, seed = first + length - EDGE - context, seed + SEED_STEP
                at = round(first * spec.clip.sample_rate / (rate * spec.hop))
                known = begins + z.shape[2] - at
                given = pad(z[..., -known:], (0, spec.audio - known))
                task, begins = replace(FOLEY, audio=until(known * spec.hop / spec.clip.sample_rate)), at
            video = self._encode_video(frames_at(first / rate, spec.clip))
            z = self._sample_latents([prompt], spec, task, Latents(video, given), seed, steps, guidance).audio
            assert z is not None
            z = z[..., : round((length - EDGE) * spec.clip.sample_rate / (rate * spec.hop))]
            yield z[..., known:]

    def _decode_windows(
        self, latents: Iterator[Tensor], spec: LatentSpec, total: int, count: int
    ) -> Iterator[Tensor]:
        """Decode a stream of audio latents (1, Da, n) to `total` samples in pieces of `count` latents.

        A piece is decoded with `MARGIN` more latents on both sides, for the decoder's edges, and fades into
        the next one with equal power: phases are estimated for each piece alone.
        """
        fade = round(FADE * spec.clip.sample_rate)
        up = torch.sin(torch.linspace(0, math.pi / 2, fade))
        z, before, done = next(latents), 0, 0  # `before`: latents of `z` that are decoded already
        tail: Tensor | None = None
        while done < total:
            while z.shape[2] - before < count + MARGIN and (more := next(latents, None)) is not None:
                z = torch.cat([z, more], 2)
            part = z[..., max(0, before - MARGIN) : before + count + MARGIN]
            frames = math.floor(
                part.shape[2] * spec.hop * spec.clip.frames_per_second / spec.clip.sample_rate
            )
            lasting = replace(spec.clip, seconds=frames / spec.clip.frames_per_second)
            with torch.no_grad(), autocast_if_faster(self.device):
                wave = self.audio_codec.decode(part, lasting)[0].float().cpu()
            wave = wave[:, min(before, MARGIN) * spec.hop :]
            if tail is not None:
                wave[:, :fade] = wave[:, :fade] * up + tail * up.flip(0)
            size = min(count * spec.hop, total - done)
            tail = wave[:, size : size + fade]
            yield wave[:, :size]
            done += size
            z, before = z[..., max(0, before + count - MARGIN) :], min(before + count, MARGIN)

    def describe(self, clip: Clip) -> str:
        """A caption of a clip from what `video_detector` finds; "" where it finds nothing, or is absent.

        The detector receives what the generator receives: the center of the frames, at the training size.
        """
        if self.video_detector is None:
            return ""
        if self.is_out_of_distribution(clip):
            _warn_once(
                "this video looks unlike what the model was trained on: no caption is made of it, and its "
                "audio is generated without a prompt (--prompt gives one)"
            )
            return ""
        frames = frames_for(clip, self._clip_spec(clip.seconds))
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
        spec = self._spec(clip.wave.shape[1] / clip.sample_rate, size)
        given = Latents(None, self._encode_audio(wave_for(clip, spec.clip)))
        made = self._generate([prompt], spec, VISUALIZE, given, seed, steps, guidance, num_candidates)[0]
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
        spec = self._spec(seconds, size)
        first = self._encode_video(frames_for(image, spec.clip.still))  # (1, Dv, 1, h, w)
        video = torch.cat([first, torch.zeros_like(first).expand(-1, -1, spec.video[0] - 1, -1, -1)], 2)
        return self._generate([prompt], spec, ANIMATE, Latents(video, None), seed, steps, guidance)[0]

    def image(
        self,
        prompt: str,
        seed: int = 0,
        size: tuple[int, int] | None = None,
        steps: int = STEPS,
        guidance: float | Guidance | None = None,
    ) -> Clip:
        """One image from text."""
        spec = self._spec(1 / self.spec.frames_per_second, size)
        return self._generate([prompt], spec, IMAGE, Latents(), seed, steps, guidance)[0]

    def audio(
        self,
        prompt: str,
        seconds: float | None = None,
        seed: int = 0,
        steps: int = STEPS,
        guidance: float | Guidance | None = None,
    ) -> Clip:
        """Audio alone from text."""
        return self._generate([prompt], self._spec(seconds, None), AUDIO, Latents(), seed, steps, guidance)[0]

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
        spec = self._spec(clip.seconds, size)
        given = Latents(
            None if clip.frames is None else self._encode_video(frames_for(clip, spec.clip)),
            None if clip.wave is None else self._encode_audio(wave_for(clip, spec.clip)),
        )
        video, audio = (
            None if latents is None else everything if keep == name else nothing
            for name, latents in zip(KEPT, given, strict=True)
        )
        made = self._generate(
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
        spec = self._spec(self.spec.seconds, size)
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
                self._encode_video(pad_with_last(last_frames, spec.clip.frames)),
                self._encode_audio(pad_with_last(last_wave, spec.clip.samples)),
            )
            task = Task("extend", until(known / rate), until(known / rate))
            made = self._generate([prompt], spec, task, given, seed, steps, guidance)[0]
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

    def task_guidance(self, task: str, **changes: Any) -> Guidance:
        """The default guidance of a task for the generator itself, with `changes` of fields of `Guidance`."""
        return replace(default_guidance(task, reward=self.sync_model is not None), **changes)

    def separate(self, clip: Clip, regions: Sequence[Region]) -> Stems:
        """The stem of each region and, last, of off-screen audio; they add up to the clip's audio."""
        return separation.separate(self.part("separator"), clip, regions)

    @torch.no_grad()
    def _generate(
        self,
        prompts: Sequence[str],
        spec: LatentSpec,
        task: Task,
        given: Latents,
        seed: int,
        steps: int,
        guidance: float | Guidance | None,
        num_candidates: int | None = None,
    ) -> list[Clip]:
        """Clips of `spec`, one for each prompt: `_sample_latents`, decoded."""
        latents = self._sample_latents(prompts, spec, task, given, seed, steps, guidance, num_candidates)
        with autocast_if_faster(self.device):
            frames, wave = (  # (B, 3, T, H, W), (B, A, N)
                [None] * len(prompts) if each is None else codec.decode(each, spec.clip).float().cpu()
                for each, codec in zip(latents, (self.video_codec, self.audio_codec), strict=True)
            )
        rates = spec.clip.frames_per_second, spec.clip.sample_rate
        return [Clip(*each, *rates) for each in zip(frames, wave, strict=True)]

    @torch.no_grad()
    def _sample_latents(
        self,
        prompts: Sequence[str],
        spec: LatentSpec,
        task: Task,
        given: Latents,
        seed: int,
        steps: int,
        guidance: float | Guidance | None,
        num_candidates: int | None = None,
    ) -> Latents:
        """Latents of clips of `spec`, one for each prompt, the best of `num_candidates`.

        Candidate k of a clip is row `seed` of an endless batch with the seed k.
        """
        num_candidates = NUM_CANDIDATES.get(task.name, 1) if num_candidates is None else num_candidates
        for name, count in (("steps", steps), ("num_candidates", num_candidates)):
            if count < 1:
                raise InputError(f"{name} is {count}; it must be at least 1")
        student = self.student if guidance is None and task.name in STUDENT_TASKS else None
        if guidance is None:
            guidance = default_guidance(task.name, student is not None, self.sync_model is not None)
            if not isinstance(self.generator, JointDiT):  # a gradient of a large model takes too much memory
                guidance = replace(guidance, sync_scale=0.0)
        elif not isinstance(guidance, Guidance):
            guidance = self.task_guidance(task.name, guidance_scale=guidance)
        for prompt in prompts:
            self._check_prompt(prompt)
        model, reward_fn = self.part("generator"), None
        if self.sync_model is not None:
            audio_given = task.audio is everything
            reward_fn = sync_reward(
                self.sync_model, self.video_codec, self.audio_codec, spec.clip, audio_given
            )
        # A video model of one level per clip denoises all frames together.
        lead = FIRST_FRAME_LEAD.get(task.name, 0) if getattr(model, "levels", "token") != "clip" else 0
        with autocast_if_faster(self.device):
            candidates = [
                generate(
                    model, prompts, spec, given, task, steps=steps, guidance=guidance, seed=candidate,
                    first_row=seed, student=student, reward_fn=reward_fn,
                    first_frame_lead=round(lead * steps), on_step_end=self.on_step_end,
                )
                for candidate in range(num_candidates if model.coupling.cross_modal else 1)
            ]  # fmt: skip
            return candidates[0] if len(candidates) == 1 else rerank(model, prompts, spec, candidates, seed)

    def _check_prompt(self, prompt: str) -> None:
        """Warn of words of a prompt that the model was not trained with."""
        text = self.part("generator").text
        tokens, unknown = text.check(prompt)
        if tokens > text.length:
            _warn_once(f"a prompt of {tokens} tokens: the first {text.length} are used, the rest is cut")
        named = [place for place in PLACES if re.search(rf"\b{place}", prompt.lower())]
        if self.places and (never := [place for place in named if place not in self.places]):
            shown = ", ".join(self.places)
            _warn_once(f"the model was not trained on a {' or a '.join(never)}; its places are: {shown}")
        if self.vocabulary is not None:
            unknown = [word for word in words_of(prompt) if word not in self.vocabulary]
        if unknown:
            known = VOCABULARY if self.vocabulary is None else self.vocabulary
            words = ", ".join(_with_suggestion(word, known) for word in unknown[:MAX_WORDS])
            more = f" and {len(unknown) - MAX_WORDS} more" if len(unknown) > MAX_WORDS else ""
            if not _WARNED_OF_WORDS:  # once per process, not for each prompt of a list
                _WARNED_OF_WORDS.append(prompt)
                log.warning("words that the model was not trained with: %s%s", words, more)

    @torch.no_grad()
    def _encode_video(self, frames: Tensor) -> Tensor:
        """(3, T, H, W) -> latents (1, Dv, t, h, w)."""
        with autocast_if_faster(self.device):
            return self.video_codec.encode(frames[None].to(self.device))

    @torch.no_grad()
    def _encode_audio(self, wave: Tensor) -> Tensor:
        """(A, N) -> latents (1, Da, l)."""
        with autocast_if_faster(self.device):
            return self.audio_codec.encode(wave[None].to(self.device))

    def _spec(self, seconds: float | None, size: tuple[int, int] | None) -> LatentSpec:
        """At least `seconds` long, in whole frames; by default as long as the training clips."""
        seconds = self.spec.seconds if seconds is None else seconds
        for part in ("generator", "video_codec", "audio_codec"):
            self.part(part)
        height, width = self.spec.size if size is None else size
        if seconds > MAX_LENGTH * self.spec.seconds or (height, width) != self.spec.size:
            trained = f"{self.spec.seconds:g} s of {self.spec.width} x {self.spec.height}"
            _warn_once(
                f"{seconds:g} s of {width} x {height}: trained on clips of {trained}; expect lower quality"
            )
        clip = replace(self._clip_spec(seconds), height=height, width=width)
        if clip.frames * height * width > MAX_PIXELS:
            raise InputError(
                f"{clip.frames} frames of {width} x {height}: more than {MAX_PIXELS:,} pixels in all"
            )
        video, audio = self.video_codec, self.audio_codec
        return LatentSpec(clip, video.time_stride, video.space_stride, audio.hop)

    def _clip_spec(self, seconds: float) -> ClipSpec:
        """The spec of the training clips, but at least `seconds` long, in whole frames."""
        exact = replace(self.spec, seconds=seconds)  # refuses an invalid length
        return replace(exact, seconds=frames_over(seconds, exact.frames_per_second) / exact.frames_per_second)

    def decode_video(self, video: Tensor, spec: ClipSpec) -> Clip:
        """Video latents (Dv, t, h, w) as a silent clip of `spec`."""
        with torch.no_grad(), autocast_if_faster(self.device):
            frames = self.part("video_codec").decode(video[None].to(self.device), spec)
        return Clip(frames[0].float().cpu(), None, spec.frames_per_second, spec.sample_rate)

    def part(self, name: str) -> Any:
        """One of the models.

        Raises:
            InputError: it is absent.
        """
        part = getattr(self, name)
        if part is None:
            raise InputError(f"{self.source}: holds no {name}, which is needed here")
        return part

    @property
    def device(self) -> torch.device:
        """The device of the models."""
        return next(next(iter(self.parts().values())).parameters()).device

    def __repr__(self) -> str:
        return f"Simulator({self.source}: {', '.join(self.parts())}; clips of {self.spec})"

    def parts(self) -> dict[str, nn.Module]:
        """The models that are present, by name."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: part for name, part in found.items() if isinstance(part, nn.Module)}
