"""Clips with the truth in them."""
