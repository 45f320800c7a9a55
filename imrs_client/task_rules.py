"""Rules of task detection as data: what they are, and how levels of them go over each other.

How entries of ``words`` are read is told in ``task_words``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import TypeVar

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Rules:
    """Tool -> task type, MIME glob or file ending -> task type, task type -> entries of ``task_words``.

    The order of entries never matters, so that rules may travel as JSON or protobuf maps.
    """

    tools: Mapping[str, str] = field(default_factory=dict)
    mime_types: Mapping[str, str] = field(default_factory=dict)
    words: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


def merge(*levels: Rules) -> Rules:
    """Merge from the strongest level to the weakest, entry by entry.

    An empty value is kept and says nothing: so it removes the entries of weaker levels, also those of a later
    merge. A MIME glob of a stronger level goes over what it matches, as ``image/*`` over ``image/png`` and
    ``.png``.
    """
    mime_types: dict[str, str] = {}
    for level in levels:
        mime_types |= {
            key: task
            for key, task in level.mime_types.items()
            if not any(_covers(each, key) for each in mime_types)
        }
    return Rules(
        tools=_over(*(each.tools for each in levels)),
        mime_types=mime_types,
        words=_over(*(each.words for each in levels)),
    )


def mime_type_of(filename: str) -> str:
    """The MIME type that a name tells; empty where it tells none. The same on every machine."""
    ending = filename.rpartition(".")[2].lower() if "." in filename else ""
    return MIME_TYPES.get(ending, "")


def _over(*levels: Mapping[str, T]) -> dict[str, T]:
    merged: dict[str, T] = {}
    for level in reversed(levels):
        merged |= level
    return merged


def _covers(stronger: str, weaker: str) -> bool:
    mime_type = mime_type_of(weaker) if weaker.startswith(".") else weaker
    return weaker == stronger or fnmatchcase(mime_type, stronger.lower())


# What the standard library knows of this differs by its version and by the machine.
MIME_TYPES: Mapping[str, str] = {
    ending: mime_type
    for mime_type, endings in {
        "application/pdf": "pdf",
        "application/msword": "doc",
        "application/rtf": "rtf",
        "application/epub+zip": "epub",
        "application/vnd.oasis.opendocument.text": "odt",
        "application/vnd.oasis.opendocument.presentation": "odp",
        "application/vnd.oasis.opendocument.spreadsheet": "ods",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.document": "docx docm",
        "application/vnd.openxmlformats-officedocument.presentationml.presentation": "pptx pptm ppsx",
        "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet": "xlsx xlsm",
        "application/vnd.ms-powerpoint": "ppt pps",
        "application/vnd.ms-excel": "xls",
        "application/vnd.apache.parquet": "parquet",
        "application/json": "json",
        "application/x-ipynb+json": "ipynb",
        "application/sql": "sql",
        "application/x-sh": "sh bash zsh",
        "text/csv": "csv",
        "text/tab-separated-values": "tsv",
        "text/plain": "txt log",
        "text/markdown": "md",
        "text/html": "html htm",
        "text/css": "css",
        "text/javascript": "js mjs cjs jsx",
        "text/x-typescript": "ts tsx",
        "text/x-python": "py pyi",
        "text/x-java": "java",
        "text/x-c": "c h cc cpp cxx hpp",
        "text/x-csharp": "cs",
        "text/x-go": "go",
        "text/x-rust": "rs",
        "text/x-ruby": "rb",
        "text/x-php": "php",
        "text/x-swift": "swift",
        "text/x-kotlin": "kt",
        "text/x-scala": "scala",
        "text/x-perl": "pl pm",
        "text/x-lua": "lua",
        "text/x-r": "r",
        "text/x-powershell": "ps1",
        "image/png": "png",
        "image/jpeg": "jpg jpeg",
        "image/gif": "gif",
        "image/webp": "webp",
        "image/bmp": "bmp",
        "image/tiff": "tif tiff",
        "image/heic": "heic heif",
        "image/avif": "avif",
        "image/svg+xml": "svg",
        "audio/mpeg": "mp3",
        "audio/wav": "wav",
        "audio/flac": "flac",
        "audio/ogg": "ogg oga opus",
        "audio/mp4": "m4a",
        "audio/aac": "aac",
        "video/mp4": "mp4 m4v",
        "video/mpeg": "mpeg mpg",
        "video/quicktime": "mov",
        "video/webm": "webm",
        "video/x-matroska": "mkv",
        "video/x-msvideo": "avi",
    }.items()
    for ending in endings.split()
}
