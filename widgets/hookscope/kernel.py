"""A repair for ipykernel 7.0 to 7.3, which lose messages that arrive while they reply."""

from __future__ import annotations

import sys
from typing import Any


def keep_messages() -> None:
    """Make the running kernel send its replies through the stream that reads its requests, as ipykernel 7.4 does.

    Earlier releases of ipykernel 7 write replies straight to the stream's socket. The stream then misses a request that
    arrives at that moment, and reads it only when another client connects: a click is lost, or a cell never runs, in a
    kernel that looks idle (https://github.com/ipython/ipykernel/issues/1554). Does nothing in other kernels, or outside
    a kernel.
    """
    ipython: Any = sys.modules.get("IPython")
    kernel = getattr(ipython and ipython.get_ipython(), "kernel", None)
    stream = getattr(kernel, "shell_stream", None)
    manager: Any = getattr(getattr(kernel, "shell_channel_thread", None), "_manager", None)
    if stream is not None and getattr(manager, "_shell_socket", None) is stream.socket:
        manager._shell_socket = stream
