"""Waiting for the transactions of others."""

from __future__ import annotations

import psycopg

from tests.support.waiting import eventually


def await_earlier(dsn: str) -> None:
    """Until every transaction of the cluster has ended that runs now.

    The roll-ups count what is older than all that run; and a cluster has some of its own, in any of its
    databases: ANALYZE.
    """
    with psycopg.connect(dsn, autocommit=True) as connection:
        (begun,) = connection.execute("select pg_snapshot_xmax(pg_current_snapshot())::text").fetchone() or ()
        ended = "select pg_snapshot_xmin(pg_current_snapshot()) >= %s::xid8"
        eventually(lambda: connection.execute(ended, [begun]).fetchone() == (True,))
