"""Frames between a run and its reader process: a JSON header and raw bytes, never pickle.

A frame is the header's length (4 bytes), the body's length (8 bytes), header, body. Lengths are
checked before anything is allocated for them.
"""

import json
import socket
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from ecgbatch.records import Member, RecordingBytes

MAX_HEADER_BYTES = 1 << 20
SAMPLE_TYPE = "<f8"

_LENGTHS = struct.Struct(">IQ")
_STEP_BYTES = 1 << 20

Buffer = bytes | bytearray | memoryview


@dataclass(frozen=True, slots=True)
class Frame:
    """One message, not yet trusted."""

    header: bytes = field(repr=False)
    body: bytearray = field(repr=False)


def for_ever() -> None:
    """No limit of time: how long the reader process waits for the next recording."""


def send(
    channel: socket.socket,
    header: Mapping[str, object],
    body: Sequence[Buffer] = (),
    remaining_s: Callable[[], float | None] = for_ever,
) -> None:
    """Write one frame; `body` in parts, so that nothing is copied.

    Raises:
        TypeError, ValueError: the header is no JSON, or larger than any that is read;
            nothing was written.
        OSError: the other side is gone, or TimeoutError.
    """
    head = json.dumps(header, allow_nan=False).encode("ascii")
    if len(head) > MAX_HEADER_BYTES:
        raise ValueError
    lengths = _LENGTHS.pack(len(head), sum(memoryview(part).nbytes for part in body))
    for part in (lengths + head, *body):
        channel.settimeout(remaining_s())
        channel.sendall(part)


def receive(
    channel: socket.socket,
    max_body_bytes: int,
    remaining_s: Callable[[], float | None] = for_ever,
) -> Frame:
    """Read one frame.

    Raises:
        EOFError: the other side closed.
        ValueError: lengths beyond the limits.
        OSError: the other side is gone, or TimeoutError.
    """
    head_length, body_length = _LENGTHS.unpack(_exactly(channel, _LENGTHS.size, remaining_s))
    if head_length > MAX_HEADER_BYTES or body_length > max_body_bytes:
        raise ValueError
    header = bytes(_exactly(channel, head_length, remaining_s))
    return Frame(header, _exactly(channel, body_length, remaining_s))


def _exactly(
    channel: socket.socket, length: int, remaining_s: Callable[[], float | None]
) -> bytearray:
    content = bytearray(length)
    view = memoryview(content)
    at = 0
    while at < length:
        channel.settimeout(remaining_s())
        n_read = channel.recv_into(view[at : at + _STEP_BYTES])
        if not n_read:
            raise EOFError
        at += n_read
    return content


def request_of(serial: int, source: RecordingBytes) -> tuple[dict[str, object], list[Buffer]]:
    """Header and body that ask for `source` to be decoded."""
    members = [[member.name, len(member.content)] for member in source.members]
    return {"serial": serial, "members": members}, [member.content for member in source.members]


def parse_request(frame: Frame) -> tuple[int, RecordingBytes]:
    """Serial number and recording of a request; the reader process trusts its run."""
    header = json.loads(frame.header)
    members, at = [], 0
    for name, length in header["members"]:
        members.append(Member(name, bytes(memoryview(frame.body)[at : at + length])))
        at += length
    return header["serial"], RecordingBytes(tuple(members))
