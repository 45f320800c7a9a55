"""THE task detection: which task type a request is of, from its tools, attachments and words.

Pure and standard library only; the rules come as data, so that a tenant's own rules travel to every place
that decides. Sources in order of trust (SRS 3.5.2): a tool invocation, the MIME type of an attachment (both
HIGH), words of the message (MEDIUM, LOW where they only hint at it).
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from functools import lru_cache
from typing import TYPE_CHECKING

from imrs_client import task_words
from imrs_client.built_in_rules import SRS_RULES
from imrs_client.task_rules import Rules, merge, mime_type_of

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = [
    "GENERAL",
    "SRS_RULES",
    "Attachment",
    "Confidence",
    "Detection",
    "Rules",
    "Source",
    "detect",
    "merge",
]

GENERAL = "general"
# Weights of words that are enough, and enough to be sure. Tuned with the built-in rules.
HINT, SURE = 2.0, 3.0
# Sums of weights differ in their last bits by the order of the sum.
_ROUNDED, _LAST_BITS = 6, 1e-7


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
class Detection:
    """A task type with its reason, and the capabilities that attachments and tools ask of a model.

    An image asks for vision, a sound for audio, a film for video, tools for function_calling. A document asks
    for nothing, because most agents read it themselves and send its text.
    """

    task_type: str = GENERAL
    confidence: Confidence = Confidence.LOW
    source: Source = Source.NONE
    required_capabilities: tuple[str, ...] = ()
    alternatives: tuple[str, ...] = ()


_CAPABILITY_BY_KIND = {"image": "vision", "audio": "audio", "video": "video"}


def detect(
    rules: Rules,
    *,
    task_type: str = "",
    message: str = "",
    tools_used: Iterable[str] = (),
    attachments: Iterable[Attachment] = (),
) -> Detection:
    """Detect the task type; one that the request names is taken as it is.

    ``alternatives`` are the task types of lower sources, then of lower scores; equal scores go by name.
    """
    if task_type and not tools_used and not attachments:
        return _named(task_type)
    tools = list(tools_used)
    files = [(each.filename.lower(), _mime_type(each)) for each in attachments]
    capabilities = _capabilities(tools, files)
    if task_type:
        return Detection(
            task_type=task_type,
            confidence=Confidence.HIGH,
            source=Source.REQUEST,
            required_capabilities=capabilities,
        )
    found = (
        [(task, Confidence.HIGH, Source.TOOL) for tool in tools if (task := rules.tools.get(tool))]
        + [(task, Confidence.HIGH, Source.MIME) for each in files if (task := _by_file(rules, *each))]
        + [(task, confidence, Source.KEYWORD) for task, confidence in _by_words(rules, message)]
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


@lru_cache(maxsize=4096)
def _named(task_type: str) -> Detection:
    """Made once, as most requests of a program name one of few."""
    return Detection(task_type=task_type, confidence=Confidence.HIGH, source=Source.REQUEST)


def _mime_type(attachment: Attachment) -> str:
    # Mail programs and browsers say octet-stream where they do not know.
    told = attachment.mime_type.partition(";")[0].strip().lower()
    return mime_type_of(attachment.filename) or told if told in {"", "application/octet-stream"} else told


def _capabilities(tools: list[str], files: list[tuple[str, str]]) -> tuple[str, ...]:
    of_files = (_CAPABILITY_BY_KIND.get(mime_type.partition("/")[0], "") for _, mime_type in files)
    found = dict.fromkeys(filter(None, of_files))
    if tools:
        found["function_calling"] = None
    return tuple(found)


def _by_file(rules: Rules, filename: str, mime_type: str) -> str:
    """The task of the rule that says most: a file ending, a MIME type, a glob; a longer one first."""
    known = {key: task for key, task in rules.mime_types.items() if task}
    endings = [each for each in known if each.startswith(".") and filename.endswith(each.lower())]
    globs = [each for each in known if mime_type and fnmatchcase(mime_type, each.lower())]
    best = max(endings, key=_length, default="") or max(globs, key=_literal_length, default="")
    return known.get(best, "")


def _length(key: str) -> tuple[int, str]:
    return len(key), key


def _literal_length(glob: str) -> tuple[bool, int, str]:
    wild = sum(map(glob.count, "*?["))
    return wild == 0, len(glob) - wild, glob


def _by_words(rules: Rules, message: str) -> list[tuple[str, Confidence]]:
    if not message:
        return []
    scores = task_words.lexicon(rules.words).scores(message)
    enough = [(-round(score, _ROUNDED), task) for task, score in scores.items() if score > HINT - _LAST_BITS]
    return [(task, Confidence.MEDIUM if score <= -SURE else Confidence.LOW) for score, task in sorted(enough)]
