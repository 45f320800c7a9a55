"""Databases of a cluster, for the parts that make their own."""

from __future__ import annotations

import psycopg
from psycopg import sql

from imrs_server.storage.database import conninfo


def create(dsn: str, name: str) -> bool:
    """Create a database where there is none of that name; says whether it was missing."""
    with psycopg.connect(conninfo(dsn, application="imrs set-up"), autocommit=True) as connection:
        if connection.execute("select from pg_database where datname = %s", [name]).fetchone() is not None:
            return False
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        return True
