"""A configuration file as text: YAML that means the same in version 1.1 and 1.2."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

import yaml

# What either version may take for something else than text.
_AMBIGUOUS: Final = re.compile(r"[-+.0-9~].*|(?i:y|yes|n|no|on|off|true|false|null)|", re.DOTALL)


class _Dumper(yaml.SafeDumper):
    """Indents lists, writes money as it is, and quotes what could be a number or a word of YAML's."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        del indentless
        super().increase_indent(flow, indentless=False)

    def ignore_aliases(self, data: Any) -> bool:
        del data
        return True


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.Node:
    style = '"' if _AMBIGUOUS.fullmatch(value) or not value.isprintable() else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


def _money(dumper: yaml.SafeDumper, value: Decimal) -> yaml.Node:
    told = f"{value:f}"
    if Decimal(repr(float(told))) != value:
        return _text(dumper, told)
    tag = "tag:yaml.org,2002:" + ("float" if "." in told else "int")
    return dumper.represent_scalar(tag, told)


_Dumper.add_representer(str, _text)
_Dumper.add_representer(Decimal, _money)


def text(content: dict[str, Any], comments: list[str]) -> str:
    """The file, with comments above it."""
    above = "".join(f"# {line}\n" for line in comments)
    return above + yaml.dump(content, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)
