"""What a database holds, to see that nothing was stored."""

from __future__ import annotations

import psycopg
from psycopg import sql

from tests.support.waiting import eventually

# Where roll-ups have got to moves by itself, what is counted for reports now and then, and what servers
# tell of themselves.
MOVING = frozenset({"rollup_state", "usage_days", "replicas", "endpoint_calls"})

_TABLES = """
    select relname from pg_class
    where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and not relispartition
"""
_ROWS = "select count(*), coalesce(md5(string_agg(t::text, '|' order by t::text)), '') from {} as t"

_COUNTED = """
    select from rollup_state
    where name = 'evidence'
      and not exists (
        select from feedback where feedback.xid >= rollup_state.xid and not pending and revoke_time is null
      )
      and not exists (select from messages where messages.xid >= rollup_state.xid)
      and not exists (select from decisions where decisions.xid >= rollup_state.xid)
"""


def counted(dsn: str) -> None:
    """Wait until the roll-up has counted all there is: until then it writes by itself."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        eventually(lambda: connection.execute(_COUNTED).fetchone() is not None)


def contents(dsn: str) -> dict[str, tuple[int, str]]:
    """For every table its number of rows and a digest of them."""
    with psycopg.connect(dsn) as connection:
        tables = [name for (name,) in connection.execute(_TABLES) if name not in MOVING]
        found = {}
        for table in tables:
            row = connection.execute(sql.SQL(_ROWS).format(sql.Identifier(table))).fetchone()
            assert row is not None
            found[table] = (row[0], row[1])
        return found
