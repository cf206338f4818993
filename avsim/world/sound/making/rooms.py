"""Makes avsim/world/rooms.safetensors: `python -m avsim.world.sound.making.rooms`.

Needs pyroomacoustics; takes about 15 s. For each room, the walls' absorption is fitted until the T20 of its
image sources in the octaves about 500 and 1000 Hz is within 2 % of the stated reverberation time (their
positions are jittered by up to 8 cm, against the flutter of a perfect box); then the reflections of the first
tenth of a second or two are kept.
"""

import numpy as np
import pyroomacoustics as pra
from safetensors.numpy import save_file

from avsim.world.sound.rooms import FILE, ROOMS, STORED, Room

Array = np.ndarray

DISTANCE = 2.5  # m from source to listener
EARS = 0.3  # m between the two microphones
COARSE = 16_000  # Hz, for fitting
SPEED = 343.0  # m/s


def main() -> None:
    """Fit and keep all rooms."""
    kept = {}
    for place, room in ROOMS.items():
        absorption, t20 = fitted(room)
        kept[place] = reflections(room, absorption).astype(np.float16)
        print(f"{place}: absorption {absorption:.3f}, T20 {t20:.2f} s, stated {room.rt60} s")
    save_file(kept, FILE)


def fitted(room: Room) -> tuple[float, float]:
    """The absorption with which the room's T20 is as stated, and that T20 in s."""
    exponent = 0.161 * np.prod(room.size) / (_surface(room) * room.rt60)  # Eyring's, to begin with
    for _ in range(8):
        absorption = 1 - float(np.exp(-exponent))
        ears = images(room, absorption, COARSE, 0.7 * room.rt60)
        t20 = float(
            np.mean([pra.experimental.measure_rt60(_middle(ear), COARSE, decay_db=20) for ear in ears])
        )
        if abs(t20 / room.rt60 - 1) < 0.02:
            break
        exponent *= t20 / room.rt60
    return absorption, t20


def reflections(room: Room, absorption: float) -> Array:
    """What reaches the listener after the direct sound, from its emission on, (2, n) at STORED Hz."""
    out = images(room, absorption, STORED, room.early)
    direct = round((DISTANCE / SPEED + 0.0012) * STORED)
    out[:, :direct] = 0.0
    spectrum = np.fft.rfft(out, 2 * out.shape[1])
    scale = np.fft.rfftfreq(2 * out.shape[1], 1 / STORED)
    spectrum *= np.interp(scale, [20.0, 60.0], [0.0, 1.0])  # image sources all have one sign, and so a DC
    out = np.fft.irfft(spectrum)[:, : out.shape[1]]
    out[:, :direct] = 0.0
    return out


def images(room: Room, absorption: float, rate: int, seconds: float) -> Array:
    """All images' arrivals within `seconds` of the emission, (2, n), as amplitudes re those at 1 m."""
    order = int(np.ceil(seconds * SPEED * np.sqrt(np.sum(1 / np.square(room.size)))))
    pra.constants.set("c", SPEED)
    np.random.seed(0)  # pyroomacoustics jitters by numpy's global generator
    box = pra.ShoeBox(
        room.size,
        fs=rate,
        materials=pra.Material(absorption),
        max_order=order,
        use_rand_ism=True,
        max_rand_disp=0.08,
    )
    length, width, _ = room.size
    x, y, z = 0.31 * length, 0.44 * width, 1.3
    box.add_source([x + DISTANCE, y, 1.1])
    box.add_microphone_array(np.array([[x, x], [y + EARS / 2, y - EARS / 2], [z, z]]))
    box.compute_rir()
    lag = pra.constants.get("frac_delay_length") // 2
    count = round(seconds * rate)
    return np.stack([np.pad(ear[0][lag:], (0, count))[:count] for ear in box.rir])


def _middle(response: Array) -> Array:
    """The two octaves about 500 and 1000 Hz alone, (n,)."""
    octaves = np.log2(np.maximum(np.fft.rfftfreq(2 * len(response), 1 / COARSE), 1.0) / 707.0)
    band = np.cos(np.pi / 2 * np.clip(np.abs(octaves) - 0.5, 0.0, 1.0))
    return np.fft.irfft(np.fft.rfft(response, 2 * len(response)) * band)[: len(response)]


def _surface(room: Room) -> float:
    a, b, c = room.size
    return 2 * (a * b + b * c + a * c)


if __name__ == "__main__":
    main()
