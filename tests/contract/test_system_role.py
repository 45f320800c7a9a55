"""Who may act as ``imrs_system``, past row-level security: a reviewed list, each with its reason."""

from __future__ import annotations

import re
from pathlib import Path

import imrs_server

ROOT = Path(imrs_server.__file__).parent

REVIEWED = {
    "jobs/budgets.py": "windows of every tenant's budgets",
    "jobs/decision_log.py": "COPY of many tenants' decisions",
    "jobs/lifecycle.py": "retiring a model concerns every tenant's agents",
    "jobs/orphans.py": "keys of every tenant",
    "jobs/outbox.py": "what is to be told of every tenant's votes",
    "jobs/partitions.py": "partitions belong to no tenant",
    "jobs/rollup.py": "votes of every tenant",
    "jobs/stocktaking.py": "counts of rows and partitions, of no tenant in particular",
    "jobs/usage.py": "calls of every tenant",
    "storage/database.py": "the pool itself, and lists of a platform admin who names no tenant",
    "storage/group_commit.py": "votes of many tenants in one transaction, each of a caller who was checked",
    "storage/listener.py": "the index of every tenant",
    "use_cases/catalog.py": "standing rules of every tenant catch a new model",
    "use_cases/configuration/apply.py": "standing rules of every tenant catch a file's models",
    "use_cases/revert.py": "standing rules of every tenant",
    "use_cases/sync.py": "standing rules of every tenant catch new models",
}


def test_the_system_role_is_used_where_it_was_reviewed() -> None:
    uses = re.compile(r"\.system\((?:\)|timeout_seconds)|\"imrs_system\"")
    found = {
        str(path.relative_to(ROOT))
        for path in ROOT.rglob("*.py")
        if uses.search(path.read_text(encoding="utf-8"))
    }
    assert found == set(REVIEWED)
