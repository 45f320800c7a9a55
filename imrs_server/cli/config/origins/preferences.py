"""Preferences by class of agents, and what each model is called with: JSON of a model pool's router."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from imrs_server.cli.config.origins import fields
from imrs_server.cli.config.origins.fields import Fields
from imrs_server.cli.config.origins.reading import Place, Unreadable, json_value

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from imrs_server.cli.config.origins.draft import Draft

_PREFERENCES: Final = ("agent_preferences", "model_preferences", "preferences", "agent_classes", "agents")
_SETTINGS: Final = (
    "model_settings", "model_parameters", "inference_settings", "inference_parameters", "models",
)  # fmt: skip
_DEFAULTS: Final = frozenset({"default", "defaults", "_default", "*"})
_PRIMARY: Final = ("primary", "primary_model", "preferred", "model")
_FALLBACK: Final = ("fallback", "fallbacks", "fallback_model", "fallback_models")
_WORDS_ABOUT: Final = (
    "description",
    "comment",
    "_comment",
    "notes",
    "reason",
    "version",
    "updated",
    "$schema",
)
POOL: Final = "pool"


def looks_so(value: Any) -> bool:
    return isinstance(value, dict) and any(isinstance(value.get(name), dict) for name in _PREFERENCES)


def read(draft: Draft, path: Path, pool_url: str) -> None:
    """model_preferences.json: classes with a primary and a fallback, and parameters by model.

    Its models are a pool's, which becomes the provider `pool`. Raises Unreadable.
    """
    value = json_value(path)
    if not looks_so(value):
        raise Unreadable(f"{path}: has none of {', '.join(_PREFERENCES)}")
    place = Place(str(path))
    pool = _Pool(draft, place, pool_url)
    given = Fields(value, place, draft.notes, ignored=_WORDS_ABOUT)
    for name, settings in (given.take(fields.mapping, *_SETTINGS) or {}).items():
        pool.parameters(name, settings)
    for agent_class, preference in (given.take(fields.mapping, *_PREFERENCES) or {}).items():
        pool.prefer(agent_class, preference)
    for name in _DEFAULTS & value.keys():
        pool.prefer(name, given.take(lambda found: found, name))
    given.close()


def read_global(draft: Draft, path: Path) -> None:
    """advanced_model_settings.json: parameters of every call. Raises Unreadable."""
    value = json_value(path)
    if not isinstance(value, dict):
        raise Unreadable(f"{path}: must be an object of parameters")
    held = next(
        (value[name] for name in ("defaults", "global", "settings") if isinstance(value.get(name), dict)),
        value,
    )
    found = parameters(Fields(held, Place(str(path)), draft.notes, ignored=_WORDS_ABOUT), held)
    draft.global_defaults.setdefault("parameters", {}).update(found)


def parameters(given: Fields, values: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters by our names; what only one provider knows goes to `extra`."""
    found: dict[str, Any] = {
        "temperature": given.take(fields.number, "temperature"),
        "top_p": given.take(fields.number, "top_p", "topP"),
        "max_output_tokens": given.take(fields.whole, "maxTokens", "max_tokens", "num_predict"),
        "stop": given.take(fields.words, "stop"),
    }
    known = {"temperature", "top_p", "topP", "maxTokens", "max_tokens", "num_predict", "stop", *_WORDS_ABOUT}
    extra = {
        name: value
        for name, value in values.items()
        if name not in known and isinstance(value, bool | int | float | str)
    }
    for name in extra:
        given.take(lambda value: value, name)
    given.close()
    return {
        name: value for name, value in (found | {"extra": extra}).items() if value is not None and value != {}
    }


class _Pool:
    """Preferences whose models are all of one pool."""

    def __init__(self, draft: Draft, place: Place, url: str) -> None:
        self._draft, self._place = draft, place
        self._url = url.rstrip("/")

    def parameters(self, name: str, settings: Any) -> None:
        if not isinstance(settings, dict):
            self._draft.notes.add(self._place, f"settings of {name}", "must be an object of parameters")
            return
        inner = settings.get("parameters")
        values = inner if isinstance(inner, dict) else settings
        found = parameters(Fields(values, self._place, self._draft.notes, ignored=_WORDS_ABOUT), values)
        self._draft.models[self._model(name)]["parameters"] = found

    def prefer(self, agent_class: str, preference: Any) -> None:
        names = self._names(preference)
        if not names:
            self._draft.notes.add(self._place, f"preference of {agent_class}", "names no model")
            return
        key = "*" if agent_class in _DEFAULTS else agent_class
        model_ids = list(dict.fromkeys(self._model(name) for name in names))
        self._draft.preferences[key] = {"model_ids": model_ids}
        self._draft.places["preferences", key] = self._place

    def _names(self, preference: Any) -> list[str]:
        if isinstance(preference, str):
            return [preference] if preference.strip() else []
        if isinstance(preference, list):
            return [each for each in preference if isinstance(each, str) and each.strip()]
        if not isinstance(preference, dict):
            return []
        given = Fields(preference, self._place, self._draft.notes, ignored=_WORDS_ABOUT)
        first = given.take(fields.text, *_PRIMARY)
        others = given.take(fields.words, *_FALLBACK) or []
        given.close()
        return [*([first] if first else []), *others]

    def _model(self, name: str) -> str:
        provider_id = self._draft.provider(POOL, self._place, api_base=f"{self._url}/v1")
        self._draft.providers[provider_id]["pool_url"] = self._url
        return self._draft.model(provider_id, name, self._place)
