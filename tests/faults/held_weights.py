"""A process that holds a net while its files are changed; for the tests of bundles.

Prints a logit of a golden ECG, and prints it again for each line that it is sent.
"""

import sys
from pathlib import Path

from safetensors.torch import load_file

from ecgbatch.bundle.golden import golden_inputs
from ecgbatch.bundle.load import load_bundle
from ecgbatch.net.checkpoint import build_net
from ecgbatch.net.ensemble import mean_logits

WEIGHTS = "weights/member-00.safetensors"


def main(folder: Path, how: str) -> None:
    """Load as the product does (`bytes`), or as its library's usual call does (`mapped`)."""
    bundle = load_bundle(folder)
    net = build_net(bundle.manifest.architecture, bundle.members[0])
    if how == "mapped":
        net.load_state_dict(load_file(folder / WEIGHTS), assign=True)
    inputs = golden_inputs(bundle.golden_signals_mv[:1], bundle.manifest.preprocessing)
    is_asked = True
    while is_asked:
        sys.stdout.write(f"{float(mean_logits((net,), inputs)[0][0])!r}\n")
        sys.stdout.flush()
        is_asked = bool(sys.stdin.readline())


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
