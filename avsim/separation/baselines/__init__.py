"""Baselines: The Sound of Pixels, and non-negative matrix factorisation."""
