"""Impacts ring as the equations say: partials, pushes, decays; louder, brighter, lower."""

import numpy as np
import pytest
from numpy.polynomial import legendre
from scipy.linalg import eigh
from scipy.optimize import brentq
from scipy.special import jn_zeros, spherical_jn
from scipy.stats import spearmanr

from avsim.world.flat.scene import SHAPES, TARGETS
from avsim.world.materials import FLOORS, MATERIALS, contact_seconds, restitution
from avsim.world.sound import impact as impacts
from avsim.world.sound.impact import body_modes, floor_modes, impact, ring, target_modes

RATE = 16000


def test_a_balls_partials_are_roots_of_lambs_equation():
    """Traction-free spheroidal modes at Poisson's ratio 1/4 (Eringen & Suhubi, Elastodynamics II, 8.14)."""

    def determinant(n, k):
        h = k / np.sqrt(3)
        j = spherical_jn
        a = (n * n - n - k * k / 2) * j(n, h) + 2 * h * j(n + 1, h)
        if n == 0:
            return a
        b = n * (n + 1) * ((n - 1) * j(n, k) - k * j(n + 1, k))
        c = (n - 1) * j(n, h) - h * j(n + 1, h)
        d = (n * n - 1 - k * k / 2) * j(n, k) + k * j(n + 1, k)
        return a * d - b * c

    grid, roots = np.linspace(0.5, 6.6, 400), []
    for n in range(9):
        signs = np.sign(determinant(n, grid))
        for i in np.flatnonzero(signs[:-1] * signs[1:] < 0):
            roots.append(brentq(lambda k, n=n: determinant(n, k), grid[i], grid[i + 1]))
    roots.sort()
    assert np.array(impacts.SPHERE) == pytest.approx(roots, abs=1e-4)


def test_a_cubes_partials_are_those_of_a_free_cube():
    """By Ritz with Legendre polynomials up to order 8, Poisson's ratio 1/4, in units of c / a."""
    order, poisson = 8, 0.25
    mu, lam = 1.0, 2 * poisson / (1 - 2 * poisson)
    points, weights = legendre.leggauss(order + 2)
    values = legendre.legval(points, np.eye(order + 1))
    slopes = np.stack([legendre.legval(points, legendre.legder(row)) for row in np.eye(order + 1)])
    plain, steep, mixed = (
        (a * weights) @ b.T for a, b in ((values, values), (slopes, slopes), (slopes, values))
    )
    powers = [
        (i, j, k) for i in range(order + 1) for j in range(order + 1 - i) for k in range(order + 1 - i - j)
    ]
    at = [np.ix_(column, column) for column in np.array(powers).T]
    mass = plain[at[0]] * plain[at[1]] * plain[at[2]]

    def stiffness(one, other):
        """Integral of d phi_p / d x_one times d phi_q / d x_other."""
        product = np.ones_like(mass)
        for axis in range(3):
            if one == other:
                product = product * (steep if axis == one else plain)[at[axis]]
            else:
                factor = mixed if axis == one else mixed.T if axis == other else plain
                product = product * factor[at[axis]]
        return product

    total = stiffness(0, 0) + stiffness(1, 1) + stiffness(2, 2)
    rows = [
        [lam * stiffness(i, k) + mu * stiffness(k, i) + (mu * total if i == k else 0) for k in range(3)]
        for i in range(3)
    ]
    squares = eigh(np.block(rows), np.kron(np.eye(3), mass), eigvals_only=True, subset_by_index=[6, 36])
    roots = np.sqrt(squares)  # six rigid motions come first
    for partial in impacts.CUBE:
        assert np.abs(roots - partial).min() < 3e-3


def test_bars_hoops_and_drums():
    beam = [brentq(lambda x: np.cos(x) * np.cosh(x) - 1, x - 0.5, x + 0.5) for x in np.pi * np.arange(1.5, 6)]
    assert impacts.BEAM == pytest.approx(np.square(beam), rel=1e-4)
    n = np.arange(2, 8)
    assert impacts.HOOP == pytest.approx(n * (n**2 - 1) / np.sqrt(n**2 + 1), abs=1e-3)
    zeros = sorted(zero for order in range(8) for zero in jn_zeros(order, 4))
    assert impacts.DRUM == pytest.approx(np.array(zeros[:8]) / zeros[0], abs=1e-3)


def test_many_modes_at_once_equal_the_plain_formula():
    amplitude, hertz = np.array([0.7, 0.2, 0.1]), np.array([900.0, 1830.5, 4000.1])
    decay, lead = np.array([4.0, 9.0, 30.0]), 0.00002
    wave = ring(amplitude, hertz, decay, RATE, lead, 9000)
    t = lead + np.arange(9000) / RATE
    plain = amplitude[:, None] * np.exp(-decay[:, None] * t) * np.sin(2 * np.pi * hertz[:, None] * t)
    assert len(wave) == 9000 and np.abs(wave - plain.sum(0)).max() < 1e-9


def test_an_impact_between_two_samples_is_the_same_sound_moved_by_a_fraction():
    modes = body_modes("ball", "wood", 0.36)
    waves = [
        np.fft.rfft(impact(modes, ("wood", "stone"), 0.36, 2.0, RATE, lead, RATE), 2 * RATE)
        for lead in (0.5 / RATE, 0.0)
    ]
    hertz = np.fft.rfftfreq(2 * RATE, 1 / RATE)
    band = (hertz > 300) & (hertz < 2000)
    turned = waves[1] * np.exp(2j * np.pi * hertz * 0.5 / RATE)
    assert np.abs(turned - waves[0])[band].max() < 0.01 * np.abs(waves[0])[band].max()


def test_a_push_runs_along_the_lobes_of_half_a_sine():
    phase = np.linspace(0.0, 12.0, 4001)
    with np.errstate(divide="ignore", invalid="ignore"):
        exact = np.abs(np.cos(np.pi * phase) / (1 - 4 * phase**2))
    exact = np.nan_to_num(exact, nan=np.pi / 4)
    push = impacts._push(phase)
    assert push[0] == 1 and (np.diff(push) < 0).all()
    assert (exact <= 1.5 * push).all()
    tops = np.flatnonzero((exact[1:-1] > exact[:-2]) & (exact[1:-1] > exact[2:])) + 1
    assert exact[tops] == pytest.approx(push[tops], rel=0.15)


def voices():
    for shape in SHAPES:
        for material in MATERIALS:
            yield f"{material} {shape}", lambda size, s=shape, m=material: body_modes(s, m, size), material
    for target, material in TARGETS.items():
        yield target, lambda size, t=target: target_modes(t, size), material


@pytest.mark.parametrize(("name", "modes", "material"), list(voices()), ids=lambda value: value)
def test_faster_is_louder_and_bigger_is_lower(name, modes, material):
    speeds = np.linspace(0.2, 6.0, 12)
    waves = [impact(modes(0.4), (material, "stone"), 0.4, v, RATE, 0.0, RATE) for v in speeds]
    assert spearmanr(speeds, [np.sum(wave**2) for wave in waves])[0] >= 0.95
    sizes = np.linspace(0.25, 0.55, 12)
    assert spearmanr(sizes, [modes(size).frequency[0] for size in sizes])[0] <= -0.95
    lowest = modes(0.55).frequency[0]
    assert 30 < lowest and modes(0.25).frequency[0] < 4000
    assert modes(0.4).weight.sum() == pytest.approx(1)


def test_harder_and_faster_is_shorter_so_brighter():
    def centre(pair, speed):
        wave = impact(body_modes("ball", "ceramic", 0.3), pair, 0.3, speed, 48000, 0.0, 48000)
        power = np.abs(np.fft.rfft(wave)) ** 2
        return np.sum(power * np.fft.rfftfreq(len(wave), 1 / 48000)) / power.sum()

    floors = ["stone", "wood", "carpet", "grass"]
    centres = [centre(("ceramic", floor), 2.0) for floor in floors]
    assert centres == sorted(centres, reverse=True) and centres[0] > 1.05 * centres[-1]
    assert centre(("ceramic", "carpet"), 5.0) > centre(("ceramic", "carpet"), 0.5)
    assert contact_seconds("metal", "stone", 0.3, 4.0) < contact_seconds("metal", "stone", 0.3, 1.0)
    assert contact_seconds("metal", "felt", 0.3, 1.0) > 10 * contact_seconds("metal", "metal", 0.3, 1.0)


def test_materials_differ_in_decay():
    order = ("metal", "glass", "ceramic", "wood", "rubber")
    for shape in SHAPES:
        cycles = []  # in which the lowest mode falls by 60 dB
        for material in order:
            modes = body_modes(shape, material, 0.36)
            cycles.append(6.9 / modes.decay[0] * modes.frequency[0])
        assert cycles == sorted(cycles, reverse=True)
        assert cycles[0] > 3 * cycles[3]


def test_floors_ring_less_than_things():
    for floor in FLOORS:
        assert floor_modes(floor).decay.min() > body_modes("ball", "metal", 0.3).decay[0]


def test_restitution_is_symmetric_and_below_one():
    for one in MATERIALS:
        for other in FLOORS:
            assert restitution(one, other) == restitution(other, one) < 1
