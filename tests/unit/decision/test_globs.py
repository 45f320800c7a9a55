"""Globs over models, told apart into ids, prefixes and patterns; against fnmatch one by one."""

from __future__ import annotations

from fnmatch import fnmatchcase

from hypothesis import given
from hypothesis import strategies as st

from imrs_client.globs import Globs

texts = st.text(alphabet="ab/[]*?!-", max_size=6)


@given(st.lists(texts, max_size=4), texts, texts)
def test_a_list_matches_what_one_of_its_globs_matches_or_names(
    globs: list[str], model_id: str, external_id: str
) -> None:
    one_by_one = any(
        glob == name or fnmatchcase(name, glob) for glob in globs for name in (model_id, external_id)
    )
    assert Globs(globs).match(model_id, external_id) == one_by_one


def test_case_counts_and_an_empty_list_matches_nothing() -> None:
    assert not Globs(["P/*"]).match("p/m", "m")
    assert not Globs([]).match("p/m", "m")
    assert Globs(["p/[odd]id"]).match("p/[odd]id", "[odd]id")
