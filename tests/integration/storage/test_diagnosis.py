"""How a database is, as the operator is told."""

from __future__ import annotations

from datetime import timedelta

import psycopg
import pytest

from imrs_server.storage import diagnosis

NONE, HOUR = timedelta(0), timedelta(hours=1)


@pytest.mark.parametrize(
    ("clock", "least", "most"),
    [
        ("perform pg_sleep(0.3); there := pg_catalog.clock_timestamp()", NONE, NONE),
        ("there := pg_catalog.clock_timestamp(); perform pg_sleep(0.3)", NONE, NONE),
        ("there := pg_catalog.clock_timestamp() + interval '1 hour'", HOUR * 0.9, HOUR),
        ("there := pg_catalog.clock_timestamp() - interval '1 hour'", -HOUR, -HOUR * 0.9),
    ],
    ids=["asked slowly", "answered slowly", "ahead", "behind"],
)
def test_a_clock_is_only_called_wrong_by_what_asking_does_not_explain(
    database: str, clock: str, least: timedelta, most: timedelta
) -> None:
    with psycopg.connect(database, autocommit=True) as owner:
        owner.execute(f"""
            create function public.clock_timestamp(out there timestamptz) language plpgsql
            as $$ begin {clock}; end $$
        """)
    with diagnosis.session(database) as tx:
        tx.execute("set search_path = public, pg_catalog")
        assert least <= diagnosis.ahead(tx) <= most
