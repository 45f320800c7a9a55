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
    """Tool -> task type, MIME glob -> task type, task type -> words. The first that matches wins."""

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

_CAPABILITY_BY_MIME = {"image/*": "vision", "audio/*": "audio", "video/*": "video"}


def detect(
    rules: Rules,
    *,
    task_type: str = "",
    message: str = "",
    tools_used: Iterable[str] = (),
    attachments: Iterable[Attachment] = (),
) -> Detection:
    """Detect the task type; one that the request names is taken as it is."""
    mime_types = [each.mime_type or guess_type(each.filename)[0] or "" for each in attachments]
    capabilities = tuple(dict.fromkeys(filter(None, (_first(_CAPABILITY_BY_MIME, m) for m in mime_types))))
    if task_type:
        return Detection(
            task_type=task_type,
            confidence=Confidence.HIGH,
            source=Source.REQUEST,
            required_capabilities=capabilities,
        )
    found = (
        [(rules.tools[tool], Confidence.HIGH, Source.TOOL) for tool in tools_used if tool in rules.tools]
        + [(task, Confidence.HIGH, Source.MIME) for m in mime_types if (task := _first(rules.mime_types, m))]
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


def _first(globs: Mapping[str, str], mime_type: str) -> str:
    return next((value for glob, value in globs.items() if fnmatchcase(mime_type.lower(), glob)), "")


def _by_words(rules: Rules, message: str) -> list[str]:
    if not message:
        return []
    text = message.casefold()
    return [task for task, words in rules.words.items() if words and _pattern(words).search(text)]


@lru_cache(maxsize=1024)
def _pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    """Whole words only: "script" is not in "description"."""
    return re.compile(rf"\b(?:{'|'.join(re.escape(word.casefold()) for word in words)})\b")
