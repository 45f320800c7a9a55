"""A change that the database refuses takes its key back out of Vault."""

from __future__ import annotations

from ipaddress import ip_network
from typing import TYPE_CHECKING

import psycopg
import pytest

from imrs_server.adapters.addresses import AddressRules
from imrs_server.domain.credential import CredentialPath
from imrs_server.domain.provider import Provider, ProviderType
from imrs_server.domain.secret import Secret
from imrs_server.use_cases.agent_keys import AgentKeys
from imrs_server.use_cases.agents import Agents
from imrs_server.use_cases.providers import Providers
from tests.support import patience
from tests.support.principals import ADMIN, PLATFORM

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.adapters.vault import Vault
    from imrs_server.storage.database import Database
    from tests.conftest import Vault as Running

ACME = Provider(
    provider_id="acme",
    display_name="Acme",
    provider_type=ProviderType.CUSTOM,
    dialect="openai",
    api_base="http://127.0.0.1:9/v1",
    models_endpoint="/models",
)
PATH = CredentialPath("acme")


@pytest.fixture
def db(database: str) -> Iterator[Database]:
    with patience.database(database, app_connections=2, system_connections=1) as opened:
        yield opened


@pytest.fixture
def store(vault: Running) -> Iterator[Vault]:
    with patience.vault(vault) as found:
        yield found


@pytest.fixture
def providers(db: Database, store: Vault) -> Providers:
    return Providers(db, store, AddressRules(allowed=(ip_network("127.0.0.0/8"),)))


def refuse_writes(db: Database) -> None:
    """From now on the audit row of a change, which comes after its key, cannot be written."""
    with psycopg.connect(db.dsn) as connection:
        connection.execute("alter table audit_events add constraint never check (false) not valid")


def test_a_refused_creation_leaves_no_key(providers: Providers, db: Database, store: Vault) -> None:
    refuse_writes(db)
    with pytest.raises(psycopg.errors.CheckViolation):
        providers.create(PLATFORM, ACME, Secret("sk"))
    assert list(store.paths()) == []


def test_a_refused_rotation_leaves_the_key_before(providers: Providers, db: Database, store: Vault) -> None:
    providers.create(PLATFORM, ACME, Secret("sk-old"))
    refuse_writes(db)
    with pytest.raises(psycopg.errors.CheckViolation):
        providers.rotate_key(PLATFORM, "acme", Secret("sk-new"))
    assert store.read(PATH).reveal() == "sk-old"


def test_a_refused_key_of_an_agent_leaves_the_one_before(
    providers: Providers, db: Database, store: Vault
) -> None:
    providers.create(PLATFORM, ACME, Secret("sk-shared"))
    Agents(db).create(ADMIN, None, "coder", {})
    keys = AgentKeys(db, store)
    noted = keys.set(ADMIN, None, "coder", "acme", Secret("sk-own")).value
    refuse_writes(db)
    with pytest.raises(psycopg.errors.CheckViolation):
        keys.set(ADMIN, None, "coder", "acme", Secret("sk-other"))
    with pytest.raises(psycopg.errors.CheckViolation):
        keys.delete(ADMIN, None, "coder", "acme")
    assert store.read(noted.path).reveal() == "sk-own"
    assert store.owner(noted.path) is not None
