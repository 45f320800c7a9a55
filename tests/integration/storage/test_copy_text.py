"""Rows that are written as text arrive as they are."""

from __future__ import annotations

import psycopg
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from imrs_server.storage import copy_text

TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
VALUES = st.tuples(
    st.none() | TEXT,
    st.lists(TEXT, max_size=3),
    st.dictionaries(TEXT, TEXT | st.none() | st.booleans(), max_size=3),
    st.booleans(),
    st.floats(allow_nan=False),
)


# Each example leaves the database as it was.
@settings(max_examples=200, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture])
@given(rows=st.lists(VALUES, max_size=5))
def test_what_is_copied_is_read_again(database: str, rows: list[tuple[object, ...]]) -> None:
    with psycopg.connect(database) as tx:
        tx.execute(
            "create temporary table t (i int, a text, b jsonb, c jsonb, d bool, e float8) on commit drop"
        )
        with tx.cursor() as cursor, cursor.copy("copy t from stdin") as stream:
            for number, row in enumerate(rows):
                stream.write(copy_text.row((number, *row)) + "\n")
        found = [each[1:] for each in tx.execute("select * from t order by i")]
    assert found == rows
