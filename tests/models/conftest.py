"""Fixtures that the networks' tests share with those of diffusion."""

from tests.diffusion.conftest import make, one_thread, spec

__all__ = ["make", "one_thread", "spec"]
