"""A package with readers for the tests, installed by being on the import path."""

from pathlib import Path

MODULE = '''
import ctypes, os, sys, time
import numpy as np
from ecgbatch.errors import InputFault, Refusal
from ecgbatch.records import Recording
from ecgbatch.terms import LEADS, ReasonCode

NAME = "trap"
VERSION = "1.0"
calls = []


def recognises(head):
    return head.startswith(b"TRAP ")


def read(source):
    order, _, rest = source.first.decode().removeprefix("TRAP ").partition(" ")
    calls.append(order)
    return ORDERS[order](rest)


def recording(**changes):
    stated = dict(
        signal=np.zeros((2, 5)), lead_names=("I", "II"), sampling_frequency=500.0,
        signal_digest="0" * 64, format="trap", reader=NAME, reader_version=VERSION,
    )
    return Recording(**{**stated, **changes})


def segfault(_):
    ctypes.string_at(0)


def hang(_):
    time.sleep(3600)


def spin(_):
    while True:
        pass


def swallow(_):
    return bytearray(8 << 30)


def nibble(_):
    kept = []
    while True:
        kept.append(np.empty(1 << 20))


def leave(_):
    os._exit(7)


def raise_system_exit(_):
    sys.exit(3)


def stumble(rest):
    return {}[rest]


def loop(rest):
    return loop(rest)


def talk(_):
    os.write(1, b"x" * 100)
    os.write(0, b"x" * 100)
    print("patient", flush=True)
    return recording()


def count(_):
    return recording(statements=(str(len(calls)),))


def second_only(_):
    """Brings down a process that has read something else before; reads well in a new one."""
    if len(calls) > 1:
        os.abort()
    return recording()


def write(rest):
    with open(rest, "wb") as file:
        file.write(b"x")
    return recording()


def open_files(rest):
    kept = [open(os.devnull) for _ in range(int(rest))]
    return recording(statements=(str(len(kept)),))


def limits(_):
    import resource
    return recording(statements=(
        str(resource.getrlimit(resource.RLIMIT_CORE)),
        str(sorted(os.environ)),
        str(sorted({"torch", "sqlalchemy", "pydantic", "ecgbatch.settings"} & set(sys.modules))),
    ))


def refuse(rest):
    raise Refusal(ReasonCode.LEAD_MISSING, rest)


def forge(rest):
    """Answer past the reader, as one that was taken over would; the wire is the next free fd."""
    import socket
    header, body = eval(rest)
    for descriptor in range(3, 16):
        try:
            channel = socket.socket(fileno=descriptor)
            channel.sendall(header + body)
            channel.detach()
        except OSError:
            continue
    time.sleep(3600)


def odd(rest):
    return eval(rest)


ORDERS = {name: value for name, value in globals().items() if callable(value)}
'''

ENTRY_POINTS = """\
[ecgbatch.readers]
trap = trap_reader
wfdb_again = trap_named_wfdb
broken = trap_that_does_not_load
no_reader = json
"""


def install(folder: Path) -> None:
    """Write modules and the metadata by which they are found into `folder`."""
    metadata = folder / "trap_reader-1.0.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: trap_reader\nVersion: 1.0\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    (folder / "trap_reader.py").write_text(MODULE)
    (folder / "trap_named_wfdb.py").write_text(f"{MODULE}\nNAME = 'wfdb'\n")
    (folder / "trap_that_does_not_load.py").write_text("raise RuntimeError('patient')\n")
