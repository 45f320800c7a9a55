"""What is not built yet answers so by name; the list is reviewed, and only shrinks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import grpc
import pytest

from imrs_client import ImrsError
from imrs_server.domain.principal import Role
from tests.support import raw, requests

if TYPE_CHECKING:
    from tests.support.service import Service

# Whoever builds a method takes it off.
UNBUILT: dict[str, str] = {}


def test_a_method_that_is_not_built_names_itself(service: Service) -> None:
    """Every other method answers something else, if only that its request is empty."""
    everybody = service.token(*Role, tenant_id=service.tenant_id, agent_id="bot")
    found: dict[str, set[str]] = {}
    for name, methods in requests.SERVICES.items():
        for method in methods.methods:
            error = failure(service, everybody, f"{methods.full_name}/{method.name}")
            if error is not None and error.code is grpc.StatusCode.UNIMPLEMENTED:
                found.setdefault(name, set()).add(method.name)
                assert error.reason == "NOT_BUILT"
                assert error.metadata == {"method": f"{methods.full_name}.{method.name}"}
            else:
                assert error is None or error.reason not in {"", "INTERNAL"}, method.name
    assert found == {name: set(methods.split()) for name, methods in UNBUILT.items()}


def failure(service: Service, token: str, method: str) -> ImrsError | None:
    try:
        raw.send(service.app.address, f"/{method}", metadata=[("authorization", f"Bearer {token}")])
    except ImrsError as error:
        return error
    return None


@pytest.mark.parametrize("role", [Role.AGENT, Role.USER])
def test_who_may_not_call_a_method_does_not_learn_whether_it_is_built(service: Service, role: Role) -> None:
    token = service.token(role, agent_id="bot" if role is Role.AGENT else None)
    error = failure(service, token, "imrs.v1.AdminService/ApplyConfig")
    assert error is not None
    assert (error.code.name, error.reason) == ("PERMISSION_DENIED", "ROLE_REQUIRED")
