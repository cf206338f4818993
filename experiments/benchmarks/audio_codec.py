"""What an audio codec keeps of onsets: python audio_codec.py [CODEC ...] [--clips 48] [--true-phases]

F1 of librosa's onsets (within 50 ms) against the world's true contacts, of the raw audio and through each
(runs or folders; default "small"); log-spectral distance, and how far loudness and the difference between
sides are off. Held-out clips of `medium`, seed 4, split "test". With --true-phases also the raw audio's own
phases on the levels and sides that the codec has decoded: what phase retrieval costs.
"""

import argparse

import librosa
import torch
from rich.progress import track
from torch import Tensor

from avsim.cli import whole
from avsim.codecs.audio import AudioAutoencoder
from avsim.codecs.spectra import istft, stft
from avsim.codecs.stereo import spectra, waveform
from avsim.measures import log_spectral_distance
from avsim.weights import load_model, part_folder
from avsim.world import WorldDataset

TOLERANCE = 0.05  # s
DRAWS = 2000  # of the bootstrap over clips


def counts(wave: Tensor, rate: int, contacts: list[float]) -> Tensor:
    """Onsets that are contacts, onsets, contacts: (3,), of a wave (A, N)."""
    left = list(librosa.onset.onset_detect(y=wave.mean(0).numpy(), sr=rate, hop_length=256, units="time"))
    found, right = len(left), 0
    for moment in contacts:
        near = min(left, key=lambda onset: abs(onset - moment), default=None)
        if near is not None and abs(near - moment) <= TOLERANCE:
            left.remove(near)
            right += 1
    return torch.tensor([right, found, len(contacts)], dtype=torch.float64)


def f1(rows: Tensor) -> Tensor:
    """Counts (..., clips, 3) -> F1 over all clips (...)."""
    right, found, there = rows.sum(-2).unbind(-1)
    return 2 * right / (found + there).clamp(min=1)


def levels(wave: Tensor) -> Tensor:
    """Level of each channel in dB, (A, N) -> (A,)."""
    return 10 * (wave.square().mean(1) + 1e-10).log10()


def through(codec: AudioAutoencoder, wave: Tensor, true_phases: bool) -> Tensor:
    """A wave (A, N) as the codec's levels and sides with its own phases, or those of the wave."""
    found = codec.decoder(codec.latent_norm.denormalise(codec.encode(wave[None])))
    own = (codec.n_fft, codec.stride, codec.window)
    if true_phases:
        whole = torch.nn.functional.pad(wave, (0, -wave.shape[1] % codec.hop))
        right = stft(whole[None], *own)[:, 1]
        return istft(spectra(found, torch.sgn(right)), *own)[0, :, : wave.shape[1]]
    return waveform(found, *own)[0, :, : wave.shape[1]]


@torch.inference_mode()
def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("codecs", nargs="*", default=["small"])
    parser.add_argument("--clips", type=whole(1), default=48)
    parser.add_argument("--true-phases", action="store_true")
    arguments = parser.parse_args()
    codecs = {
        name: load_model(part_folder(name, "audio_codec"), expected=AudioAutoencoder).eval()
        for name in arguments.codecs
    }
    world = WorldDataset("medium", 4, "test")
    onsets: dict[str, list[Tensor]] = {}
    others: dict[str, list[Tensor]] = {}
    for index in track(range(arguments.clips)):
        clip, truth = world[index]
        wave, contacts = clip.wave, [contact.seconds for contact in truth.contacts]
        made = {"raw": wave}
        for name, codec in codecs.items():
            made[name] = through(codec, wave, False)
            if arguments.true_phases:
                made[f"{name}, true phases"] = through(codec, wave, True)
        for name, each in made.items():
            onsets.setdefault(name, []).append(counts(each, clip.sample_rate, contacts))
            off = levels(each) - levels(wave)
            others.setdefault(name, []).append(
                torch.stack([
                    log_spectral_distance(wave, each).mean(), off.mean().abs(), (off[0] - off[1]).abs(),
                ])
            )  # fmt: skip
    chosen = torch.randint(
        arguments.clips, (DRAWS, arguments.clips), generator=torch.Generator().manual_seed(0)
    )
    raw = torch.stack(onsets["raw"])
    print(
        "| | onset F1 | of raw's (95 %) | precision | LSD, loudness, sides: dB off |\n|---|---|---|---|---|"
    )
    for name, rows in onsets.items():
        own = torch.stack(rows)
        ratios = (f1(own[chosen]) / f1(raw[chosen])).nanquantile(
            torch.tensor([0.025, 0.975], dtype=torch.float64)
        )
        right, found, _ = own.sum(0).tolist()
        off = ", ".join(f"{value:.2f}" for value in torch.stack(others[name]).double().mean(0).tolist())
        print(
            f"| {name} | {f1(own):.3f} | {f1(own) / f1(raw):.2f} ({ratios[0]:.2f} … {ratios[1]:.2f}) "
            f"| {right / max(found, 1):.2f} | {off} |"
        )


if __name__ == "__main__":
    main()
