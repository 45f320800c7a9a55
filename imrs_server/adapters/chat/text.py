"""Text that comes in pieces: a character outside the basic plane may be cut in two by the JSON around it."""

from __future__ import annotations

import re

_HIGH = re.compile("[\ud800-\udbff]\\Z")
_LONE = re.compile("[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]")
_PAIR = re.compile("[\ud800-\udbff][\udc00-\udfff]")


class Pieces:
    """Joins halves of a character that two pieces share; each piece that it gives is text on its own."""

    def __init__(self) -> None:
        self._half = ""

    def add(self, piece: object) -> str:
        """The next piece, without a half at its end; empty for what is no text."""
        if not isinstance(piece, str):
            return ""
        text = self._half + piece
        self._half = ""
        if not text.isascii() and _HIGH.search(text):
            text, self._half = text[:-1], text[-1]
        return whole(text)


def whole(text: str) -> str:
    """The text with halves joined, and those without a partner replaced."""
    if text.isascii():
        return text
    joined = _PAIR.sub(lambda pair: pair[0].encode("utf-16", "surrogatepass").decode("utf-16"), text)
    return _LONE.sub("\ufffd", joined)
