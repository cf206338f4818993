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
from avsim.devices import quickest
from avsim.diffusion import (
    ANIMATE,
    FOLEY,
    IMAGE,
    JOINT,
    SOUND,
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
from avsim.diffusion.generate import STEPS
from avsim.diffusion.rerank import rerank
from avsim.diffusion.sync_reward import timing
from avsim.errors import InputError
from avsim.perception.captioner import described
from avsim.perception.detect import view
from avsim.perception.sync import OffsetJudge
from avsim.perception.video_detector import PictureDetector
from avsim.separation.separator import Separator
from avsim.simulator.defaults import AHEAD, BY_THE_STUDENT, TAKES, usual
from avsim.simulator.resize import (
    frames_for,
    frames_over,
    held_to,
    joined,
    picture_for,
    sound_for,
    wave_for,
)
from avsim.world.captions.parsing import VOCABULARY
from avsim.world.sound.rooms import PLACES

if TYPE_CHECKING:
    from avsim.evaluation.ood import Familiar

log = logging.getLogger("avsim")
STRENGTH = 0.6  # of an edit: how much noise it starts from
MOST = 2**28  # pixels of a clip, all its frames' together: 3 GiB as they are decoded
LONGER = 1.5  # times the training's length, from where on a clip is called long
CONTEXT = 0.5  # seconds of sound before a window that it is conditioned on
EDGE = 2  # frames
CHUNK = 4  # windows of a long sound that are decoded at once
MARGIN = 8  # audio latents beside them, which keep the decoder's edges out
FADE = 0.02  # seconds in which one such piece fades into the next
MENTIONED = 8  # unknown words of a prompt that a warning names
FAR = 1_000_003  # between the seeds of an extension's windows, that those of clips may count on
LOUDER = 10 ** (2.5 / 20)  # than a clip, its extension at most: 3 dB less what a join adds
STRANGE = 1.5  # times the distance that true clips hardly ever have: foreign; full worlds lie below
FAINT = 1e-3  # RMS of a sound that is hardly one
KEPT = ("picture", "sound")  # what an edit may leave as it is


def _with_a_guess(word: str, known: frozenset[str]) -> str:
    """A strange word, and the known one that may be meant."""
    near = get_close_matches(word, known, n=1, cutoff=0.75)
    return word[:40] + (f" ({near[0]}?)" if near else "")


_WARNED_OF_WORDS: list[str] = []  # the prompt that a warning was given for


@lru_cache(maxsize=64)
def _say_once(message: str) -> None:
    """Warn, once in a process: many clips are drawn with the same wishes."""
    log.warning(message)


@dataclass(frozen=True, eq=False)
class Simulator:
    """A generator with the codecs of its latents, a separator, eyes, or whichever of them a folder holds.

    Every method that draws takes a `seed`; the same seed gives the same frames and samples, bit for bit, on
    one machine (on a GPU as far as the gradients do that `Guidance.sync_scale` needs). `guidance` is a
    `Guidance`, or the scale of the text alone beside the task's usual others (`guided`). Where it isn't told,
    the `student` draws what it was taught (`BY_THE_STUDENT`): one pass for the generator's several. Where a
    picture is drawn beside a sound, `offset` is the critic that `Guidance.sync_scale` turns it to.
    """

    generator: Any = None  # a JointDiT or a JointGenerator
    video_codec: Any = None  # a codecs.protocol.VideoCodec
    audio_codec: Any = None  # a codecs.protocol.AudioCodec
    separator: Separator | None = None
    spec: ClipSpec = ClipSpec()  # the clips that the generator was trained on: its rates, its size
    source: str = "this simulator"  # for messages
    student: JointDiT | None = None  # of the generator: draws in one pass as that draws guided
    picture: PictureDetector | None = None  # eyes: what they see is told where a prompt isn't
    places: tuple[str, ...] = ()  # of the world, that the generator was shown; none: it isn't known which
    familiar: Familiar | None = None  # how what `picture` was trained on looks to it; none: unknown
    offset: OffsetJudge | None = None  # while a picture is drawn, it says what would be in time
    vocabulary: frozenset[str] | None = None  # words of the generator's training captions; None: unknown

    def generate(
        self,
        prompt: str,
        seconds: float | None = None,
        seed: int = 0,
        size: tuple[int, int] | None = None,
        steps: int = STEPS,
        guidance: float | Guidance | None = None,
    ) -> Clip:
        """A clip with sound from words; by default as long as the training clips, of their size (H, W)."""
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
        """A clip for each prompt, drawn together; clip i has the seed `seed` + i."""
        spec = self._spec(seconds, size)
        return self._draw(prompts, spec, JOINT, Latents(), seed, steps, guidance)

    def foley(
        self,
        clip: Clip,
        prompt: str | None = None,
        seed: int = 0,
        size: tuple[int, int] | None = None,
        steps: int = STEPS,
        guidance: float | Guidance | None = None,
    ) -> Clip:
        """A sound for a picture, whose frames come back untouched; the model receives a copy at `size`.

        Without a prompt the caption is what is detected, `described`; "" is unconditional. A clip longer than
        `LONGER` times the training's gets its sound in windows, as `soundtrack` makes them.
        """
        if clip.frames is None:
            raise InputError("foley needs a clip with a picture; it has sound alone")
        prompt = self.described(clip) if prompt is None else prompt
        rate = clip.frames_per_second

        def picture(start: float, spec: ClipSpec) -> Tensor:
            first = round(start * rate)
            last = math.ceil((start + spec.end) * rate) + 1
            return frames_for(Clip(clip.frames[:, first:last], None, rate), spec)  # type: ignore[index]

        pieces = self.soundtrack(picture, clip.seconds, prompt, seed, size, steps, guidance)
        return sound_for(clip.frames, rate, torch.cat([*pieces], 1), self.spec.sample_rate)

    def soundtrack(
        self,
        picture: Callable[[float, ClipSpec], Tensor],
        seconds: float,
        prompt: str = "",
        seed: int = 0,
        size: tuple[int, int] | None = None,
        steps: int = STEPS,
        guidance: float | Guidance | None = None,
    ) -> Iterator[Tensor]:
        """The sound of a picture of any length, in pieces (A, n) that follow one another.

        Beyond `LONGER` times the training's length the model runs in windows as long as its training clips.
        A window is conditioned on the last `CONTEXT` seconds of the sound so far: every moment is generated
        once, and no onset is doubled. Memory does not grow with the length.

        Args:
            picture: (start in seconds, spec) -> frames (3, T, H, W) of `spec` from `start` on.
            seconds: length of the picture.
            prompt: a caption of the whole.
            seed: of the first window; the others derive theirs from it.
            size: (H, W) of the copy that the model receives; that of its training clips by default.
            steps: of the sampler.
            guidance: as everywhere.

        Raises:
            InputError: a length that is not positive.
        """
        if seconds <= LONGER * self.spec.seconds:
            spec = self._spec(seconds, size)
            given = Latents(self._seen(picture(0.0, spec.clip)), None)
            drawn = self._draw([prompt], spec, FOLEY, given, seed, steps, guidance)[0]
            assert drawn.wave is not None
            yield drawn.wave
            return
        spec = self._spec(self.spec.seconds, size)
        rate = spec.clip.frames_per_second
        latents = self._window_latents(picture, seconds, spec, prompt, seed, steps, guidance)
        total = samples_of(frames_over(seconds, rate), rate, spec.clip.sample_rate)
        yield from self._decode_windows(latents, spec, total, CHUNK * spec.audio)

    def _window_latents(
        self,
        picture: Callable[[float, ClipSpec], Tensor],
        seconds: float,
        spec: LatentSpec,
        prompt: str,
        seed: int,
        steps: int,
        guidance: float | Guidance | None,
    ) -> Iterator[Tensor]:
        """Audio latents (1, Da, n) of a long picture; a window is conditioned on the end of the one before.

        The last `EDGE` frames of a window are dropped: they lack what follows. Latents are carried from
        window to window: decoding and encoding them would raise their level by several dB each time.
        """
        rate, length = spec.clip.frames_per_second, spec.clip.frames
        context = max(1, min(round(CONTEXT * rate), (length - EDGE) // 2))
        if length - EDGE <= context:
            raise InputError(
                f"{self.source}: its clips of {length} frames are too short for windows of sound"
            )
        z, first, begins = None, 0, 0  # the window before: its latents, its first frame and first latent
        while z is None or first + length - EDGE < frames_over(seconds, rate):
            given, task, known = None, FOLEY, 0
            if z is not None:
                first, seed = first + length - EDGE - context, seed + FAR
                at = round(first * spec.clip.sample_rate / (rate * spec.hop))
                known = begins + z.shape[2] - at
                given = pad(z[..., -known:], (0, spec.audio - known))
                task, begins = replace(FOLEY, audio=until(known * spec.hop / spec.clip.sample_rate)), at
            seen = self._seen(picture(first / rate, spec.clip))
            z = self._sample([prompt], spec, task, Latents(seen, given), seed, steps, guidance).audio
            assert z is not None
            z = z[..., : round((length - EDGE) * spec.clip.sample_rate / (rate * spec.hop))]
            yield z[..., known:]

    def _decode_windows(
        self, latents: Iterator[Tensor], spec: LatentSpec, total: int, count: int
    ) -> Iterator[Tensor]:
        """Decode audio latents (1, Da, n), as they come, to `total` samples in pieces of `count` latents.

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
            with torch.no_grad(), quickest(self.device):
                wave = self.audio_codec.decode(part, lasting)[0].float().cpu()
            wave = wave[:, min(before, MARGIN) * spec.hop :]
            if tail is not None:
                wave[:, :fade] = wave[:, :fade] * up + tail * up.flip(0)
            size = min(count * spec.hop, total - done)
            tail = wave[:, size : size + fade]
            yield wave[:, :size]
            done += size
            z, before = z[..., max(0, before + count - MARGIN) :], min(before + count, MARGIN)

    def described(self, clip: Clip) -> str:
        """What `picture` sees in a clip, as a caption; "" where it sees nothing, or isn't here.

        It sees what the generator is given: the middle of the picture, at the size of the training's.
        """
        if self.picture is None:
            return ""
        if self.is_foreign(clip):
            _say_once(
                "this film looks unlike what the model was trained on: no caption is made of it, its sound "
                "is drawn without a prompt (--prompt gives one)"
            )
            return ""
        seen = frames_for(clip, self._lasting(clip.seconds))
        rate = self.spec.frames_per_second
        return described(view(self.picture, Clip(seen, None, rate)), rate)

    def is_foreign(self, clip: Clip) -> bool:
        """Whether the beginning of a clip looks unlike what `picture` was trained on; False where unknown."""
        if self.familiar is None or self.picture is None:
            return False
        from avsim.evaluation.embeddings import picture_features

        seen = Clip(frames_for(clip, self.spec), None, self.spec.frames_per_second)
        return self.familiar.trouble([picture_features(self.picture)(seen)], STRANGE) is not None

    def visualize(
        self,
        clip: Clip,
        prompt: str = "",
        seed: int = 0,
        size: tuple[int, int] | None = None,
        steps: int = STEPS,
        guidance: float | Guidance | None = None,
        takes: int | None = None,
    ) -> Clip:
        """A picture for a sound, whose samples come back untouched.

        Of so many `takes` (by default `TAKES`) it is the one in which the generator hears that sound best.
        """
        if clip.wave is None:
            raise InputError("visualize needs a clip with sound; its wave is None")
        spec = self._spec(clip.wave.shape[1] / clip.sample_rate, size)
        given = Latents(None, self._heard(wave_for(clip, spec.clip)))
        drawn = self._draw([prompt], spec, VISUALIZE, given, seed, steps, guidance, takes)[0]
        assert drawn.frames is not None
        return picture_for(drawn.frames, drawn.frames_per_second, clip.wave, clip.sample_rate)

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
        """A clip with sound that begins with the first frame of `image`, which comes back decoded."""
        spec = self._spec(seconds, size)
        first = self._seen(frames_for(image, spec.clip.still))  # (1, Dv, 1, h, w)
        video = torch.cat([first, torch.zeros_like(first).expand(-1, -1, spec.video[0] - 1, -1, -1)], 2)
        return self._draw([prompt], spec, ANIMATE, Latents(video, None), seed, steps, guidance)[0]

    def image(
        self,
        prompt: str,
        seed: int = 0,
        size: tuple[int, int] | None = None,
        steps: int = STEPS,
        guidance: float | Guidance | None = None,
    ) -> Clip:
        """One frame from words, without sound."""
        spec = self._spec(1 / self.spec.frames_per_second, size)
        return self._draw([prompt], spec, IMAGE, Latents(), seed, steps, guidance)[0]

    def sound(
        self,
        prompt: str,
        seconds: float | None = None,
        seed: int = 0,
        steps: int = STEPS,
        guidance: float | Guidance | None = None,
    ) -> Clip:
        """A sound from words, without a picture."""
        return self._draw([prompt], self._spec(seconds, None), SOUND, Latents(), seed, steps, guidance)[0]

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
        """A clip drawn anew, as `prompt` says, from a copy of which `strength`, in (0, 1], is noise.

        `keep` is "picture" or "sound", which then comes back untouched; what the clip lacks, the edit lacks.

        Raises:
            InputError: a strength out of range, an unknown `keep`, or one of a clip that has not both.
        """
        if not 0 < strength <= 1:
            raise InputError(f"strength is {strength:g}; an edit's lies above 0 and at most at 1")
        if keep is not None and (keep not in KEPT or clip.frames is None or clip.wave is None):
            raise InputError(
                f"keep is {keep!r}; it is {' or '.join(KEPT)}, of a clip that has both: here is "
                f"{'no picture' if clip.frames is None else 'no sound' if clip.wave is None else 'both'}"
            )
        spec = self._spec(clip.seconds, size)
        given = Latents(
            None if clip.frames is None else self._seen(frames_for(clip, spec.clip)),
            None if clip.wave is None else self._heard(wave_for(clip, spec.clip)),
        )
        video, audio = (
            None if latents is None else everything if keep == name else nothing
            for name, latents in zip(KEPT, given, strict=True)
        )
        drawn = self._draw(
            [prompt], spec, Task("edit", video, audio, strength), given, seed, steps, guidance
        )[0]
        if keep == "picture":
            return sound_for(clip.frames, clip.frames_per_second, drawn.wave, drawn.sample_rate)  # type: ignore[arg-type]
        if keep == "sound":
            return picture_for(drawn.frames, drawn.frames_per_second, clip.wave, clip.sample_rate)  # type: ignore[arg-type]
        return drawn

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
        """A clip that goes on for `seconds` (by default a training clip's), window by window of that length.

        A window begins with what was seen and heard last, half of it long. The clip comes back at the
        generator's rates, channels and size; at those it is untouched. Without a prompt, or where the clip
        looks unlike the training's and the prompt asks for nothing loud, what goes on is at most `LOUDER`
        than the clip.

        Raises:
            InputError: a clip without picture or sound, `seconds` of less than a frame, or a generator of
                clips so short that a window has no room for anything new.
        """
        if clip.frames is None or clip.wave is None:
            missing = "picture" if clip.frames is None else "sound"
            raise InputError(f"extend needs a clip with both picture and sound; its {missing} is missing")
        spec = self._spec(self.spec.seconds, size)
        seconds = self.spec.seconds if seconds is None else seconds
        own = replace(spec.clip, seconds=clip.seconds)
        frames, wave = frames_for(clip, own), wave_for(clip, own)
        rate, stride = own.frames_per_second, spec.time_stride
        if not (math.isfinite(seconds) and seconds * rate >= 1 - 1e-6):
            raise InputError(f"extend by {seconds:g} s: expected a frame or more, {1 / rate:g} s")
        wanted = frames.shape[1] + frames_over(seconds, rate)
        limit = self._limit(clip, wave, prompt)
        longest = 1 + spec.clip.frames // 2  # that a window is given
        if longest >= spec.clip.frames:
            raise InputError(
                f"{self.source}: its clips of {spec.clip.frames} frames are too short to extend by"
            )
        while frames.shape[1] < wanted:
            seed += FAR
            known = 1 + stride * ((min(frames.shape[1], longest) - 1) // stride)  # frames, of whole latents
            seen, heard = frames[:, -known:], wave[:, -samples_of(known, rate, own.sample_rate) :]
            given = Latents(
                self._seen(held_to(seen, spec.clip.frames)), self._heard(held_to(heard, spec.clip.samples))
            )
            task = Task("extend", until(known / rate), until(known / rate))
            drawn = self._draw([prompt], spec, task, given, seed, steps, guidance)[0]
            assert drawn.frames is not None and drawn.wave is not None
            drawn_on = drawn.wave[:, heard.shape[1] :]
            gain = min(1.0, limit / max(float(drawn_on.square().mean().sqrt()), 1e-9))
            new = joined(heard, gain * drawn.wave, own.sample_rate)[:, heard.shape[1] :]
            frames, wave = torch.cat([frames, drawn.frames[:, known:]], 1), torch.cat([wave, new], 1)
            wave = wave_for(
                Clip(None, wave, rate, own.sample_rate), replace(own, seconds=frames.shape[1] / rate)
            )
        return Clip.fitted(frames[:, :wanted], wave, rate, own.sample_rate)

    def _limit(self, clip: Clip, wave: Tensor, prompt: str) -> float:
        """The largest RMS that an extension of a clip may have, `wave` being its sound."""
        foreign = self.is_foreign(clip)
        level = float(wave.square().mean().sqrt())
        asked = re.search(r"\b(loud|hard)", prompt.lower()) if foreign else prompt
        if asked or (level < FAINT and not foreign):  # what was silent so far may begin to sound
            return math.inf
        return max(level, FAINT) * LOUDER

    def guided(self, task: str, **told: Any) -> Guidance:
        """A task's usual guidance but for what is `told`, fields of a `Guidance`: by it no student draws."""
        return replace(usual(task, judge=self.offset is not None), **told)

    def separate(self, clip: Clip, regions: Sequence[Region]) -> Stems:
        """The stem of each region and, last, of what is off screen; they add up to the clip's sound."""
        return separation.separate(self.part("separator"), clip, regions)

    @torch.no_grad()
    def _draw(
        self,
        prompts: Sequence[str],
        spec: LatentSpec,
        task: Task,
        given: Latents,
        seed: int,
        steps: int,
        guidance: float | Guidance | None,
        takes: int | None = None,
    ) -> list[Clip]:
        """Clips of `spec`, one for each prompt, the best heard of some `takes`: `_sample`, decoded."""
        latents = self._sample(prompts, spec, task, given, seed, steps, guidance, takes)
        with quickest(self.device):
            frames, wave = (  # (B, 3, T, H, W), (B, A, N)
                [None] * len(prompts) if each is None else codec.decode(each, spec.clip).float().cpu()
                for each, codec in zip(latents, (self.video_codec, self.audio_codec), strict=True)
            )
        rates = spec.clip.frames_per_second, spec.clip.sample_rate
        return [Clip(*each, *rates) for each in zip(frames, wave, strict=True)]

    @torch.no_grad()
    def _sample(
        self,
        prompts: Sequence[str],
        spec: LatentSpec,
        task: Task,
        given: Latents,
        seed: int,
        steps: int,
        guidance: float | Guidance | None,
        takes: int | None = None,
    ) -> Latents:
        """Latents of clips of `spec`, one for each prompt, the best heard of some `takes`.

        A clip's seed is its row in one endless batch of seed 0; further takes are that of seed 1 and on.
        """
        takes = TAKES.get(task.name, 1) if takes is None else takes
        for name, count in (("steps", steps), ("takes", takes)):
            if count < 1:
                raise InputError(f"{name} is {count}; it must be at least 1")
        student = self.student if guidance is None and task.name in BY_THE_STUDENT else None
        if guidance is None:
            guidance = usual(task.name, student is not None, self.offset is not None)
            if not isinstance(self.generator, JointDiT):  # a gradient of a large model takes too much memory
                guidance = replace(guidance, sync_scale=0.0)
        elif not isinstance(guidance, Guidance):
            guidance = self.guided(task.name, guidance_scale=guidance)
        for prompt in prompts:
            self._look_at(prompt)
        model, critic = self.part("generator"), None
        if self.offset is not None:
            heard = task.audio is everything  # it stays
            critic = timing(self.offset, self.video_codec, self.audio_codec, spec.clip, heard)
        # A video model of one level per clip denoises all frames together.
        ahead = AHEAD.get(task.name, 0) if getattr(model, "levels", "token") != "clip" else 0
        with quickest(self.device):
            drawn = [
                generate(
                    model, prompts, spec, given, task, steps=steps, guidance=guidance, seed=take,
                    first_row=seed, student=student, critic=critic,
                    ahead=round(ahead * steps),
                )
                for take in range(takes if model.coupling.cross_modal else 1)
            ]  # fmt: skip
            return drawn[0] if len(drawn) == 1 else rerank(model, prompts, spec, drawn, seed)

    def _look_at(self, prompt: str) -> None:
        """Warn of what the text encoder can't make anything of."""
        text = self.part("generator").text
        tokens, unknown = text.check(prompt)
        if tokens > text.length:
            _say_once(f"a prompt of {tokens} tokens: the first {text.length} are read, the rest is cut")
        named = [place for place in PLACES if re.search(rf"\b{place}", prompt.lower())]
        if self.places and (never := [place for place in named if place not in self.places]):
            shown = ", ".join(self.places)
            _say_once(f"the model was never shown a {' or a '.join(never)}; its places are: {shown}")
        if self.vocabulary is not None:
            unknown = [word for word in words_of(prompt) if word not in self.vocabulary]
        if unknown:
            known = VOCABULARY if self.vocabulary is None else self.vocabulary
            words = ", ".join(_with_a_guess(word, known) for word in unknown[:MENTIONED])
            more = f" and {len(unknown) - MENTIONED} more" if len(unknown) > MENTIONED else ""
            if not _WARNED_OF_WORDS:  # once in a process: lists of prompts would warn at each
                _WARNED_OF_WORDS.append(prompt)
                log.warning("words that may mean nothing to the model: %s%s", words, more)

    @torch.no_grad()
    def _seen(self, frames: Tensor) -> Tensor:
        """(3, T, H, W) -> latents (1, Dv, t, h, w)."""
        with quickest(self.device):
            return self.video_codec.encode(frames[None].to(self.device))

    @torch.no_grad()
    def _heard(self, wave: Tensor) -> Tensor:
        """(A, N) -> latents (1, Da, l)."""
        with quickest(self.device):
            return self.audio_codec.encode(wave[None].to(self.device))

    def _spec(self, seconds: float | None, size: tuple[int, int] | None) -> LatentSpec:
        """At least `seconds` long, in whole frames; by default as long as the training clips."""
        seconds = self.spec.seconds if seconds is None else seconds
        for part in ("generator", "video_codec", "audio_codec"):
            self.part(part)
        height, width = self.spec.size if size is None else size
        if seconds > LONGER * self.spec.seconds or (height, width) != self.spec.size:
            trained = f"{self.spec.seconds:g} s of {self.spec.width} x {self.spec.height}"
            _say_once(
                f"asked for {seconds:g} s of {width} x {height}; trained on clips of {trained}: expect less"
            )
        clip = replace(self._lasting(seconds), height=height, width=width)
        if clip.frames * height * width > MOST:
            raise InputError(f"{clip.frames} frames of {width} x {height}: more than {MOST:,} pixels in all")
        video, audio = self.video_codec, self.audio_codec
        return LatentSpec(clip, video.time_stride, video.space_stride, audio.hop)

    def _lasting(self, seconds: float) -> ClipSpec:
        """The training's clips, but at least `seconds` long, in whole frames."""
        asked = replace(self.spec, seconds=seconds)  # which refuses what is no length
        return replace(asked, seconds=frames_over(seconds, asked.frames_per_second) / asked.frames_per_second)

    def shown(self, video: Tensor, spec: ClipSpec) -> Clip:
        """Latents of a picture (Dv, t, h, w) as a silent clip of `spec`."""
        with torch.no_grad(), quickest(self.device):
            frames = self.part("video_codec").decode(video[None].to(self.device), spec)
        return Clip(frames[0].float().cpu(), None, spec.frames_per_second, spec.sample_rate)

    def part(self, name: str) -> Any:
        """One of the models.

        Raises:
            InputError: it is not here.
        """
        part = getattr(self, name)
        if part is None:
            raise InputError(f"{self.source}: holds no {name}, which this needs")
        return part

    @property
    def device(self) -> torch.device:
        """Where the models are."""
        return next(next(iter(self.parts().values())).parameters()).device

    def __repr__(self) -> str:
        return f"Simulator({self.source}: {', '.join(self.parts())}; clips of {self.spec})"

    def parts(self) -> dict[str, nn.Module]:
        """The models that are here, by name."""
        found = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: part for name, part in found.items() if isinstance(part, nn.Module)}
