"""Open an exported graph with ONNX Runtime."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from babelpress.errors import ExportError


def open_session(file: Path, *, threads: int | None = None) -> Any:
    """Return an onnxruntime.InferenceSession on the CPU, whose threads sleep while they wait.

    Raises ExportError for a file that is no graph.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads or 0  # 0: one a core
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ExportError(f"{file} cannot be run by ONNX Runtime: {' '.join(str(error).split())[:200]}") from error
