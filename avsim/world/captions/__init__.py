"""Captions: facts of a clip <-> sentences."""
