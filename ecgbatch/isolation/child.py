"""The reader process: bytes in, a recording, an examination or a reason out.

`python -m ecgbatch.isolation.child`. It holds no net, no database, no settings and no key; what
reaches it is recordings, and the gates' limits and the steps of the preparation.
"""

import ctypes
import json
import os
import resource
import signal
import socket
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from ecgbatch.errors import InputFault, SetupFault
from ecgbatch.isolation import wire
from ecgbatch.isolation.desk import Answer, Desk, fault_of
from ecgbatch.isolation.plugins import load_plug_ins
from ecgbatch.isolation.slots import Buffer, Slots
from ecgbatch.preprocessing import filters
from ecgbatch.readers.registry import READERS
from ecgbatch.terms import ReasonCode

_OPEN_FILES = 64
_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_M_TRIM_THRESHOLD = -1
_M_MMAP_THRESHOLD = -3
_KEPT_BYTES = 32 << 20


def main(parent: int, memory_bytes: int, depth: int, shared: int, plug_ins: Sequence[str]) -> None:
    """Answer until the run closes its end.

    Args:
        parent: process id of the run; when it ends, so does this process.
        depth: requests on their way at most.
        shared: descriptor of the slots; -1 where there are none.
        plug_ins: entry points to load beside the readers of the registry.
    """
    _die_with(parent)
    channel = _own_channel()
    slots = Slots(shared, depth) if shared >= 0 else None
    _limit(memory_bytes)
    _keep_memory()
    frames = wire.frames_from(channel, memory_bytes)
    hello = json.loads(next(frames).header)
    try:
        extra = load_plug_ins(plug_ins)
    except SetupFault as fault:
        _send(channel, {"kind": "unfit", "plug_in": fault.detail})
        return
    built_in = [entry.load() for entry in READERS]
    desk = Desk(extra)
    # It has no home to look for the compiled filters in.
    filters.use(Path(hello["filters"]) if hello["filters"] else None)
    desk.prepare(hello["terms"])
    names = [reader.NAME for reader in (*built_in, *extra)]
    _send(channel, {"kind": "ready", "readers": names})
    for frame in frames:
        request = wire.parse_request(frame, slots)
        answer = desk.answer(request)
        _reply(channel, slots, request.serial, answer)
        if answer[0].get("reason") is ReasonCode.READER_MEMORY:
            return  # what has met its limit is left in pieces


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


def _keep_memory() -> None:
    """Have glibc keep what is freed, for the next ECG: new pages cost more than the checks."""
    if sys.platform == "linux" and hasattr(libc := ctypes.CDLL(None), "mallopt"):
        libc.mallopt(_M_MMAP_THRESHOLD, _KEPT_BYTES)
        libc.mallopt(_M_TRIM_THRESHOLD, 2 * _KEPT_BYTES)


def _reply(channel: socket.socket, slots: Slots | None, serial: int, answer: Answer) -> None:
    header, body = answer
    in_slot = bool(body) and slots is not None and slots.put(serial, body)
    place = {"in_slot": in_slot} if header["kind"] != "fault" else {}
    try:
        _send(channel, {**header, **place, "serial": serial}, () if in_slot else body)
    except (TypeError, ValueError):  # a field that is no JSON, or longer than any
        crashed, _ = fault_of(InputFault(ReasonCode.READER_CRASHED, "not a recording"))
        _send(channel, {**crashed, "serial": serial})


def _send(
    channel: socket.socket, header: Mapping[str, object], body: Sequence[Buffer] = ()
) -> None:
    for part in wire.encoded(header, body):
        channel.sendall(part)


if __name__ == "__main__":
    parent, memory_bytes, depth, shared = map(int, sys.argv[1:5])
    main(parent, memory_bytes, depth, shared, sys.argv[5:])
