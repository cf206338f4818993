"""An adversarial term for decoders: a discriminator of patches, in the same optimizer as the codec."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

MOST = 1e4  # of `gradient_ratio`


class PatchDiscriminator(nn.Module):
    """Videos (B, 3, T, H, W) in [0, 1] -> logits of "real" of patches, (B, T, H / 8, W / 8).

    PatchGAN (1611.07004) with kernels of three frames, without normalisation.
    """

    def __init__(self, width: int = 32) -> None:
        super().__init__()
        widths = (3, width, 2 * width, 4 * width)
        self.layers = nn.ModuleList(
            nn.Conv3d(i, o, (3, 4, 4), stride=(1, 2, 2), padding=1)
            for i, o in zip(widths, widths[1:], strict=False)
        )
        self.out = nn.Conv3d(widths[-1], 1, (1, 3, 3), padding=(0, 1, 1))

    def forward(self, frames: Tensor) -> Tensor:
        """Logits of patches."""
        x = 2 * frames - 1
        for layer in self.layers:
            x = F.leaky_relu(layer(x), 0.2)
        return self.out(x)[:, 0]


def adversarial_parts(discriminator: nn.Module, frames: Tensor, estimate: Tensor) -> dict[str, Tensor]:
    """Hinge losses of the codec ("adversarial") and of the discriminator ("discriminator").

    One optimizer can minimise their sum: the first has no gradient at the discriminator's weights,
    the second none at the estimate.
    """
    fixed = {name: weight.detach() for name, weight in discriminator.named_parameters()}
    fooled = torch.func.functional_call(discriminator, fixed, (estimate,))
    real, fake = discriminator(frames), discriminator(estimate.detach())
    return {"adversarial": -fooled.mean(), "discriminator": F.relu(1 - real).mean() + F.relu(1 + fake).mean()}


def gradient_ratio(others: Tensor, adversarial: Tensor, estimate: Tensor) -> float:
    """Length of the gradient of the other losses at the estimate over that of the adversarial one.

    An adversarial loss times this can't outweigh the others when the discriminator is far ahead, as the
    adaptive weight of VQGAN (2012.09841) does it, there at the decoder's last layer.
    """
    lengths = [
        torch.autograd.grad(loss, estimate, retain_graph=True)[0].double().norm().item()
        for loss in (others, adversarial)
    ]
    return min(lengths[0] / max(lengths[1], 1e-12), MOST)
