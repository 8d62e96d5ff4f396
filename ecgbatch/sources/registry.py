"""The kinds of sources; a new one is one module and one line here."""

from collections.abc import Callable, Mapping
from pathlib import Path

from ecgbatch.errors import SetupFault
from ecgbatch.settings import Settings
from ecgbatch.sources import database, folder
from ecgbatch.sources.source import Source
from ecgbatch.terms import ReasonCode

_KINDS: Mapping[str, Callable[[Settings, tuple[Path, ...]], Source]] = {
    "folder": folder.open_source,
    "database": database.open_source,
}


def open_source(settings: Settings, own_files: tuple[Path, ...] = ()) -> Source:
    """The source that the settings name.

    Args:
        own_files: files and folders that the program itself writes; never items.

    Raises:
        SetupFault: the settings do not say what the source needs.
    """
    kind = settings.source.kind
    if kind not in _KINDS:
        raise SetupFault(ReasonCode.SETTINGS_INVALID, f"source.kind: {' or '.join(_KINDS)}")
    return _KINDS[kind](settings, own_files)
