"""Keep the table of settings in docs/operations.md as the code has it; --check only says whether it is."""

from __future__ import annotations

import re
import sys
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from imrs_server.settings import Settings

if TYPE_CHECKING:
    from pydantic.fields import FieldInfo

DOCUMENT = Path(__file__).resolve().parent.parent / "docs" / "operations.md"
TABLE = re.compile(r"(?<=<!-- settings -->\n).*?(?=<!-- end -->)", re.DOTALL)


def table() -> str:
    """One line a setting, in the order of the class."""
    lines = ["| variable | default | meaning |", "|---|---|---|"]
    for name, field in Settings.model_fields.items():
        lines.append(f"| `IMRS_{name.upper()}` | {_default(field)} | {field.description} |")
    return "\n".join(["", *lines, "", ""])


def _default(field: FieldInfo) -> str:
    if field.is_required():
        return "needed"
    value = field.default
    if value is None or value in ("", ()):
        return ""
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, timedelta):
        minutes, seconds = divmod(int(value.total_seconds()), 60)
        return f"`{minutes // 60:02}:{minutes % 60:02}:{seconds:02}`"
    return f"`{value}`"


def main() -> None:
    before = DOCUMENT.read_text(encoding="utf-8")
    after = TABLE.sub(lambda _: table(), before)
    if "--check" not in sys.argv:
        DOCUMENT.write_text(after, encoding="utf-8")
    elif after != before:
        sys.exit("docs/operations.md is older than the settings: run python tools/settings_table.py")


if __name__ == "__main__":
    main()
