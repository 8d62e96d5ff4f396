"""Calibrators and cuts, set on ECGs that the exported weights have not seen, and how they hold."""
