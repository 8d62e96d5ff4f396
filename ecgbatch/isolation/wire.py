"""Frames between a run and its reader process: a JSON header and raw bytes, never pickle.

A frame is the header's length (4 bytes), the body's length (8 bytes), header, body. Lengths are
checked before anything is kept for them. Arrays and files travel in shared memory (`slots`) where
they fit; the body is for those that do not.
"""

import json
import socket
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from ecgbatch.isolation.slots import Buffer, Slots
from ecgbatch.records import Member, RecordingBytes

MAX_HEADER_BYTES = 1 << 20
SAMPLE_TYPE = "<f8"
INPUT_TYPE = "<f4"
STEP_BYTES = 1 << 16

_LENGTHS = struct.Struct(">IQ")


@dataclass(frozen=True, slots=True)
class Frame:
    """One message, not yet trusted."""

    header: bytes = field(repr=False)
    body: bytearray = field(repr=False)


def encoded(header: Mapping[str, object], body: Sequence[Buffer] = ()) -> list[Buffer]:
    """One frame in parts, none of them empty; the body's are not copied.

    Raises:
        TypeError, ValueError: the header is no JSON, or larger than any that is read.
    """
    head = json.dumps(header, allow_nan=False).encode("ascii")
    if len(head) > MAX_HEADER_BYTES:
        raise ValueError
    parts = [part for part in body if memoryview(part).nbytes]
    return [_LENGTHS.pack(len(head), sum(memoryview(part).nbytes for part in parts)) + head, *parts]


class Frames:
    """Frames out of a stream that arrives in pieces."""

    def __init__(self, max_body_bytes: int) -> None:
        self._max_body_bytes = max_body_bytes
        self._pending = bytearray()

    def of(self, arrived: bytes) -> Iterator[Frame]:
        """The frames that `arrived` completes.

        Raises:
            ValueError: lengths beyond the limits.
        """
        self._pending += arrived
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> Frame | None:
        pending, start = self._pending, _LENGTHS.size
        if len(pending) < start:
            return None
        head_length, body_length = _LENGTHS.unpack_from(pending)
        if head_length > MAX_HEADER_BYTES or body_length > self._max_body_bytes:
            raise ValueError
        body_at = start + head_length
        end = body_at + body_length
        if len(pending) < end:
            return None
        frame = Frame(bytes(pending[start:body_at]), pending[body_at:end])
        del pending[:end]
        return frame


def frames_from(channel: socket.socket, max_body_bytes: int) -> Iterator[Frame]:
    """Every frame until the other side closes; waits for the next one without end.

    Raises:
        ValueError: lengths beyond the limits.
        OSError: the other side is gone.
    """
    frames = Frames(max_body_bytes)
    while arrived := channel.recv(STEP_BYTES):
        yield from frames.of(arrived)


def request_of(
    serial: int, source: RecordingBytes, terms: str | None, slots: Slots | None
) -> list[Buffer]:
    """The frame that asks for `source`; its bytes are in the slot of `serial` if they fit.

    Args:
        terms: JSON to examine under (`terms_text`); "" for those of the last request that had
            any; None: only the recording is wanted.
    """
    contents = [member.content for member in source.members]
    in_slot = slots is not None and slots.put(serial, contents)
    header = {
        "serial": serial,
        "members": [[member.name, len(member.content)] for member in source.members],
        "terms": terms,
        "in_slot": in_slot,
    }
    return encoded(header, () if in_slot else contents)


@dataclass(frozen=True, slots=True)
class Request:
    """See `request_of`."""

    serial: int
    source: RecordingBytes
    terms: str | None


def parse_request(frame: Frame, slots: Slots | None) -> Request:
    """What is asked for; the reader process trusts its run."""
    header = json.loads(frame.header)
    serial, stated = header["serial"], header["members"]
    content: Buffer = frame.body
    if header["in_slot"] and slots is not None:
        content = slots.get(serial, sum(length for _, length in stated))
    members, at = [], 0
    for name, length in stated:
        members.append(Member(name, bytes(memoryview(content)[at : at + length])))
        at += length
    return Request(serial, RecordingBytes(tuple(members)), header["terms"])
