"""The reader process: bytes in, a recording or a reason out. `python -m ecgbatch.isolation.child`.

It holds no net, no database, no settings and no key; what reaches it is one recording at a time.
"""

import ctypes
import os
import resource
import signal
import socket
import sys
from collections.abc import Sequence
from dataclasses import asdict, fields
from datetime import datetime

import numpy as np

from ecgbatch.errors import EcgbatchError, Incomplete, InputFault, Refusal, SetupFault
from ecgbatch.isolation import wire
from ecgbatch.isolation.here import decode_here
from ecgbatch.isolation.plugins import load_plug_ins
from ecgbatch.isolation.wire import Buffer
from ecgbatch.readers.registry import READERS, Reader
from ecgbatch.records import Identity, Recording, RecordingBytes, RefusedECG
from ecgbatch.terms import ReasonCode

DETAIL_CHARACTERS = 200

_OPEN_FILES = 64
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38

Answer = tuple[dict[str, object], list[Buffer]]


def main(parent: int, memory_bytes: int, plug_ins: Sequence[str]) -> None:
    """Answer until the run closes its end.

    Args:
        parent: process id of the run; when it ends, so does this process.
        plug_ins: entry points to load beside the readers of the registry.
    """
    _die_with(parent)
    channel = _own_channel()
    _limit(memory_bytes)
    try:
        extra = load_plug_ins(plug_ins)
    except SetupFault as fault:
        wire.send(channel, {"kind": "unfit", "plug_in": fault.detail})
        return
    built_in = [entry.load() for entry in READERS]
    names = [reader.NAME for reader in (*built_in, *extra)]
    wire.send(channel, {"kind": "ready", "readers": names})
    try:
        while True:
            serial, source = wire.parse_request(wire.receive(channel, memory_bytes))
            _send(channel, serial, _answer(source, extra))
    except EOFError:
        return


def _die_with(parent: int) -> None:
    if sys.platform == "linux":
        libc = ctypes.CDLL(None)
        libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    if os.getppid() != parent:
        sys.exit(1)


def _own_channel() -> socket.socket:
    """The channel on a descriptor of its own; what a library prints goes nowhere."""
    channel = socket.socket(fileno=os.dup(0))
    nowhere = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(nowhere, descriptor)
    os.close(nowhere)
    return channel


def _limit(memory_bytes: int) -> None:
    """Address space, no written byte, few open files, no core dump."""
    wanted = {
        resource.RLIMIT_AS: memory_bytes,
        resource.RLIMIT_FSIZE: 0,
        resource.RLIMIT_NOFILE: _OPEN_FILES,
        resource.RLIMIT_CORE: 0,
    }
    for what, limit in wanted.items():
        _, hard = resource.getrlimit(what)
        least = limit if hard == resource.RLIM_INFINITY else min(limit, hard)
        resource.setrlimit(what, (least, least))


def _send(channel: socket.socket, serial: int, answer: Answer) -> None:
    header, body = answer
    try:
        wire.send(channel, {**header, "serial": serial}, body)
    except (TypeError, ValueError):  # a field that is no JSON, or longer than any
        crashed, _ = _fault(InputFault(ReasonCode.READER_CRASHED, "not a recording"))
        wire.send(channel, {**crashed, "serial": serial})


def _answer(source: RecordingBytes, plug_ins: Sequence[Reader]) -> Answer:
    try:
        return _recording(decode_here(source, plug_ins))
    except (InputFault, Refusal) as fault:
        return _fault(fault)
    except MemoryError:
        return _fault(InputFault(ReasonCode.READER_MEMORY))
    except EcgbatchError:
        return _fault(InputFault(ReasonCode.READER_CRASHED, "not an error of a reader"))
    except Exception:  # noqa: BLE001 - a plug-in may return anything
        return _fault(InputFault(ReasonCode.READER_CRASHED, "not a recording"))


def _recording(recording: Recording) -> Answer:
    samples = np.ascontiguousarray(recording.signal, dtype=wire.SAMPLE_TYPE)
    header = {
        field.name: getattr(recording, field.name)
        for field in fields(Recording)
        if field.name != "signal"
    }
    stated: dict[str, object] = {
        **header,
        "kind": "recording",
        "shape": samples.shape,
        "identity": _as_json(recording.identity),
        "findings": [asdict(finding) for finding in recording.findings],
    }
    return stated, [samples.data.cast("B")]


def _as_json(identity: Identity) -> dict[str, object]:
    return {
        name: value.isoformat() if isinstance(value, datetime) else value
        for name, value in asdict(identity).items()
    }


def _letterhead(fault: InputFault | Refusal) -> dict[str, object] | None:
    if not isinstance(fault, RefusedECG):
        return None
    return {**asdict(fault.letterhead), "identity": _as_json(fault.letterhead.identity)}


def _fault(fault: InputFault | Refusal) -> Answer:
    error = next(kind for kind in (Incomplete, InputFault, Refusal) if isinstance(fault, kind))
    detail = "".join(c if " " <= c <= "~" else "?" for c in fault.detail[:DETAIL_CHARACTERS])
    return {
        "kind": "fault",
        "error": error.__name__,
        "reason": fault.reason,
        "detail": detail,
        "letterhead": _letterhead(fault),
    }, []


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3:])
