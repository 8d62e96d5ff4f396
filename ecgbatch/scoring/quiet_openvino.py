"""OpenVINO without its telemetry. Nothing else here imports it.

`import openvino` loads `openvino_telemetry` where that is installed, which asks the network for
the name of a collecting server and leaves an id in the home folder. With None in its place its
import fails, and OpenVINO goes on without it.
"""

import sys

sys.modules["openvino_telemetry"] = None  # type: ignore[assignment] # as `import` documents it

import openvino  # noqa: E402 - after its telemetry was put out

__all__ = ["openvino"]
