"""Faults that video generators make, put into clips of the world with a strength from 0 (none) to 1.

Each is made from layers: what is seen of one thing, and the frames without it. `noticeable` is the strength
from which on one notices it in frames that are shown three times as large (experiments/012-visible-faults).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from avsim.errors import InputError
from avsim.world.flat.layers import STICK, Layers

LEAST_SHOWN = 0.005  # share of the frame that a thing must cover to be spoilt: 20 pixels of 64 x 64
MOVED = 0.5  # least overlap with where it was at first of a thing that stays
RAMP = 0.3  # s in which a fault comes


@dataclass(frozen=True, eq=False)
class Target:
    """The layer that a fault spoils. Shapes: frames and without (3, T, H, W), mask (T, H, W)."""

    frames: Tensor
    without: Tensor
    mask: Tensor
    frames_per_second: float

    @cached_property
    def shown(self) -> Tensor:
        """The layer's colour times its mask, (3, T, H, W), without its shadow."""
        return (self.frames - (1 - self.mask) * self.without) * (self.mask > 0.02)

    @cached_property
    def width(self) -> float:
        """Of a square as large as what is seen of it, in pixels."""
        areas = self.mask.sum((1, 2))
        return math.sqrt(float(areas[areas > 0].median()))

    @property
    def extent(self) -> float:
        """Pixels that grow with the root of its width: small things are spoilt relatively more."""
        return math.sqrt(self.width * self.mask.shape[1] / 64)

    def since(self, first: int) -> Tensor:
        """0 before frame `first`, rising to 1 within `RAMP`, (T, 1, 1)."""
        frames = torch.arange(self.mask.shape[0]) - first + 1
        return (frames / max(1.0, RAMP * self.frames_per_second)).clamp(0, 1)[:, None, None]

    def over(self, shown: Tensor, mask: Tensor) -> Tensor:
        """The frames without the layer, and instead of it another `shown` (3, T, H, W), `mask` (T, H, W)."""
        return self.without * (1 - mask) + shown

    def beside(self, shown: Tensor, mask: Tensor, opacity: Tensor | float) -> Tensor:
        """The frames with something more (3, T, H, W), (T, H, W), behind the layer itself."""
        return self.frames + opacity * (1 - self.mask) * (shown - mask * self.frames)


Spoil = Callable[[Target, float, Generator], Tensor]


@dataclass(frozen=True)
class Fault:
    """A fault, which layers it can befall, and from which strength on a person notices it."""

    name: str
    spoil: Spoil
    noticeable: float
    stick: bool = False  # of the stick alone
    moving: bool = False  # of what moves alone
    whole: bool = False  # of the whole frame, whatever is in it


def spoilt(layers: Layers, rate: float, fault: Fault, strength: float, draws: Generator) -> Tensor | None:
    """The frames (3, T, H, W) with a fault; None where nothing in the scene can have it.

    Args:
        layers: of the scene.
        rate: frames per second.
        fault: one of `FAULTS`.
        strength: from 0, where frames stay as they are, to 1.
        draws: of which layer, when, where to.

    Raises:
        InputError: a strength outside [0, 1].
    """
    if not 0 <= strength <= 1:
        raise InputError(f"the strength of a fault is {strength}; expected 0 to 1")
    if fault.whole:
        empty = torch.zeros(layers.frames.shape[1:])
        target = Target(layers.frames, layers.frames, empty, rate)
    else:
        able = able_layers(layers, fault)
        if not able:
            return None
        chosen = able[int(torch.randint(len(able), (), generator=draws))]
        target = Target(layers.frames, layers.without(chosen), layers.masks[chosen], rate)
    if strength == 0:
        return layers.frames
    return fault.spoil(target, strength, draws).clamp(0, 1)


def able_layers(layers: Layers, fault: Fault) -> list[int]:
    """The layers that the fault can befall: large enough, at first and mostly."""
    able = []
    for number, (name, mask) in enumerate(zip(layers.names, layers.masks, strict=True)):
        areas = mask.mean((1, 2))
        large = areas >= LEAST_SHOWN / (3 if name == STICK else 1)
        if not (large[0] and large.float().mean() >= 0.5) or fault.stick != (name == STICK):
            continue
        if not fault.moving or _moves(mask):
            able.append(number)
    return able


def _moves(mask: Tensor) -> bool:
    """Whether it leaves, in some frame, most of where it was at first."""
    overlap = (mask * mask[0]).sum((1, 2)) / mask[0].square().sum()
    return bool(overlap.min() < MOVED)


def ghost(target: Target, strength: float, draws: Generator) -> Tensor:
    """It stays, half transparent, where it was at first."""
    shown, mask = target.shown[:, :1], target.mask[:1]
    later = (torch.arange(target.mask.shape[0]) > 0)[:, None, None]
    return target.beside(shown, mask, strength * later)


def fade(target: Target, strength: float, draws: Generator) -> Tensor:
    """It becomes transparent."""
    gone = strength * target.since(_moment(target, draws))
    return target.without + (1 - gone) * (target.frames - target.without)


def smear(target: Target, strength: float, draws: Generator) -> Tensor:
    """It is drawn out along a line."""
    length = 2.2 * strength * target.extent
    turn = _angle(draws)
    kernel = _line(length * math.cos(turn), length * math.sin(turn))
    return _filtered(target, kernel, target.since(_moment(target, draws)))


def flicker(target: Target, strength: float, draws: Generator) -> Tensor:
    """It is more transparent in some frames than in others."""
    count = target.mask.shape[0]
    weak = torch.rand(count, generator=draws) < 0.4
    weak[2::5] = True  # so that no clip is left out
    weak[0::5] = False
    return target.without + (1 - strength * weak.float())[:, None, None] * (target.frames - target.without)


def double(target: Target, strength: float, draws: Generator) -> Tensor:
    """A second one appears beside it and moves along."""
    far = (0.9 + 0.6 * float(torch.rand((), generator=draws))) * target.width * 1.3
    first, turn = _moment(target, draws), _angle(draws)
    best, most = target.frames, -1.0
    for step in range(8):  # to the side where most of it can be seen
        angle = turn + step * math.pi / 4
        down, right = round(far * math.sin(angle)), round(far * math.cos(angle))
        mask = _moved(target.mask, down, right)
        free = float((mask * (1 - target.mask)).sum())
        if free > most + 1e-3:
            opacity = strength * target.since(first)
            best, most = target.beside(_moved(target.shown, down, right), mask, opacity), free
    return best


def blur(target: Target, strength: float, draws: Generator) -> Tensor:
    """It loses its edge."""
    early = bool(torch.rand((), generator=draws) < 0.5)
    first = _moment(target, draws)
    kernel = _bell(max(0.5 * strength * target.extent, 1e-3))
    return _filtered(target, kernel, torch.ones(()) if early else target.since(first))


def replaced(target: Target, strength: float, draws: Generator) -> Tensor:
    """A part of it, from one side on, is the backdrop: all of it at strength 1."""
    turn, first = _angle(draws), _moment(target, draws)
    height, width = target.mask.shape[1:]
    rows, columns = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    along = (rows * math.sin(turn) + columns * math.cos(turn)).expand_as(target.mask)  # (T, H, W)
    inside = target.mask > 0.02
    low = along.where(inside, torch.inf).amin((1, 2), keepdim=True) - 0.5
    high = along.where(inside, -torch.inf).amax((1, 2), keepdim=True) + 0.5
    cut = (low + strength * (high - low) - along + 0.5).clamp(0, 1) * (target.since(first) > 0)
    cut = cut.where(inside.any(2).any(1)[:, None, None], 0.0)
    return target.frames + cut * (target.without - target.frames)


def haze(target: Target, strength: float, draws: Generator) -> Tensor:
    """A stick is a haze."""
    height = target.mask.shape[1]
    kernel = _bell(max(0.06 * strength * height, 1e-3))
    shown, mask = _blurred(target, kernel)
    opacity = 1 - 0.4 * strength
    return target.over(opacity * shown, opacity * mask)


def pop(target: Target, strength: float, draws: Generator) -> Tensor:
    """All later frames differ from frame 0 in brightness, colour, contrast or texture."""
    change = 0.3 * strength * _field(target.frames, draws)
    later = (torch.arange(target.mask.shape[0]) > 0)[:, None, None]
    return target.frames + later * change


def pulse(target: Target, strength: float, draws: Generator) -> Tensor:
    """Every few frames the picture jumps in brightness, colour, contrast or texture, and comes back."""
    period = int(torch.tensor([3, 4, 4, 4, 5, 6])[torch.randint(6, (), generator=draws)])
    since = (torch.arange(target.mask.shape[0]) - 1) % period
    weight = torch.tensor([1.0, 0.4])[since.clamp(max=1)] * (since < 2)
    weight[0] = 0.0
    return target.frames + 0.3 * strength * weight[:, None, None] * _field(target.frames, draws)


FAULTS: dict[str, Fault] = {
    each.name: each
    for each in (
        Fault("ghost left behind", ghost, 0.3, moving=True),
        Fault("fades", fade, 0.3),
        Fault("smears", smear, 0.4),
        Fault("flickers", flicker, 0.4),
        Fault("doubles", double, 0.3),
        Fault("loses its edge", blur, 0.4),
        Fault("replaced by the backdrop", replaced, 0.4),
        Fault("haze in place of a stick", haze, 0.3, stick=True),
        Fault("pop after frame 0", pop, 0.2, whole=True),
        Fault("pulse every few frames", pulse, 0.2, whole=True),
    )
}


def _moment(target: Target, draws: Generator) -> int:
    """The frame from which on something is wrong: after the first, in the first half."""
    return 1 + int(torch.randint(max(1, target.mask.shape[0] // 2), (), generator=draws))


def _angle(draws: Generator) -> float:
    return 2 * math.pi * float(torch.rand((), generator=draws))


def _moved(values: Tensor, down: int, right: int) -> Tensor:
    """Values (..., H, W) moved by whole pixels, zeros behind them."""
    height, width = values.shape[-2:]
    padded = F.pad(values, (max(right, 0), max(-right, 0), max(down, 0), max(-down, 0)))
    top, left = max(-down, 0), max(-right, 0)
    return padded[..., top : top + height, left : left + width]


def _field(frames: Tensor, draws: Generator) -> Tensor:
    """A change of a whole picture, (3, 1, H, W), a third of 1 at its largest or so."""
    how = int(torch.randint(4, (), generator=draws))
    sign = 1.0 if torch.rand((), generator=draws) < 0.5 else -1.0
    if how == 0:  # brightness
        change = torch.full((3, 1, 1, 1), 0.6 * sign)
    elif how == 1:  # colour
        colour = torch.randn(3, generator=draws)
        change = (0.8 * colour / colour.abs().max())[:, None, None, None]
    elif how == 2:  # contrast
        first = frames[:, :1]
        centred = first - first.mean((1, 2, 3), keepdim=True)
        change = 2.0 * sign * centred
    else:  # texture, as latents of 8 x 8 pixels that shift
        height, width = frames.shape[2:]
        coarse = torch.randn(1, 3, max(2, height // 8), max(2, width // 8), generator=draws)
        smooth = F.interpolate(coarse, (height, width), mode="bicubic", align_corners=False)
        change = 0.3 * (smooth / smooth.square().mean().sqrt())[0][:, None]
    return change.expand(3, 1, *frames.shape[2:])


def _line(right: float, down: float) -> Tensor:
    """A kernel (k, k) that averages along a line."""
    half = max(1, math.ceil(max(abs(right), abs(down)) / 2))
    kernel = torch.zeros(2 * half + 1, 2 * half + 1)
    steps = torch.linspace(-0.5, 0.5, 8 * half + 1)
    for step in steps.tolist():
        x, y = half + step * right, half + step * down
        column, row = math.floor(x), math.floor(y)
        for i, j in ((0, 0), (0, 1), (1, 0), (1, 1)):
            share = (1 - abs(y - row - i)) * (1 - abs(x - column - j))
            kernel[min(row + i, 2 * half), min(column + j, 2 * half)] += share
    return kernel / kernel.sum()


def _bell(deviation: float) -> Tensor:
    """A Gaussian kernel (k, k), `deviation` in pixels."""
    half = max(1, math.ceil(2.5 * deviation))
    line = (-0.5 * (torch.arange(-half, half + 1) / deviation).square()).exp()
    return (line[:, None] * line) / line.sum() ** 2


def _blurred(target: Target, kernel: Tensor) -> tuple[Tensor, Tensor]:
    """What is seen of the layer, and its mask, filtered by an odd square kernel."""
    both = torch.cat([target.shown.transpose(0, 1), target.mask[:, None]], 1)  # (T, 4, H, W)
    half = kernel.shape[0] // 2
    filtered = F.conv2d(both, kernel.expand(4, 1, *kernel.shape), padding=half, groups=4)
    return filtered[:, :3].transpose(0, 1), filtered[:, 3]


def _filtered(target: Target, kernel: Tensor, share: Tensor) -> Tensor:
    """The frames, of whose layer a share (T, 1, 1) is filtered."""
    shown, mask = _blurred(target, kernel)
    return target.frames + share * (target.over(shown, mask) - target.frames)
