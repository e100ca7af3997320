"""The name under which this process writes down what it did."""

from __future__ import annotations

import os
import socket


def this_process() -> str:
    """``host:pid``: where to look for its output."""
    return f"{socket.gethostname()}:{os.getpid()}"
