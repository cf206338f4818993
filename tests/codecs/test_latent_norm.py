import torch

from avsim.codecs.latent_norm import LatentNorm, bounded, moments_of


def test_bounded_is_the_identity_near_zero_and_never_beyond_three():
    z = torch.tensor([1e-3, -1e-3, 50.0, -50.0])
    assert torch.allclose(bounded(z), torch.tensor([1e-3, -1e-3, 3.0, -3.0]))


def test_first_observations_are_averaged_exactly():
    z = torch.randn(6, 4, 5) * 3 + 2
    latent_norm = LatentNorm(4)
    for part in z.split(2):
        latent_norm.observe(moments_of(part))
    whitened = latent_norm.normalise(z).transpose(0, 1).flatten(1)
    assert torch.allclose(whitened.mean(1), torch.zeros(4), atol=1e-5)
    assert torch.allclose(whitened.std(1, correction=0), torch.ones(4), atol=1e-5)


def test_statistics_forget_what_is_long_ago():
    latent_norm = LatentNorm(1, memory=10)
    for _ in range(50):
        latent_norm.observe(torch.tensor([[100.0], [10001.0]]))
    for _ in range(200):
        latent_norm.observe(torch.tensor([[1.0], [5.0]]))
    assert torch.allclose(latent_norm.mean, torch.tensor([1.0]), atol=1e-3)
    assert torch.allclose(latent_norm.std, torch.tensor([2.0]), atol=1e-2)


def test_denormalise_undoes_normalise():
    latent_norm = LatentNorm(3)
    latent_norm.observe(moments_of(torch.randn(10, 3, 7) * torch.tensor([1.0, 2.0, 3.0])[:, None] + 1))
    for shape in ((2, 3, 7), (2, 3, 2, 4, 4)):
        z = torch.randn(shape)
        assert torch.allclose(latent_norm.denormalise(latent_norm.normalise(z)), z, atol=1e-5)


def test_variance_is_shared_out_half_way_to_the_pictures_own():
    z = torch.randn(64, 4, 50, generator=torch.Generator().manual_seed(0))
    energy = torch.tensor([16.0, 1.0, 1.0, 1 / 16])
    latent_norm = LatentNorm(4, energy=energy)
    latent_norm.observe(moments_of(z))
    variance = latent_norm.normalise(z).transpose(0, 1).flatten(1).var(1)
    assert abs(variance.mean() - 1) < 1e-3
    shares = (variance[:, None] / variance[None]).log2()
    expected = (energy[:, None] / energy[None]).log2() / 2
    assert torch.allclose(shares, expected, atol=0.1)
    assert torch.allclose(latent_norm.denormalise(latent_norm.normalise(z)), z, atol=1e-5)
    assert "energy" not in latent_norm.state_dict()  # it follows from the codec's cosines
