import pytest
import torch

from avsim.codecs.dct import DCT, _basis


def frames(count=4, height=16, width=24):
    generator = torch.Generator().manual_seed(0)
    return torch.rand(2, 3, count, height, width, generator=generator, dtype=torch.float64) - 0.5


@pytest.mark.parametrize("n", [1, 4, 8])
def test_the_basis_is_orthonormal(n):
    assert torch.allclose(_basis(n) @ _basis(n).T, torch.eye(n), atol=1e-6)


@pytest.mark.parametrize(("size", "count"), [(4, 1), (8, 1), (8, 4)])
def test_all_cosines_lose_nothing(size, count):
    cosines = DCT(3 * count * size**2, size, count).double()
    z = cosines.encode(frames())
    assert z.shape == (2, 3 * count * size**2, 4 // count, 16 // size, 24 // size)
    assert torch.allclose(cosines.decode(z), frames(), atol=1e-5)


def test_some_cosines_are_a_projection():
    cosines = DCT(16, 8, 4).double()
    once = cosines.decode(cosines.encode(frames()))
    assert torch.allclose(cosines.decode(cosines.encode(once)), once, atol=1e-6)
    lost = frames() - once
    assert (once * lost).sum().abs() < 1e-5 * frames().square().sum()  # what is lost is orthogonal


def test_the_strongest_cosine_is_the_mean():
    cosines = DCT(16, 8, 4)
    flat = torch.full((1, 3, 4, 8, 8), 0.25)
    z = cosines.encode(flat)[0, :, 0, 0, 0]
    assert z[0].abs() > 0.1 and z[1:].abs().max() < 1e-5
    assert torch.allclose(cosines.decode(cosines.encode(flat)), flat, atol=1e-5)
