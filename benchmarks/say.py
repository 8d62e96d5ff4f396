"""What a benchmark says: progress on standard error, its figures as the last line of output."""

import json
import sys
from collections.abc import Mapping


def last_line(values: Mapping[str, object]) -> None:
    """One line of JSON on standard output; NaN and infinity are refused.

    Raises:
        ValueError: a number that JSON does not have.
    """
    sys.stdout.write(json.dumps(values, allow_nan=False) + "\n")
    sys.stdout.flush()


def progress(line: str) -> None:
    """A line on standard error."""
    sys.stderr.write(line + "\n")
    sys.stderr.flush()
