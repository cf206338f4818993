"""HDR videos (PQ, HLG) as SDR ones, by a tone map of our own: PyAV's FFmpeg lacks zscale."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


# HDR's transfer functions: the light of a code in [0, 1], as a share of diffuse white (203 cd/m2, BT.2408).
def _pq(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """SMPTE ST 2084."""
    power = code ** (1 / 78.84375)
    return (
        1e4
        / 203
        * (np.maximum(power - 0.8359375, 0) / (18.8515625 - 18.6875 * power)) ** (1 / 0.1593017578125)
    )


def _hlg(code: NDArray[np.float64]) -> NDArray[np.float64]:
    """ARIB STD-B67 on a display of 1000 cd/m2."""
    scene = np.where(code <= 0.5, code**2 / 3, (np.exp((code - 0.55991073) / 0.17883277) + 0.28466892) / 12)
    return 1e3 / 203 * scene**1.2


HDR = {16: _pq, 18: _hlg}
_TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]])
_KNEE = 0.8  # of diffuse white: light above it is compressed


def tone_mapped(image: NDArray[np.uint8], transfer: int) -> NDArray[np.uint8]:
    """An HDR video (3, H, W) of BT.2020 as one of BT.709 and sRGB; diffuse white comes out at 0.96."""
    light = HDR[transfer](np.arange(256) / 255)[image]
    light = np.maximum(np.einsum("ij,jhw->ihw", _TO_BT709, light), 0)
    soft = _KNEE + (1 - _KNEE) * (1 - np.exp((_KNEE - light) / (1 - _KNEE)))
    light = np.where(light > _KNEE, soft, light)
    code = np.where(light > 0.0031308, 1.055 * light ** (1 / 2.4) - 0.055, 12.92 * light)
    return np.round(255 * code.clip(0, 1)).astype(np.uint8)
