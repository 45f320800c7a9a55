"""Writes a file: YAML that ``tree.parse`` reads back as the same values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import yaml

from imrs_server.config_file import tree

if TYPE_CHECKING:
    from collections.abc import Mapping

_WIDTH = 110
# YAML 1.1 takes them for breaks of lines, which come back as others unless they are written as escapes.
_BREAKS = frozenset("\x85\u2028\u2029")


class _Dumper(yaml.SafeDumper):
    """Quotes what this reader would take for something else than text; no anchors."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002
        # Lists stand to the right of what they belong to.
        super().increase_indent(flow, False)


def _text(dumper: yaml.SafeDumper, value: str) -> yaml.ScalarNode:
    style = '"' if _BREAKS.intersection(value) else None if tree.is_text(value) else "'"
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style=style)


_Dumper.add_representer(str, _text)


def render(sections: Mapping[str, Any]) -> str:
    """A file of JSON values, in the order given."""
    text: str = yaml.dump(dict(sections), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=_WIDTH)
    return text
