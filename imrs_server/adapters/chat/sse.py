"""Server-sent events, as the HTML standard cuts them out of a stream of bytes.

A line ends with LF, CR LF or CR; an empty line ends an event; several ``data`` lines are one text with line
ends between them; a line that starts with a colon is a comment, which keeps a connection open.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from imrs_server.adapters.failures import Unusable

if TYPE_CHECKING:
    from collections.abc import Iterator

EVENT_BYTES = 8 << 20
"""The largest event: an image that a model made comes in one."""

_LINE_END = re.compile(rb"\r\n|\n|\r")
_MARK = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Event:
    """One event; ``name`` is empty where none is given."""

    name: str
    data: bytes


def events(chunks: Iterator[bytes]) -> Iterator[Event]:
    """Cut a stream into its events. Raises Unusable at one that is larger than EVENT_BYTES.

    What the end of the stream cuts off comes as an event too: many servers leave out the last empty line.
    """
    name = ""
    data: list[bytes] = []
    size = 0
    for line in _lines(chunks):
        if not line:
            if size:
                yield Event(name, b"\n".join(data))
            name, data, size = "", [], 0
            continue
        field, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if field == b"data":
            size += len(value)
            _bound(size)
            data.append(value)
        elif field == b"event":
            name = value[:100].decode("utf-8", "replace")
    if size:
        yield Event(name, b"\n".join(data))


def _lines(chunks: Iterator[bytes]) -> Iterator[bytes]:
    rest: list[bytes] = []
    size = 0
    is_first = True
    after_return = False
    for chunk in chunks:
        # The second half of a CR LF that two chunks share.
        part = chunk[1:] if after_return and chunk[:1] == b"\n" else chunk
        after_return = chunk[-1:] == b"\r" if chunk else after_return
        *whole, last = _LINE_END.split(part)
        for each in whole:
            line = b"".join((*rest, each))
            rest, size = [], 0
            yield line.removeprefix(_MARK) if is_first else line
            is_first = False
        size += len(last)
        _bound(size)
        if last:
            rest.append(last)
    if rest:
        line = b"".join(rest)
        yield line.removeprefix(_MARK) if is_first else line


def _bound(size: int) -> None:
    if size > EVENT_BYTES:
        raise Unusable(f"one event of the answer is larger than {EVENT_BYTES >> 20} MiB")
