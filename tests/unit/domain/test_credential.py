"""Paths in the secret store are built from checked ids only."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from imrs_server.domain.credential import CredentialPath

TENANT = UUID("018f0000-0000-7000-8000-000000000001")


def test_paths_are_those_of_the_contract() -> None:
    assert str(CredentialPath("open_ai-2")) == "llm/open_ai-2"
    assert str(CredentialPath("openai", TENANT, "A.1")) == f"llm/openai/agents/{TENANT}/A.1"


@pytest.mark.parametrize(
    "provider_id",
    [
        "",
        "..",
        "../other",
        "a/b",
        "a/../b",
        ".",
        "A",
        "a" * 51,
        "a b",
        "a\n",
        "a\x00",
        "a%2fb",
        "-a",
        "ä",
        "a?b",
    ],
)
def test_a_provider_id_that_could_lead_elsewhere_is_refused(provider_id: str) -> None:
    with pytest.raises(ValueError, match="provider id"):
        CredentialPath(provider_id)


@pytest.mark.parametrize("agent_id", ["", "..", ".hidden", "a/b", "a\n", "a" * 65, "a b"])
def test_an_agent_id_that_could_lead_elsewhere_is_refused(agent_id: str) -> None:
    with pytest.raises(ValueError, match="agent id"):
        CredentialPath("openai", TENANT, agent_id)


@pytest.mark.parametrize(("tenant", "agent"), [(TENANT, None), (None, "a"), ("../x", "a")])
def test_half_of_an_agents_path_is_refused(tenant: Any, agent: Any) -> None:
    with pytest.raises(ValueError, match="tenant_id"):
        CredentialPath("openai", tenant, agent)
