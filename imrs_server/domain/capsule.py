"""The capsule: an agent's identity and governance. ``body.allowed_models`` limits which models it may use."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from imrs_client.globs import Globs

Roles: TypeAlias = frozenset[str] | None
"""Who may have a model: None is everybody, empty is nobody."""

Allowed: TypeAlias = Callable[[str, str], Roles]
"""From (model_id, external_id) to who may have that model."""

_NOBODY: frozenset[str] = frozenset()


def allowed(capsule: Mapping[str, Any] | None) -> Allowed:
    """What a capsule says: a list of globs, or a map from role to globs.

    Absent is no limit and empty allows nothing. What is neither list nor map of texts allows nothing either:
    a limit that cannot be read must not be passed.
    """
    body = (capsule or {}).get("body")
    if body is None:
        return lambda _model_id, _external_id: None
    limit = body.get("allowed_models") if isinstance(body, Mapping) else ()
    if limit is None:
        return lambda _model_id, _external_id: None
    if isinstance(limit, Mapping):
        by_role = {role: _globs(globs) for role, globs in limit.items()}
        return lambda model_id, external_id: frozenset(
            role for role, globs in by_role.items() if globs.match(model_id, external_id)
        )
    everybody = _globs(limit)
    return lambda model_id, external_id: None if everybody.match(model_id, external_id) else _NOBODY


def _globs(value: object) -> Globs:
    listed = value if isinstance(value, list | tuple) else ()
    return Globs(each for each in listed if isinstance(each, str))
