"""Ground truth of a clip: its things, their events and times, and the stem of each."""

import dataclasses
import json
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from torch import Tensor

from avsim.errors import InputError
from avsim.files import atomic
from avsim.untrusted import MALFORMED, read_json
from avsim.world.captions.facts import Facts
from avsim.world.flat.actor import Contact
from avsim.world.flat.scene import Scene
from avsim.world.plain import typed
from avsim.world.sound.phrases import Note
from avsim.world.sound.rooms import RT60

AMBIENCE = "ambience"


@dataclass(frozen=True)
class Thing:
    """One thing that is seen."""

    name: str  # unique within the clip, such as "large gold metal ball"
    kind: str  # such as "ball", "bell", "cello"
    material: str  # "" for players
    colour: str  # "" for players
    size: str  # "small" | "medium" | "large"; "" for players
    metres: float  # its width
    side: str  # "left" | "middle" | "right": where it is seen at first


@dataclass(frozen=True)
class Captions:
    """True captions of a clip."""

    short: str
    full: str
    things: tuple[str, ...]  # of each thing that is seen, such as "the large gold metal ball on the left"


@dataclass(frozen=True)
class Score:
    """What a player plays."""

    thing: str  # its name; "off screen" where it isn't seen
    notes: tuple[Note, ...]


@dataclass(frozen=True, eq=False)
class Truth:
    """Everything that is known of a clip.

    A thing that leaves the frame keeps its stem; what is never in view is in the stem "off screen".

    Shapes: stems {name: (A, N)}, one for each thing, "ambience" and "off screen", whose sum is the clip's
    wave; masks (things, T, H, W) in [0, 1], the part of each pixel that shows the thing, and amodal ones,
    that would show it if nothing stood before it; camera (T, 3), x, y and height of what is seen, in metres.
    Contacts are in order of time and lie within the clip.
    """

    scene: Scene
    things: tuple[Thing, ...]
    stems: dict[str, Tensor]
    masks: Tensor
    amodal: Tensor
    contacts: tuple[Contact, ...]
    scores: tuple[Score, ...]
    camera: Tensor
    facts: Facts
    captions: Captions

    @property
    def caption(self) -> str:
        """The short one."""
        return self.captions.short

    @property
    def place(self) -> str:
        """Where it happens."""
        return self.scene.place

    @property
    def rt60(self) -> float:
        """The place's stated reverberation time, s; 0 in the open air."""
        return RT60[self.scene.place]

    @property
    def cuts(self) -> tuple[float, ...]:
        """When the camera cuts, s."""
        return self.scene.camera.cuts

    @property
    def boxes(self) -> Tensor:
        """Around what is visible, (things, T, 4): left, top, right, bottom in pixels; 0 where nothing is."""
        return boxes(self.masks)

    def save(self, folder: str | Path) -> Path:
        """Write truth.json and truth.safetensors into a folder, which is made.

        Raises:
            InputError: the folder can't be written.
        """
        folder = Path(folder)
        plain = {
            "scene": self.scene.plain(),
            "things": [dataclasses.asdict(thing) for thing in self.things],
            "stems": list(self.stems),
            "contacts": [dataclasses.asdict(contact) for contact in self.contacts],
            "scores": [dataclasses.asdict(score) for score in self.scores],
            "facts": dataclasses.asdict(self.facts),
            "captions": dataclasses.asdict(self.captions),
        }
        arrays = {
            "stems": torch.stack(list(self.stems.values())),
            "masks": self.masks,
            "amodal": self.amodal,
            "camera": self.camera,
        }
        with atomic(folder / "truth.safetensors") as path:
            safetensors.torch.save_file({name: array.contiguous() for name, array in arrays.items()}, path)
        with atomic(folder / "truth.json") as path:
            path.write_text(json.dumps(plain, indent=1))
        return folder

    @classmethod
    def load(cls, folder: str | Path) -> "Truth":
        """Read what `save` wrote.

        Raises:
            InputError: it isn't there, or isn't what `save` writes.
        """
        folder = Path(folder)
        try:
            plain = read_json(folder / "truth.json", dict)
            arrays = safetensors.torch.load_file(folder / "truth.safetensors")
            return cls(
                scene=Scene.of(plain["scene"]),
                things=typed(tuple[Thing, ...], plain["things"], "things"),
                stems=dict(zip(plain["stems"], arrays["stems"], strict=True)),
                masks=arrays["masks"],
                amodal=arrays["amodal"],
                contacts=typed(tuple[Contact, ...], plain["contacts"], "contacts"),
                scores=typed(tuple[Score, ...], plain["scores"], "scores"),
                camera=arrays["camera"],
                facts=typed(Facts, plain["facts"], "facts"),
                captions=typed(Captions, plain["captions"], "captions"),
            )
        except (OSError, safetensors.SafetensorError, *MALFORMED) as error:
            raise InputError(f"{folder}: no truth of a clip can be read here ({error})") from error


def boxes(masks: Tensor) -> Tensor:
    """Boxes around what is more than half covered, (..., H, W) -> (..., 4): left, top, right, bottom."""
    covered = masks > 0.5
    sides = []
    for along in (-2, -1):  # columns, then rows
        line = covered.any(along)
        first = line.float().argmax(-1)
        last = line.shape[-1] - line.flip(-1).float().argmax(-1)
        sides.append(torch.stack([first, last], -1))
    found = torch.stack([sides[0][..., 0], sides[1][..., 0], sides[0][..., 1], sides[1][..., 1]], -1)
    return found * covered.any(-1).any(-1)[..., None]
