"""THE task detection: which task type a request is of, from its tools, attachments and words.

Pure and standard library only; the rules come as data, so that a tenant's own rules travel to every place
that decides. Sources in order of trust (SRS 3.5.2): a tool invocation, the MIME type of an attachment (both
HIGH), words of the message (MEDIUM).
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import lru_cache
from mimetypes import guess_type
from typing import TypeVar

T = TypeVar("T")

GENERAL = "general"


class Confidence(StrEnum):
    """How sure a detection is."""

    HIGH = "HIGH"
    MEDIUM = "MEDIUM"
    LOW = "LOW"


class Source(StrEnum):
    """What a detection went by."""

    TOOL = "TOOL"
    MIME = "MIME"
    KEYWORD = "KEYWORD"
    REQUEST = "REQUEST"
    NONE = "NONE"


@dataclass(frozen=True, slots=True)
class Attachment:
    """What is known of an attached file; the MIME type follows from the name where it is empty."""

    filename: str = ""
    mime_type: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Tool -> task type, MIME glob or file ending -> task type, task type -> words. The first match wins.

    Words and phrases match whole, in any case; one with a leading ``-`` speaks against its task type.
    """

    tools: Mapping[str, str] = field(default_factory=dict)
    mime_types: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Detection:
    """A task type with its reason, and the capabilities that the attachments ask of a model."""

    task_type: str = GENERAL
    confidence: Confidence = Confidence.LOW
    source: Source = Source.NONE
    required_capabilities: tuple[str, ...] = ()
    alternatives: tuple[str, ...] = ()


# SRS 3.5.4, with the MIME types of its detection table.
SRS_RULES = Rules(
    tools={
        "code_execute": "code",
        "document_ingest": "document",
        "http_fetch": "research",
        "file_read": "file_ops",
        "canvas_append": "canvas",
        "dalle3_image_gen": "image_gen",
        "mermaid_diagram": "diagram",
        "playwright_screenshot": "screenshot",
    },
    mime_types={
        "application/pdf": "document",
        "application/msword": "document",
        "application/vnd.oasis.opendocument.text": "document",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.*": "document",
        "application/vnd.ms-powerpoint": "slides",
        "application/vnd.oasis.opendocument.presentation": "slides",
        "application/vnd.openxmlformats-officedocument.presentationml.*": "slides",
        "application/vnd.ms-excel": "analysis",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.*": "analysis",
        "text/csv": "analysis",
        "text/x-*": "code",
        "text/javascript": "code",
        "application/javascript": "code",
        "image/*": "image",
    },
    words={
        "slides": ("powerpoint", "ppt", "presentation", "slides"),
        "code": ("code", "program", "script", "function", "python", "javascript"),
        "analysis": ("analyze", "examine", "investigate", "review"),
        "summarization": ("summarize", "summary", "condense", "tldr"),
        "translation": ("translate", "translation"),
        "image": ("image", "picture", "photo", "diagram"),
        "document": ("document", "report", "paper", "pdf"),
    },
)

_WORD = re.compile(r"\w+")
_CAPABILITY_BY_KIND = {"image": "vision", "audio": "audio", "video": "video"}


def merge(*levels: Rules) -> Rules:
    """Merge from the strongest level to the weakest, entry by entry; an empty value removes an entry.

    Entries of a stronger level are asked first.
    """
    return Rules(
        tools=_over(*(each.tools for each in levels)),
        mime_types=_over(*(each.mime_types for each in levels)),
        words=_over(*(each.words for each in levels)),
    )


def detect(
    rules: Rules,
    *,
    task_type: str = "",
    message: str = "",
    tools_used: Iterable[str] = (),
    attachments: Iterable[Attachment] = (),
) -> Detection:
    """Detect the task type; one that the request names is taken as it is."""
    files = [(each.filename, _mime_type(each)) for each in attachments]
    capabilities = tuple(dict.fromkeys(filter(None, (_capability(mime_type) for _, mime_type in files))))
    if task_type:
        return Detection(
            task_type=task_type,
            confidence=Confidence.HIGH,
            source=Source.REQUEST,
            required_capabilities=capabilities,
        )
    found = (
        [(rules.tools[tool], Confidence.HIGH, Source.TOOL) for tool in tools_used if tool in rules.tools]
        + [(task, Confidence.HIGH, Source.MIME) for each in files if (task := _by_file(rules, *each))]
        + [(task, Confidence.MEDIUM, Source.KEYWORD) for task in _by_words(rules, message)]
    )
    if not found:
        return Detection(required_capabilities=capabilities)
    best, confidence, source = found[0]
    return Detection(
        task_type=best,
        confidence=confidence,
        source=source,
        required_capabilities=capabilities,
        alternatives=tuple(dict.fromkeys(task for task, _, _ in found if task != best)),
    )


def _over(*levels: Mapping[str, T]) -> dict[str, T]:
    merged: dict[str, T] = {}
    for level in levels:
        for key, value in level.items():
            merged.setdefault(key, value)
    return {key: value for key, value in merged.items() if value}


def _mime_type(attachment: Attachment) -> str:
    return (attachment.mime_type or guess_type(attachment.filename)[0] or "").lower()


def _capability(mime_type: str) -> str:
    return _CAPABILITY_BY_KIND.get(mime_type.partition("/")[0], "")


def _by_file(rules: Rules, filename: str, mime_type: str) -> str:
    name = filename.lower()
    for glob, task in rules.mime_types.items():
        if name.endswith(glob) if glob.startswith(".") else fnmatchcase(mime_type, glob):
            return task
    return ""


def _by_words(rules: Rules, message: str) -> list[str]:
    if not message:
        return []
    text = message.casefold()
    words = frozenset(_WORD.findall(text))
    return [task for task, wanted in rules.words.items() if _speaks(wanted, words, text)]


def _speaks(wanted: tuple[str, ...], words: frozenset[str], text: str) -> bool:
    for_it, against_it = _vocabularies(wanted)
    return for_it.occurs(words, text) and not against_it.occurs(words, text)


class _Vocabulary:
    """Words, looked up among those of a text, and phrases, searched in it: each whole.

    So "script" is not in "description".
    """

    def __init__(self, entries: Iterable[str]) -> None:
        folded = [each.casefold() for each in entries if each]
        self._words = frozenset(each for each in folded if _WORD.fullmatch(each))
        phrases = "|".join(re.escape(each) for each in folded if each not in self._words)
        self._phrases = re.compile(rf"(?<!\w)(?:{phrases})(?!\w)") if phrases else None

    def occurs(self, words: frozenset[str], text: str) -> bool:
        return not self._words.isdisjoint(words) or (
            self._phrases is not None and self._phrases.search(text) is not None
        )


@lru_cache(maxsize=1024)
def _vocabularies(wanted: tuple[str, ...]) -> tuple[_Vocabulary, _Vocabulary]:
    for_it = [each for each in wanted if not each.startswith("-")]
    return _Vocabulary(for_it), _Vocabulary(each[1:] for each in wanted if each.startswith("-"))
