"""ONNX Runtime without its telemetry. Nothing else here imports it.

Since 1.29 its Linux wheels report to a server of their maker when the library is loaded, and leave
an id and a database in the cache folder. The switch is read then, once; the call that its Python
interface offers comes too late.
"""

import os

for _name in ("ORT_DISABLE_TELEMETRY", "ORT_TELEMETRY_DISABLED"):
    os.environ[_name] = "1"

import onnxruntime  # noqa: E402 - after its telemetry was put out

__all__ = ["onnxruntime"]
