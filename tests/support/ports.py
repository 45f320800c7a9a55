"""Ports that the system gives to nobody by itself."""

from __future__ import annotations

import socket
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def held(number: int = 0) -> Iterator[int]:
    """Keep a port of 127.0.0.1 for the server that asks for it, also while that is away.

    Else whoever connects to anything may be given it meanwhile. Two may have it as long as one listens at
    most, and both say SO_REUSEADDR, as servers do; so it is on Linux, and elsewhere this holds nothing.
    """
    with socket.socket() as holder:
        if sys.platform == "linux":
            holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            holder.bind(("127.0.0.1", number))
            number = int(holder.getsockname()[1])
        yield number
