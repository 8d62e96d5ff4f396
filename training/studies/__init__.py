"""Experiments about the method itself, on synthetic data."""
