"""`python -m training`."""

from training.cli.main import run

run()
