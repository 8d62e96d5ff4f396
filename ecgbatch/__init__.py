"""Batch scoring of hospital 12-lead ECGs. The root holds the version alone."""

__version__ = "0.1.0"
