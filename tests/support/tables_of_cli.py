"""What commands print, read as programs do."""

from __future__ import annotations

import csv
from io import StringIO
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from click.testing import Result


def rows(result: Result) -> list[dict[str, str]]:
    """The lines of ``--csv``, by the names of the columns."""
    assert result.exit_code == 0, result.output
    return list(csv.DictReader(StringIO(result.stdout)))
