"""Frames <-> video latents; waveform <-> audio latents."""
