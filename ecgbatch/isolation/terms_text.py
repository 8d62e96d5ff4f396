"""The terms of an examination as text for the reader process, and there as plain values again.

Gates and preparation are held as pydantic's classes, whose import takes as long as all the rest of
the reader process's start. What examines only takes their attributes, and floats pass JSON to the
bit; so plain values of the same names do there.
"""

import json
from types import SimpleNamespace
from typing import cast

from ecgbatch.examination import Terms


def text_of(terms: Terms) -> str:
    """JSON; nothing secret is among the terms."""
    return json.dumps(
        {
            "quality": terms.quality.model_dump(),
            "eligibility": terms.eligibility.model_dump(),
            "preprocessing": terms.preprocessing.model_dump(),
        },
        allow_nan=False,
    )


def terms_of(text: str) -> Terms:
    """Plain values behind the same attributes."""
    plain = json.loads(text, object_hook=lambda table: SimpleNamespace(**table))
    return cast("Terms", plain)
