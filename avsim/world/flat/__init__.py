"""Flat worlds: 2-D scenes of bodies, struck things and players, drawn in front of painted places."""
