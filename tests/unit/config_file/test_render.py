"""What is written as a file is read back as the same values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from imrs_server.config_file import tree
from imrs_server.config_file.render import render

# NUL and halves of characters are in no file, nor in the database.
TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=50)


@given(TEXT)
def test_any_text_comes_back(text: str) -> None:
    values = {"text": text, "list": [text], "mapping": {f"x{text}": text}}
    assert tree.parse(render(values)).plain() == values


@pytest.mark.parametrize("end", ["\x85", "\u2028", "\u2029", "\r", "\n", "\ufeff", " ", "\t"])
def test_what_ends_a_line_elsewhere_comes_back_as_it_was(end: str) -> None:
    for text in (end, f"a{end}b", f"{end}b", f"a{end}"):
        assert tree.parse(render({"text": text})).plain() == {"text": text}
