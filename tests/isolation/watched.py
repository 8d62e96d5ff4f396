"""A decoder that is timed and measured while it refuses."""

import re
import time
from pathlib import Path

import pytest

from ecgbatch.errors import EcgbatchError
from ecgbatch.isolation.decoder import Decoder
from ecgbatch.records import Member, RecordingBytes
from ecgbatch.terms import ReasonCode

SECONDS = 2.0
MEMORY_BYTES = 256 << 20


class Watched:
    """The decoder, with the time and memory of each refusal."""

    def __init__(self, decoder: Decoder) -> None:
        self._decoder = decoder
        with pytest.raises(EcgbatchError):
            decoder.decode(RecordingBytes((Member("a", b"junk"),)))

    def refusal(self, *contents: bytes) -> ReasonCode:
        members = tuple(
            Member(name, content)
            for name, content in zip(("a.hea", "00001_lr.dat"), contents, strict=False)
        )
        return self.refusal_of(RecordingBytes(members))

    def refusal_of(self, source: RecordingBytes) -> ReasonCode:
        before = self._peak(reset=True)
        started = time.monotonic()
        with pytest.raises(EcgbatchError) as caught:
            self._decoder.decode(source)
        assert time.monotonic() - started < SECONDS
        assert self._peak() - before < MEMORY_BYTES
        assert self._decoder.process_id is not None, "the process was lost"
        return caught.value.reason

    def _peak(self, *, reset: bool = False) -> int:
        folder = Path(f"/proc/{self._decoder.process_id}")
        if reset:
            (folder / "clear_refs").write_text("5")
        match = re.search(r"VmHWM:\s+(\d+) kB", (folder / "status").read_text())
        assert match
        return int(match[1]) * 1024
