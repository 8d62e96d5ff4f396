"""Readers from other packages: entry points that the settings name, loaded in the child alone."""

import re
from collections.abc import Sequence
from importlib.metadata import entry_points

from ecgbatch.errors import SetupFault
from ecgbatch.readers.registry import READERS, Reader
from ecgbatch.terms import ReasonCode

GROUP = "ecgbatch.readers"

_NAME = re.compile(r"[a-z][a-z0-9_-]{0,31}")
_VERSION = re.compile(r"[\w.+-]{1,32}", re.ASCII)


def load_plug_ins(names: Sequence[str]) -> tuple[Reader, ...]:
    """The readers behind `names`, in that order. What is not named is not imported.

    Raises:
        SetupFault: a name that no installed package declares, or that is not a reader with a
            NAME of its own; the detail is the name.
    """
    declared = {entry.name: entry for entry in entry_points(group=GROUP)}
    loaded: list[Reader] = []
    taken = {entry.name for entry in READERS}
    for name in names:
        if name not in declared:
            raise SetupFault(ReasonCode.SETTINGS_INVALID, name)
        try:
            reader = declared[name].load()
        except Exception:  # noqa: BLE001 - code of others; its text is not for our logs
            raise SetupFault(ReasonCode.SETTINGS_INVALID, name) from None
        if not _is_reader(reader) or reader.NAME in taken:
            raise SetupFault(ReasonCode.SETTINGS_INVALID, name)
        taken.add(reader.NAME)
        loaded.append(reader)
    return tuple(loaded)


def _is_reader(candidate: object) -> bool:
    name, version = getattr(candidate, "NAME", None), getattr(candidate, "VERSION", None)
    return (
        isinstance(name, str)
        and _NAME.fullmatch(name) is not None
        and isinstance(version, str)
        and _VERSION.fullmatch(version) is not None
        and callable(getattr(candidate, "recognises", None))
        and callable(getattr(candidate, "read", None))
    )
