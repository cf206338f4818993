"""Noise levels, the joint diffusion transformer, its loss, its sampler and its tasks."""
