"""Memory that a run shares with one reader process, so that arrays pass through no pipe.

One slot for each request on its way, used for the files' bytes first and for the answer's samples
after that. The memory has no name, is freed with the last process that holds it, and is sealed:
a process that an attacker has taken over cannot cut it, which would end the run. Where the system
has no such memory, there are no slots, and everything goes through the channel.
"""

import fcntl
import mmap
import os
import sys
from collections.abc import Sequence
from typing import Self

SLOT_BYTES = 1 << 20
"""A usual ECG file, and 10 s of 12 leads in double precision; a page unused takes no memory."""

Buffer = bytes | bytearray | memoryview


class Slots:
    """`n` slots; request `serial` has slot `serial % n`."""

    def __init__(self, descriptor: int, n: int) -> None:
        """Map what `create` made; the descriptor is closed."""
        self._n = n
        try:
            self._memory = mmap.mmap(descriptor, n * SLOT_BYTES)
        finally:
            os.close(descriptor)

    @classmethod
    def create(cls, n: int) -> tuple[Self, int] | None:
        """New slots, and a descriptor to hand over; None where there can be none."""
        if sys.platform != "linux" or not hasattr(os, "memfd_create"):
            return None
        try:
            descriptor = os.memfd_create("ecgbatch", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        except OSError:
            return None
        try:
            os.ftruncate(descriptor, n * SLOT_BYTES)
            sealed = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SEAL
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, sealed)
            return cls(os.dup(descriptor), n), descriptor
        except OSError:
            os.close(descriptor)
            return None

    def put(self, serial: int, parts: Sequence[Buffer]) -> bool:
        """Write `parts` one after the other; False where they do not fit."""
        if sum(memoryview(part).nbytes for part in parts) > SLOT_BYTES:
            return False
        at = self._start(serial)
        for part in parts:
            end = at + memoryview(part).nbytes
            self._memory[at:end] = part
            at = end
        return True

    def get(self, serial: int, n_bytes: int) -> bytes:
        """A copy: what the other side still writes does not reach it.

        Raises:
            ValueError: more than a slot.
        """
        if n_bytes > SLOT_BYTES:
            raise ValueError
        start = self._start(serial)
        return self._memory[start : start + n_bytes]

    def close(self) -> None:
        self._memory.close()

    def _start(self, serial: int) -> int:
        return serial % self._n * SLOT_BYTES
