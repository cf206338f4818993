"""Flat worlds: 2-D scenes of falling bodies, struck things and players in front of painted places."""
