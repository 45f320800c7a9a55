"""The capsule's limits on models (FR-03.4, FR-06.3)."""

from __future__ import annotations

from typing import Any

import pytest

from imrs_server.domain.capsule import allowed

BY_ROLE = {"admin": ["*"], "staff": ["p/model-1"], "guest": ["q/*"], "none": []}
NOBODY: frozenset[str] = frozenset()


@pytest.mark.parametrize(
    ("capsule", "who"),
    [
        (None, None),
        ({}, None),
        ({"body": {}}, None),
        ({"body": {"allowed_models": None}}, None),
        ({"body": {"allowed_models": ["p/*"]}}, None),
        ({"body": {"allowed_models": ["model-?"]}}, None),
        ({"body": {"allowed_models": ["q/*"]}}, NOBODY),
        ({"body": {"allowed_models": []}}, NOBODY),
        ({"body": {"allowed_models": {}}}, NOBODY),
        (
            {"body": {"allowed_models": {"admin": ["*"], "staff": ["p/model-1"], "guest": []}}},
            {"admin", "staff"},
        ),
    ],
)
def test_who_may_have_a_model(capsule: dict[str, Any] | None, who: Any) -> None:
    assert allowed(capsule)("p/model-1", "model-1") == who


@pytest.mark.parametrize("limit", ["p/*", 7, [1, None], {"admin": "p/*"}, {"admin": 3}])
def test_a_limit_that_cannot_be_read_lets_nobody_pass(limit: Any) -> None:
    assert allowed({"body": {"allowed_models": limit}})("p/model-1", "model-1") == NOBODY
    assert allowed({"body": "free for all"})("p/model-1", "model-1") == NOBODY
