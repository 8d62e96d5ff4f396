"""The settings that checks look at, for the type checker alone.

At run time a check only takes attributes of what it is given: in the reader process, where pydantic
is not loaded (docs/why/0045), those are plain values of the same names.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ecgbatch.settings_tables import Eligibility, Limit, Quality, Switch
else:
    Eligibility = Limit = Quality = Switch = Any

__all__ = ["Eligibility", "Limit", "Quality", "Switch"]
