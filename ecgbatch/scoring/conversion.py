"""The process that converts: it loads torch and the converter, the scoring process does not.

`python -m ecgbatch.scoring.conversion FOLDER` reads a request from standard input, a line of JSON
and the weights as they were verified, and writes the converted nets, a card and SHA256SUMS.
"""

import hashlib
import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path

from ecgbatch.bundle.load import Bundle
from ecgbatch.child_environment import ONE_THREAD, child_environment
from ecgbatch.net.architecture import Architecture
from ecgbatch.scoring.runtimes.registry import RUNTIMES

CARD = "card.json"
SUMS = "SHA256SUMS"

_LONGEST_S = 600.0
_KEPT = ("PATH", "HOME", "TMPDIR", "LANG", "LC_ALL")
_NOT_WRITTEN = 74
"""Exit code: the folder takes no more."""


class Failed(Exception):
    """It ended without a converted net; the message says how, in two words."""


def run_conversion(bundle: Bundle, card: dict[str, object], folder: Path) -> None:
    """Convert the members of a bundle into an empty folder, in a process of its own.

    Args:
        card: names the `runtime`; it is kept beside the nets.

    Raises:
        Failed: the process was ended, or could not convert.
        OSError: the folder cannot be written.
    """
    request = {
        "card": card,
        "architecture": bundle.manifest.architecture.model_dump(mode="json"),
        "sizes": [len(one) for one in bundle.weights],
    }
    with subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-P", "-m", "ecgbatch.scoring.conversion", os.path.abspath(folder)],  # noqa: PTH100 - of a folder that is there
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
        env=child_environment(_KEPT) | ONE_THREAD,
        start_new_session=True,  # Ctrl-C is for this process, which then ends that one
    ) as process:
        try:
            _give(process, json.dumps(request).encode() + b"\n", bundle.weights)
            code = process.wait(_LONGEST_S)
        except subprocess.TimeoutExpired:
            code = None
        finally:
            process.kill()
    if code == _NOT_WRITTEN:
        raise OSError
    if code != 0:
        raise Failed("too slow" if code is None else f"exit {code}")


def main(folder: Path) -> None:
    """Convert what standard input brings."""
    # Here and not above: the process that asks for a conversion imports this module too.
    import torch  # noqa: PLC0415

    from ecgbatch.bundle.members import parse_member  # noqa: PLC0415
    from ecgbatch.net.checkpoint import build_net  # noqa: PLC0415

    torch.set_num_threads(1)
    request = json.loads(sys.stdin.buffer.readline())
    architecture = Architecture.model_validate_json(json.dumps(request["architecture"]))
    convert = import_module(RUNTIMES[request["card"]["runtime"]].module).convert
    for index, size in enumerate(request["sizes"]):
        tensors = parse_member(sys.stdin.buffer.read(size), architecture)
        convert(build_net(architecture, tensors), folder / f"member-{index:02d}")
    (folder / CARD).write_text(json.dumps(request["card"]), encoding="utf-8")
    sums = [f"{_digest(path)}  {path.name}\n" for path in sorted(folder.iterdir())]
    (folder / SUMS).write_text("".join(sums), encoding="ascii")


def _give(process: "subprocess.Popen[bytes]", request: bytes, weights: tuple[bytes, ...]) -> None:
    """A process that ends early hears the rest no more; its exit code says why."""
    if process.stdin is None:
        return
    try:
        for part in (request, *weights):
            process.stdin.write(part)
        process.stdin.close()
    except BrokenPipeError:
        pass


def _digest(path: Path) -> str:
    with path.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


if __name__ == "__main__":
    try:
        main(Path(sys.argv[1]))
    except OSError:
        sys.exit(_NOT_WRITTEN)
