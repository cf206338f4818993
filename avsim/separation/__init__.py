"""Mixture + regions -> stems that add up."""
