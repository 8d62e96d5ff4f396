"""The 12-lead page of an ECG of the worklist, from its file, if that is still the same."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from ecgbatch.errors import InputFault, Refusal, TransientFault
from ecgbatch.isolation.decoder import Decoder
from ecgbatch.picture import draw
from ecgbatch.records import Recording, RecordingBytes
from ecgbatch.settings import Settings
from ecgbatch.sources.folder import FolderSource
from ecgbatch.sources.registry import open_source
from ecgbatch.sources.source import Source
from ecgbatch.store.reporting_worklist import Place

GONE = "The file is not there any more, or cannot be read from here: no picture."
CHANGED = "Its file is another one by now (the digest differs): no picture."
UNREADABLE = "The file is unchanged, but no reader could read it this time: no picture."


@dataclass(frozen=True, slots=True)
class Trace:
    """The page as SVG, or the sentence that says why there is none."""

    picture: bytes | None = field(repr=False)
    why_not: str


def traces(places: Mapping[int, Sequence[Place]], settings: Settings) -> dict[int, Trace]:
    """The page of each recording; readers run in their own process, one for all.

    Args:
        places: by recording_id, where it may be read, the best place first.
    """
    if not any(places.values()):
        return {number: Trace(None, GONE) for number in places}
    with Decoder(settings.isolation) as decoder:
        sources = _Sources(settings)
        try:
            return {
                number: _trace(number, found, sources, decoder.decode)
                for number, found in places.items()
            }
        finally:
            sources.close()


class _Sources:
    """Where bytes may be read: the folder of the database, and the settings' own source."""

    def __init__(self, settings: Settings) -> None:
        self._limit_bytes = settings.limits.recording_bytes
        stated = settings.source
        is_stated = bool(stated.folder) or stated.kind != "folder"
        self._own: Source | None = open_source(settings) if is_stated else None

    def readings(self, place: Place) -> Iterator[RecordingBytes]:
        """What lies at a place now, and what an archive keeps of it; nothing if it is gone."""
        if place.kind == "folder":
            folder = FolderSource(Path(place.root), self._limit_bytes)
            with suppress(InputFault, TransientFault):
                yield folder.read_as_is(place.locator)
        own = self._own
        if own is not None and (own.kind, own.place) == (place.kind, place.root):
            with suppress(InputFault, TransientFault):
                yield own.read(place.locator, place.fingerprint)

    def close(self) -> None:
        if self._own is not None:
            self._own.close()


def _trace(
    number: int,
    places: Sequence[Place],
    sources: _Sources,
    decode: Callable[[RecordingBytes], Recording],
) -> Trace:
    why_not = GONE
    for place in places:
        for source in sources.readings(place):
            if source.file_digest != place.file_digest:
                why_not = CHANGED
                continue
            try:
                recording = decode(source)
            except (InputFault, Refusal, TransientFault):
                return Trace(None, UNREADABLE)
            return Trace(draw(recording, [f"recording {number}"], "svg"), "")
    return Trace(None, why_not)
