"""Reading the items of a long JSON list one by one, in memory bounded by the largest item.

A catalogue of 50,000 models is over 100 MB as Python objects; an answer from outside may be any size at all.
"""

from __future__ import annotations

import codecs
import json
import math
import re
from typing import TYPE_CHECKING, Any, NoReturn

from imrs_server.adapters.failures import Unusable

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

_ITEM_CHARACTERS = 1 << 20
# Decoding starts anew when an item was cut, so it waits for this much more: bytes may come one by one.
_STEP_CHARACTERS = 1 << 14
_NUMBER_CHARACTERS = 64
_ENVELOPE_MEMBERS = 1000
_LEVELS = 32
_BROKEN = "the answer is not JSON, or was cut off"
_SPACE = re.compile(r"[ \t\r\n]*")
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def document(chunks: Iterator[bytes]) -> Any:
    """Parse a whole document, which must be small: an item of its own. Raises Unusable."""
    window = _Window(chunks)
    value = window.value()
    window.end()
    return value


def parse(data: bytes) -> Any:
    """Parse a document that is at hand whole. Raises Unusable."""
    try:
        return _DECODER.decode(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise Unusable("the answer is not UTF-8") from None
    except json.JSONDecodeError:
        is_markup = data.lstrip()[:1] == b"<"
        raise Unusable("the answer is HTML or XML, not JSON" if is_markup else _BROKEN) from None
    except RecursionError:
        raise Unusable("the JSON is nested too deeply") from None
    except _Refused:
        raise Unusable("the JSON holds a number that is not finite or far too long") from None


class ItemStream:
    """Iterates over the items of the list; the rest of the document is in ``envelope`` when that is done.

    The list is the document itself, or the value of the first of ``keys`` that the top object has.
    ``found`` tells whether there was one. Every item and every other value holds at most 1 MiB of text.
    Raises Unusable, possibly after many items: nothing of a broken answer may be kept.
    """

    def __init__(self, chunks: Iterator[bytes], keys: Collection[str]) -> None:
        self._window = _Window(chunks)
        self._keys = keys
        self.envelope: dict[str, Any] = {}
        self.found = False

    def __iter__(self) -> Iterator[Any]:
        window = self._window
        if window.peek() == "[":
            yield from self._items()
        elif window.peek() == "{":
            yield from self._members()
        else:
            # Whatever else it is, this says what is wrong with it.
            window.value()
            raise Unusable("the answer is neither a JSON object nor an array")
        window.end()

    def _members(self) -> Iterator[Any]:
        window = self._window
        window.take("{")
        if window.peek() == "}":
            window.take("}")
            return
        while True:
            key = window.value()
            if not isinstance(key, str):
                raise Unusable(_BROKEN)
            window.take(":")
            if key in self._keys and not self.found and window.peek() == "[":
                yield from self._items()
            else:
                value = window.value()
                # Go servers write an empty list as null.
                self.found = self.found or (key in self._keys and value is None)
                self.envelope[key] = value
                if len(self.envelope) > _ENVELOPE_MEMBERS:
                    raise Unusable("the answer has too many members")
            if window.take(",}") == "}":
                return

    def _items(self) -> Iterator[Any]:
        window = self._window
        window.take("[")
        self.found = True
        if window.peek() == "]":
            window.take("]")
            return
        while True:
            yield window.value()
            if window.take(",]") == "]":
                return


def storable(value: Any, levels: int = _LEVELS) -> Any:
    """The value with NUL and lone surrogates replaced in every text: PostgreSQL stores neither.

    Raises ValueError when it is nested deeper than ``levels``.
    """
    if isinstance(value, str):
        return value if value.isprintable() else _UNSTORABLE.sub("\ufffd", value)
    if not isinstance(value, list | dict):
        return value
    if levels == 0:
        raise ValueError("nested too deeply")
    if isinstance(value, list):
        return [storable(each, levels - 1) for each in value]
    return {storable(key): storable(each, levels - 1) for key, each in value.items()}


class _Refused(Exception):
    """A number that no list of models needs."""


def _refuse(text: str) -> NoReturn:
    raise _Refused(text[:20])


def _integer(text: str) -> int:
    return int(text) if len(text) <= _NUMBER_CHARACTERS else _refuse(text)


def _fraction(text: str) -> float:
    number = float(text)
    return number if math.isfinite(number) else _refuse(text)


_DECODER = json.JSONDecoder(parse_constant=_refuse, parse_int=_integer, parse_float=_fraction)


class _Window:
    """The part of the text that is not used up yet."""

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        # A byte order mark is common in files written by hand.
        self._decoder = codecs.getincrementaldecoder("utf-8-sig")()
        self._text = ""
        self._at = 0
        self._ended = False

    def peek(self) -> str:
        """The next character that is no white space, or "" at the end."""
        while True:
            match = _SPACE.match(self._text, self._at)
            self._at = match.end() if match else self._at
            if self._at < len(self._text):
                return self._text[self._at]
            if not self._more():
                return ""

    def take(self, wanted: str) -> str:
        """Step over one of the wanted characters."""
        character = self.peek()
        if not character or character not in wanted:
            raise Unusable(_BROKEN)
        self._at += 1
        return character

    def value(self) -> Any:
        """Decode the value that starts here."""
        if self.peek() == "<":
            raise Unusable("the answer is HTML or XML, not JSON")
        while True:
            try:
                value, end = _DECODER.raw_decode(self._text, self._at)
            except json.JSONDecodeError:
                if not self._more():
                    raise Unusable(_BROKEN) from None
                continue
            except RecursionError:
                raise Unusable("the JSON is nested too deeply") from None
            except _Refused:
                raise Unusable("the JSON holds a number that is not finite or far too long") from None
            # A number at the edge may go on in the next chunk.
            if end == len(self._text) and self._more():
                continue
            self._at = end
            return value

    def end(self) -> None:
        """Nothing but white space may follow."""
        if self.peek():
            raise Unusable("something follows the JSON")

    def _more(self) -> bool:
        """Read on by a step; False at the end of the answer."""
        if self._ended:
            return False
        parts = [self._text[self._at :]]
        if len(parts[0]) > _ITEM_CHARACTERS:
            raise Unusable("the answer is not JSON, or one value in it is larger than 1 MiB")
        grown = 0
        try:
            while grown < _STEP_CHARACTERS and not self._ended:
                chunk = next(self._chunks, None)
                self._ended = chunk is None
                text = self._decoder.decode(chunk or b"", final=self._ended)
                parts.append(text)
                grown += len(text)
        except UnicodeDecodeError:
            raise Unusable("the answer is not UTF-8") from None
        self._text = "".join(parts)
        self._at = 0
        return grown > 0
