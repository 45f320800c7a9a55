"""Clocks that should go alike."""

from __future__ import annotations

from typing import Final

from imrs_server.cli.doctor.finding import Finding, Level

_WARN_SECONDS: Final = 1.0
_FAIL_SECONDS: Final = 60.0


def compare(whose: str, ahead_seconds: float, than: str) -> Finding:
    """A clock, ``the database's``, and one that it is so far ahead of, ``this machine's``."""
    skew_seconds = abs(ahead_seconds)
    where = "ahead of" if ahead_seconds > 0 else "behind"
    says = f"{whose} is {skew_seconds:.3f} s {where} {than}"
    advice = "Tokens, ids and reports go by both: keep them in step by NTP."
    if skew_seconds >= _FAIL_SECONDS:
        return Finding("clock", Level.FAIL, says, advice)
    if skew_seconds >= _WARN_SECONDS:
        return Finding("clock", Level.WARN, says, advice)
    return Finding("clock", Level.OK, says)
