"""Logs that a test reads."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

import pytest
import structlog

from imrs_server.telemetry import logs

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def output() -> Iterator[io.StringIO]:
    """What is logged, line by line."""
    before = structlog.get_config()
    stream = io.StringIO()
    logs.configure(json=True, stream=stream)
    yield stream
    structlog.configure(**before)
