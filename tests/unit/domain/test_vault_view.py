"""When the database is believed about a key, and when Vault."""

from __future__ import annotations

from dataclasses import replace

import pytest

from imrs_server.domain.agent import AgentModel
from imrs_server.domain.agent_key import AgentKey
from imrs_server.domain.credential import CredentialPath
from imrs_server.domain.offer import Offer
from imrs_server.domain.vault_view import NEVER_LOOKED, Sighting, VaultView
from imrs_server.index import rows
from imrs_server.index.warm import Index
from tests.support.schema import HERE
from tests.support.state import PROVIDER, model, state

P = CredentialPath("p")
OWN = CredentialPath("p", HERE, "a")


@pytest.mark.parametrize(
    ("view", "noted", "usable"),
    [
        (NEVER_LOOKED, 1, True),
        (NEVER_LOOKED, None, False),
        (VaultView(answers=False), 1, False),
        (VaultView(sightings={P: Sighting(1, usable=False)}), 1, False),
        (VaultView(sightings={P: Sighting(None, usable=True)}), None, True),
        # Rotated, or set, since somebody looked.
        (VaultView(sightings={P: Sighting(1, usable=False)}), 2, True),
        (VaultView(sightings={P: Sighting(None, usable=False)}), 1, True),
    ],
)
def test_a_sighting_counts_until_the_key_is_written_again(
    view: VaultView, noted: int | None, usable: bool
) -> None:
    assert view.usable(P, noted) is usable


@pytest.mark.parametrize(
    ("dialect", "provider_usable", "own_usable", "ok"),
    [
        ("openai", True, None, True),
        ("openai", False, None, False),
        ("openai", False, True, True),
        ("openai", True, False, False),
        ("ollama", False, False, True),
    ],
)
def test_an_own_key_takes_the_providers_place_for_good_or_ill(
    dialect: str, provider_usable: bool, own_usable: bool | None, ok: bool
) -> None:
    provider = replace(PROVIDER, dialect=dialect, key_usable=provider_usable)
    own = () if own_usable is None else (OWN, own_usable)
    offer = Offer(AgentModel(agent_id="a", model_id="p/m"), model("m"), provider, *own)
    assert offer.credentials_ok is ok
    assert offer.api_key_vault_path == (f"secret/{OWN}" if own else "secret/llm/p")


def test_the_index_keeps_its_view_through_new_states_and_drops_tables_made_under_another() -> None:
    index = Index()
    first = state(model("m"))
    index.confirm(first)
    assert ok(index)

    index.see(VaultView(answers=False))
    assert not ok(index)
    index.confirm(state(model("m"), revision=8))  # read before the view changed
    assert (index.revision, ok(index)) == (8, False)

    seen = index.current
    index.see(VaultView(answers=False))
    assert index.current is seen  # nothing to do
    index.see(NEVER_LOOKED)
    assert ok(index)


def ok(index: Index) -> bool:
    assert index.current is not None
    tables = index.current.agent(HERE, "a")
    assert tables is not None
    return tables.table("").model(0).credentials_ok


def test_an_agents_own_key_is_part_of_its_state() -> None:
    found = state(model("m"))
    (key, enrolled), *_ = found.agents.items()
    own = AgentKey(tenant_id=HERE, agent_id="a", provider_id="p", key_version=1)
    with_key = replace(found, agents=rows.given({key: replace(enrolled, keys=(own,))}))
    tables = with_key.agent(HERE, "a")
    assert tables is not None
    assert tables.table("").model(0).api_key_vault_path == f"secret/{OWN}"
