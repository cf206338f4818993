"""What things are made of: how they look, how they bounce, how they sound.

A solid elastic sphere of radius R rings at f = ka c / (2 pi R), where c is the speed of shear waves and ka
are the roots of Lamb's frequency equation ("On the vibrations of an elastic sphere", Proc. London Math. Soc.
13, 1882); `SPHERE` holds the lowest of them at Poisson's ratio 1/4. A mode decays at the rate pi f tan(phi),
where tan(phi) is the material's internal friction, nearly independent of frequency (Wildes & Richards,
"Recovering material properties from sound", 1988; Klatzky, Pai & Krotkov, "Perception of material from
contact sounds", Presence 9, 2000).

Speeds of shear are the handbook's (steel 3200, glass 3400, fired clay 2300, beech 1100 m/s), but rubber's,
whose low thump is that of a filled ball and was set by ear. Internal friction is raised to what makes a ball
on a floor die away within a second or two. `PITCH` lowers all of it together, so that metal balls of a hand's
size are heard inside the 8 kHz that 16 kHz sound can hold: bigger is lower, and the ratios of partials and
materials, stay true.
"""

from dataclasses import dataclass

SPHERE = (2.6399, 3.4245, 3.9163, 4.4400, 4.8653, 5.0093, 6.0327, 6.4544)  # ka of the partials
PITCH = 1 / 6  # of every partial, against the solid sphere's


@dataclass(frozen=True)
class Material:
    """The constants of one material."""

    shear_speed: float  # m/s: pitch
    friction: float  # tan(phi): decay
    contact: float  # seconds that an impact at 1 m/s lasts on a ball of 0.1 m: the longer, the duller
    level: float  # loudness against the others', 0 to 1
    restitution: float  # speed after a bounce over speed before it
    diffuse: float  # of the light, how much is scattered
    gloss: float  # strength of the highlight
    sharpness: float  # of the highlight (Blinn-Phong exponent)


MATERIALS = {
    "metal": Material(3200, 0.0025, 0.00004, 1.00, 0.62, 0.55, 0.95, 40.0),
    "glass": Material(3400, 0.0060, 0.00003, 0.80, 0.55, 0.35, 0.90, 90.0),
    "ceramic": Material(2300, 0.0120, 0.00006, 0.85, 0.45, 0.90, 0.60, 60.0),
    "wood": Material(1100, 0.0350, 0.00020, 0.75, 0.50, 0.95, 0.10, 8.0),
    "rubber": Material(330, 0.1200, 0.00120, 0.70, 0.80, 0.90, 0.05, 4.0),
}

SIZES = {"small": (0.11, 0.14), "medium": (0.165, 0.195), "large": (0.225, 0.265)}  # radius, m

COLOURS = {  # sRGB, each far from the pale walls and floors
    "red": (0.85, 0.12, 0.12),
    "orange": (0.95, 0.50, 0.05),
    "yellow": (0.93, 0.80, 0.08),
    "green": (0.10, 0.58, 0.20),
    "blue": (0.12, 0.28, 0.85),
    "purple": (0.52, 0.16, 0.68),
    "black": (0.10, 0.10, 0.12),
    "brown": (0.42, 0.24, 0.10),
}
