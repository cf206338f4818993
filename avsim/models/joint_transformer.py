"""Audio for any video model: a video backbone, an audio tower beside it, and fusion at chosen blocks."""

import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from avsim.clip import LatentSpec
from avsim.errors import InputError
from avsim.models.audio_tower import AudioTower, audio_rotary
from avsim.models.backbone import VideoBackbone, as_backbone
from avsim.models.fusion import CrossAttentionFusion, video_rotary


class JointTransformer(nn.Module):
    """Predicts the velocities of video and audio latents together.

    Args:
        video: the backbone.
        audio: the tower; its blocks are spread evenly over the backbone's.
        fusion: the fusion modules, by the index of the backbone's block that each follows.

    Raises:
        InputError: a fusion after a block that the backbone doesn't have.
    """

    def __init__(
        self, video: VideoBackbone, audio: AudioTower, fusion: Mapping[int, CrossAttentionFusion]
    ) -> None:
        super().__init__()
        for index in fusion:
            if not 0 <= index < video.depth:
                raise InputError(
                    f"fusion after block {index}; the video transformer has {video.depth} blocks"
                )
        self.video: Any = video
        self.audio = audio
        self.fusion = nn.ModuleDict({str(index): module for index, module in sorted(fusion.items())})
        self.gradient_checkpointing = False  # of the tower and the fusion
        self.video_frozen = False
        self.video_source: Path | None = None  # the folder that holds the transformer's files
        self.lora: Any = None  # a models.lora.LoRA of the video transformer

    def forward(
        self,
        z_video: Tensor | None,  # (B, C, t, h, w) noisy latents
        z_audio: Tensor | None,  # (B, Da, l)
        s_video: Tensor | None,  # (B,) or (B, t) noise levels, 0 clean, 1 noise
        s_audio: Tensor | None,  # (B,) or (B, l)
        text: Tensor,  # (B, S, E) embeddings
        spec: LatentSpec,
        text_mask: Tensor | None = None,  # (B, S) bool, which of them are not padding; None: all
    ) -> tuple[Tensor | None, Tensor | None]:
        """Both velocities, v = noise - x, in the latents' shapes; None for a modality that is absent.

        Raises:
            InputError: shapes that disagree with the spec, the models or each other.
        """
        self._check(z_video, z_audio, s_video, s_audio, text, spec, text_mask)
        if z_audio is None:
            assert z_video is not None and s_video is not None
            state = self._begin(z_video, s_video, text, spec, text_mask)
            for i in range(self.video.depth):
                state = self.video.block(i, state)  # (B, Lv, Wv)
            return self.video.end(state).to(z_video.dtype), None

        assert s_audio is not None
        weight = self.audio.embed.weight
        mask = None if text_mask is None else text_mask[:, None, None].bool()  # (B, 1, 1, S)
        words = self.audio.text(text.to(weight.dtype))  # (B, S, Wa)
        levels = self.audio.token_levels(s_audio)  # (B, K)
        level_embedding, modulation = self.audio.level(levels)  # (B, K, Wa), (B, K, 6, Wa)
        a_rotary = audio_rotary(spec, self.audio.patch, self.audio.head_width, weight.device)
        a = self.audio.embed(self.audio.tokens(z_audio).to(weight.dtype)).float()  # (B, La, Wa)
        shared = modulation, a_rotary, words, mask

        if z_video is None:
            for block in self.audio.blocks:
                a = self._run(block, a, *shared)  # (B, La, Wa)
            return None, self.audio.velocity(a, level_embedding, z_audio, s_audio)

        assert s_video is not None
        v_rotary = video_rotary(spec, tuple(self.video.patch), self.audio.head_width, weight.device)
        state = self._begin(z_video, s_video, text, spec, text_mask)  # state.hidden (B, Lv, Wv)
        for i in range(self.video.depth):
            state = self.video.block(i, state)  # (B, Lv, Wv)
            for block in self.audio.blocks[self._blocks_at(i)]:
                a = self._run(block, a, *shared)  # (B, La, Wa)
            if str(i) in self.fusion:
                hidden, a = self._run(self.fusion[str(i)], state.hidden, a, v_rotary, a_rotary)
                state = replace(state, hidden=hidden)
        v_video = self.video.end(state).to(z_video.dtype)  # (B, C, t, h, w)
        return v_video, self.audio.velocity(a, level_embedding, z_audio, s_audio)  # (B, Da, l)

    def velocity(
        self,
        z_video: Tensor | None,
        z_audio: Tensor | None,
        s_video: Tensor | None,
        s_audio: Tensor | None,
        text: Tensor,
        spec: LatentSpec,
        text_mask: Tensor | None = None,
    ) -> tuple[Tensor | None, Tensor | None]:
        """Velocities v = noise - x of noisy latents, in their shapes; None for a modality that is absent.

        Shapes: z_video (B, C, t, h, w); z_audio (B, Da, l); s_video (B,) or (B, t) and s_audio (B,) or
        (B, l), noise levels from 0, clean, to 1, noise; text (B, S, E) embeddings; text_mask (B, S) bool,
        which of them are not padding. `spec` has the rates and strides of the latents.

        Raises:
            InputError: shapes that disagree with the spec, the models or each other.
        """
        return self(z_video, z_audio, s_video, s_audio, text, spec, text_mask)

    def freeze_video(self) -> None:
        """Train the tower and the fusion alone: no weight of the video transformer gets a gradient."""
        for weight in self.video.parameters():
            weight.requires_grad_(False)
            weight.grad = None  # an optimizer would still apply an existing one
        self.video_frozen = True
        self.video.eval()

    def train(self, mode: bool = True) -> "JointTransformer":
        """Training mode; a frozen video transformer stays in evaluation mode."""
        super().train(mode)
        if self.video_frozen:
            self.video.eval()
        return self

    def enable_gradient_checkpointing(self) -> None:
        """Recompute blocks in the backward pass, to save memory."""
        self.gradient_checkpointing = True
        transformer: Any = getattr(self.video, "transformer", None)
        if hasattr(transformer, "enable_gradient_checkpointing"):
            transformer.enable_gradient_checkpointing()

    def save(self, folder: str | Path) -> Path:
        """Write the model to `folder`, from which `avsim.models.load_joint` reads it.

        Raises:
            InputError: a video model without an adapter, or a folder that can't be written.
        """
        from avsim.models.joint_folder import save_joint

        return save_joint(self, folder)

    def _begin(self, z: Tensor, s: Tensor, text: Tensor, spec: LatentSpec, text_mask: Tensor | None) -> Any:
        if text_mask is None:
            return self.video.begin(z, s, text, spec)
        return self.video.begin(z, s, text, spec, text_mask)

    def _blocks_at(self, index: int) -> slice:
        """The tower's blocks that run beside block `index` of the backbone."""
        depth, own = self.video.depth, self.audio.depth
        return slice(index * own // depth, (index + 1) * own // depth)

    def _run(self, module: nn.Module, *arguments: Any) -> Any:
        if self.gradient_checkpointing and torch.is_grad_enabled():
            return checkpoint(module, *arguments, use_reentrant=False)
        return module(*arguments)

    def _check(
        self,
        z_video: Tensor | None,
        z_audio: Tensor | None,
        s_video: Tensor | None,
        s_audio: Tensor | None,
        text: Tensor,
        spec: LatentSpec,
        text_mask: Tensor | None,
    ) -> None:
        if z_video is None and z_audio is None:
            raise InputError("both latents are None; give video latents, audio latents or both")
        width = self.audio.text_width
        if text.ndim != 3 or text.shape[2] != width or text.shape[1] == 0:
            raise InputError(f"text is {tuple(text.shape)}; expected embeddings (B, S, {width})")
        rows = len(text)
        if text_mask is not None and text_mask.shape != text.shape[:2]:
            raise InputError(f"text_mask is {tuple(text_mask.shape)}; expected {tuple(text.shape[:2])}")
        channels: Any = getattr(self.video, "channels", None if z_video is None else z_video.shape[1])
        sizes: tuple[tuple[str, Tensor | None, Tensor | None, tuple[int, ...]], ...] = (
            ("video", z_video, s_video, (rows, channels, *spec.video)),
            ("audio", z_audio, s_audio, (rows, self.audio.channels, spec.audio)),
        )
        for name, z, s, shape in sizes:
            if z is None:
                continue
            if tuple(z.shape) != shape:
                raise InputError(
                    f"z_{name} is {tuple(z.shape)}; {rows} texts, the model and the spec need {shape}"
                )
            if s is None or tuple(s.shape) not in ((rows,), (rows, shape[2])):
                found = None if s is None else tuple(s.shape)
                raise InputError(f"s_{name} is {found}; expected ({rows},) or ({rows}, {shape[2]})")


def add_audio(
    transformer: Any,
    audio_channels: int = 64,
    width: int = 1024,
    every: int = 1,
    depth: int | None = None,
    heads: int | None = None,
    patch: int = 1,
    to_video: bool = True,
    to_audio: bool = True,
    text_width: int | None = None,
) -> JointTransformer:
    """An audio tower beside a video transformer, fused every N blocks; at first the video is unchanged.

    Args:
        transformer: of diffusers (Wan, LTX-Video), avsim's own, or any `VideoBackbone`.
        audio_channels: Da of the audio codec.
        width: hidden width of the tower, a multiple of 8.
        every: N, the interval of fusion: after blocks 0, N, 2 N, ...
        depth: number of the tower's blocks; None: as many as the video transformer has.
        heads: number of the tower's attention heads; None: heads about 64 wide.
        patch: audio latents per token.
        to_video: whether video attends to audio; False keeps the video model's output unchanged.
        to_audio: whether audio attends to video.
        text_width: E of the text embeddings, for a backbone without `text_width`.

    Raises:
        InputError: an unknown architecture, or a size that can't be used.
    """
    video = as_backbone(transformer)
    if every < 1:
        raise InputError(f"every is {every}; it must be at least 1")
    text_width = text_width or getattr(video, "text_width", None)
    if text_width is None:
        raise InputError(f"{type(video).__name__} has no text_width; give add_audio(..., text_width=E)")
    depth = video.depth if depth is None else depth

    def parts() -> tuple[AudioTower, dict[int, CrossAttentionFusion]]:
        tower = AudioTower(audio_channels, text_width, width, depth, heads, patch)
        flags = to_video, to_audio
        return tower, {
            index: CrossAttentionFusion(video.width, width, tower.head_width, *flags)
            for index in range(0, video.depth, every)
        }

    with torch.device("meta"):  # takes no memory
        tower, fusion = parts()
    weights = [weight for part in (tower, *fusion.values()) for weight in part.parameters()]
    size = sum(weight.numel() * weight.element_size() for weight in weights)
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    if size > memory:
        raise InputError(
            f"an audio tower of width {width} and {depth} blocks with fusion needs {size / 2**30:,.0f} GiB; "
            f"this machine has {memory / 2**30:,.0f} GiB; take a smaller width or depth, or fuse less often"
        )
    model = JointTransformer(video, *parts())
    weight = next(iter(getattr(video, "parameters", lambda: iter(()))()), None)
    if weight is not None:
        model.audio.to(weight.device)
        model.fusion.to(weight.device)
    return model
