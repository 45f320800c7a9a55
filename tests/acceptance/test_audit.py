"""Every change leaves one line in the audit log, in its transaction; reading leaves none."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any
from uuid import UUID

import psycopg
import pytest

from imrs_client import AlreadyExists, PermissionDenied
from imrs_client import v1 as pb
from imrs_client.ids import new_id
from imrs_server.domain.principal import Role
from tests.support.calls import METHODS, Caller
from tests.support.contents import contents, counted
from tests.support.everything import CATALOGUE, MODELS, Home, bearer, furnish, request_of, settle
from tests.support.provider import FakeProvider

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_client import ImrsClient
    from tests.support.service import Service

# What the line holds: the thing before the change, after it, or both. A change of many things holds its sum.
# Messages, votes and decisions are records themselves; only taking a vote back changes one.
WRITES = {
    "AdminService/CreateProvider": "after",
    "AdminService/UpdateProvider": "before after",
    "AdminService/DeleteProvider": "before after",
    "AdminService/UndeleteProvider": "before after",
    "AdminService/RotateProviderKey": "before after",
    "AdminService/SyncProvider": "after",
    "AdminService/RevertSync": "before after",
    "AdminService/SetTenant": "after",
    "AdminService/CreateAgent": "after",
    "AdminService/UpdateAgent": "before after",
    "AdminService/DeleteAgent": "before after",
    "AdminService/UndeleteAgent": "before after",
    "AdminService/CloneAgent": "after",
    "AdminService/EnableAgentModels": "after",
    "AdminService/DisableAgentModels": "after",
    "AdminService/UpdateAgentModel": "before after",
    "AdminService/DeleteAgentRule": "before after",
    "AdminService/SetModelOverride": "before after",
    "AdminService/ClearModelOverride": "before after",
    "AdminService/SetPreference": "after",
    "AdminService/DeletePreference": "before",
    "AdminService/SetEndpoint": "after",
    "AdminService/DeleteEndpoint": "before",
    "AdminService/LoadEndpoint": "before after",
    "AdminService/UnloadEndpoint": "before after",
    "AdminService/UpdateDefaults": "after",
    "AdminService/ApplyConfig": "after",
    "AdminService/UndoConfig": "before after",
    "AdminService/SetBudget": "after",
    "AdminService/DeleteBudget": "before",
    "CatalogService/CreateModel": "after",
    "CatalogService/UpdateModel": "before after",
    "CatalogService/DeleteModel": "before after",
    "CatalogService/UndeleteModel": "before after",
    "CatalogService/BulkUpdateModels": "after",
    "FeedbackService/RevokeFeedback": "before after",
    "AdminService/SetAgentKey": "after",
    "AdminService/DeleteAgentKey": "before",
    "AdminService/IssueToken": "after",
    "AdminService/RevokeToken": "before after",
}


class World:
    """A tenant, and a platform admin who calls everything for it."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.platform = service.platform
        self.here = settle(service, service.tenant_id)
        self.caller = Caller(service, Role.PLATFORM_ADMIN)

    def newest(self) -> tuple[int, pb.AuditEvent]:
        """How many lines there are, and the last one."""
        found = self.platform.admin.ListAuditEvents(pb.ListAuditEventsRequest(page_size=1))
        return found.total_size, found.audit_events[0]


@pytest.fixture(scope="module")
def world(shared_service: Service) -> Iterator[World]:
    with FakeProvider(CATALOGUE) as provider:
        furnish(shared_service, provider)
        yield World(shared_service)


@pytest.mark.parametrize("name", METHODS)
def test_a_write_leaves_one_line_and_a_read_none(world: World, name: str) -> None:
    request = request_of(name, world.here, world.platform)
    part = bearer(request)
    if part is not None:
        part.tenant_id = str(world.here.tenant_id)
    before, _ = world.newest()
    outcome = world.caller(name, request)
    after, line = world.newest()
    if outcome.reason == "NOT_BUILT":
        pytest.skip("not built yet")
    if not WRITES.get(name):
        assert after == before
        return
    assert after == before + 1
    assert line.method == name
    assert [line.actor, *line.roles] == ["platform_admin", "platform_admin"]
    assert " ".join(each for each in ("before", "after") if line.HasField(each)) == WRITES[name]
    assert (line.target_type, bool(line.target_id)) != ("", False)
    assert UUID(line.request_id).version == 7
    assert line.tenant_id == (str(world.here.tenant_id) if part is not None else line.tenant_id)


@contextmanager
def full_log(dsn: str) -> Iterator[None]:
    """While nothing can be written into the audit log."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(
            "create function full_log() returns trigger language plpgsql as $$"
            "begin raise 'the log is full'; end $$"
        )
        connection.execute(
            "create trigger full_log before insert on audit_events for each row execute function full_log()"
        )
        try:
            yield
        finally:
            connection.execute("drop function full_log cascade")


@pytest.mark.parametrize("name", WRITES)
def test_without_its_line_a_change_is_not_made(world: World, name: str) -> None:
    request = request_of(name, world.here, world.platform)
    part = bearer(request)
    if part is not None:
        part.tenant_id = str(world.here.tenant_id)
    dsn = world.service.settings.database_url.get_secret_value()
    world.service.app.decisions.flush()
    counted(dsn)
    before = contents(dsn)
    with full_log(dsn):
        assert world.caller(name, request).reason == "INTERNAL"
    after = contents(dsn)
    changed = {table for table in before if before[table] != after[table]}
    # A sync that failed is noted with its provider.
    assert changed <= ({"providers"} if name == "AdminService/SyncProvider" else set())


def test_what_fails_leaves_no_line(world: World) -> None:
    before, _ = world.newest()
    with pytest.raises(AlreadyExists):
        world.here.admin.admin.CreateAgent(
            pb.CreateAgentRequest(agent=pb.Agent(agent_id=world.here.agent_id))
        )
    assert world.newest()[0] == before


def test_what_changes_nothing_leaves_no_line(world: World) -> None:
    agent_id = world.here.new_agent()
    before, _ = world.newest()
    world.here.admin.admin.EnableAgentModels(
        pb.EnableAgentModelsRequest(agent_id=agent_id, model_ids=MODELS[:1])
    )
    world.here.admin.admin.ClearModelOverride(pb.ClearModelOverrideRequest(agent_id=agent_id))
    assert world.newest()[0] == before


def test_a_line_shows_the_thing_before_and_after_and_never_a_key(world: World) -> None:
    rotate = pb.RotateProviderKeyRequest(provider_id="p", api_key="sk-very-secret")
    world.platform.admin.RotateProviderKey(rotate)
    _, line = world.newest()
    assert (line.target_type, line.target_id) == ("provider", "p")
    assert line.after.fields["key_version"].number_value > line.before.fields["key_version"].number_value
    assert b"sk-very-secret" not in line.SerializeToString()


@pytest.fixture(scope="module")
def elsewhere(world: World) -> Home:
    return settle(world.service, new_id(), agent_id="theirs")


def events(client: ImrsClient, **filters: Any) -> list[pb.AuditEvent]:
    return list(client.paginate(client.admin.ListAuditEvents, pb.ListAuditEventsRequest(**filters)))


def test_a_tenant_admin_sees_the_own_tenant_and_a_platform_admin_all(world: World, elsewhere: Home) -> None:
    own = events(elsewhere.admin)
    assert {each.tenant_id for each in own} == {str(elsewhere.tenant_id)}
    assert own == events(world.platform, tenant_id=str(elsewhere.tenant_id))
    everything = events(world.platform, page_size=1000)
    assert {"", str(elsewhere.tenant_id), str(world.here.tenant_id)} <= {
        each.tenant_id for each in everything
    }
    with pytest.raises(PermissionDenied):
        events(world.here.admin, tenant_id=str(elsewhere.tenant_id))


def test_lines_are_filtered_by_actor_thing_method_and_time(world: World, elsewhere: Home) -> None:
    admin = elsewhere.admin
    own = events(admin)
    made = [each for each in own if each.method == "AdminService/CreateAgent"]
    assert events(admin, method="AdminService/CreateAgent") == made == events(admin, method="CreateAgent")
    assert {each.target_type for each in events(admin, target_type="agent_model")} == {"agent_model"}
    assert events(admin, target_type="agent", target_id="theirs", method="CreateAgent") == made
    assert events(admin, actor=Role.TENANT_ADMIN) == own
    assert events(admin, actor="somebody") == []
    second = own[1].create_time
    assert events(admin, start_time=second) == own[:2]
    assert events(admin, end_time=second) == own[2:]
    assert world.newest()[0] > len(own)


def test_the_log_comes_in_pages_newest_first_or_as_asked(elsewhere: Home) -> None:
    own = events(elsewhere.admin)
    times = [each.create_time.ToNanoseconds() for each in own]
    assert times == sorted(times, reverse=True)
    assert events(elsewhere.admin, page_size=1) == own
    assert events(elsewhere.admin, order_by="create_time") == own[::-1]
