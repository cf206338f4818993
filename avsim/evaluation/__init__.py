"""Judges of picture and sound."""
