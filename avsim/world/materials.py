"""What things, floors and sticks are made of: how heavy, how hard, how bouncy, how long they ring.

Densities and speeds of shear waves are the handbook's (Kaye & Laby, Tables of Physical and Chemical
Constants), but rubber's, whose low thump is that of a filled body and was set by ear. Internal friction is
nearly the same at all frequencies and tells materials apart by ear (Wildes & Richards, "Recovering material
properties from sound", 1988; Klatzky, Pai & Krotkov, "Perception of material from contact sounds", Presence
9, 2000). It was set by ear, not taken from tables: so high that a thing on a floor dies away within a second
or two, then apart by factors of two to five from one material to the next (metal's was lowered for that,
those of ceramic and wood raised), until a random forest distinguished them by their sounds
(tests/world/test_telling.py).
"""

from dataclasses import dataclass

from avsim.errors import InputError


@dataclass(frozen=True)
class Substance:
    """The constants of one material."""

    density: float  # kg / m^3
    shear_speed: float  # m/s: pitch
    friction: float  # internal, tan(phi): decay
    contact: (
        float  # s that an impact at 1 m/s lasts between a 0.2 m thing of it and something rigid: brightness
    )
    level: float  # loudness against the others'
    bounce: float  # its factor of the restitution of a pair


SUBSTANCES = {
    "metal": Substance(7800, 3200, 0.0012, 0.00004, 0.70, 0.80),
    "glass": Substance(2500, 3400, 0.0060, 0.00003, 0.70, 0.75),
    "ceramic": Substance(2400, 2300, 0.0200, 0.00006, 0.80, 0.65),
    "wood": Substance(700, 1100, 0.0600, 0.00020, 1.00, 0.70),
    "rubber": Substance(1100, 330, 0.1200, 0.00120, 1.20, 0.95),
    "stone": Substance(2700, 2700, 0.0300, 0.00004, 0.80, 0.95),
    "carpet": Substance(300, 150, 0.3000, 0.00250, 0.90, 0.45),
    "grass": Substance(900, 120, 0.3000, 0.00400, 0.90, 0.30),
    "felt": Substance(200, 100, 0.3000, 0.00150, 0.50, 0.60),
    "skin": Substance(1000, 300, 0.0200, 0.00080, 0.90, 0.90),  # of a drum
}
MATERIALS = ("metal", "glass", "ceramic", "wood", "rubber")  # of bodies
FLOORS = ("stone", "wood", "metal", "carpet", "grass")
TIPS = ("wood", "rubber", "metal", "felt")  # of sticks


def substance(material: str) -> Substance:
    """The constants of a material.

    Raises:
        InputError: there is no such material.
    """
    if material not in SUBSTANCES:
        raise InputError(f"unknown material {material!r}; there are {', '.join(SUBSTANCES)}")
    return SUBSTANCES[material]


def restitution(one: str, other: str) -> float:
    """Speed of parting over speed of closing in, of a pair of materials."""
    return substance(one).bounce * substance(other).bounce


def contact_seconds(one: str, other: str, size: float, speed: float) -> float:
    """How long an impact lasts: Hertz, T = c (m^2 / (R E*^2 v))^(1/5) (Johnson, Contact Mechanics, 11.24).

    m grows as size^3 and R as size, so that T grows as size; 1 / E* is the sum of both compliances, so that
    T^(5/2) is the sum of what either would take against something rigid; and T falls as speed^(-1/5).

    Args:
        one: its material.
        other: the other's material.
        size: of what is struck or falls, m.
        speed: at which they close in, m/s.
    """
    both = (substance(one).contact ** 2.5 + substance(other).contact ** 2.5) ** 0.4
    return both * (size / 0.2) * max(speed, 0.01) ** -0.2
