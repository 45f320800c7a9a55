"""The agents and models of a server, looked up once each, by the names that a history has for them."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING

from imrs_client import InvalidArgument, NotFound
from imrs_client import v1 as pb
from imrs_server.cli.history.columns import Problem

if TYPE_CHECKING:
    from collections.abc import Mapping

    from imrs_client import ImrsClient


class Known:
    """``agents`` and ``models`` say what old names mean now; ``agent`` is that of rows that name none.

    A model is known by its model_id, or by its provider's id of it where only one provider has it.
    """

    def __init__(
        self, client: ImrsClient, *, agents: Mapping[str, str], models: Mapping[str, str], agent: str = ""
    ) -> None:
        self._client = client
        self._agents, self._models, self._agent = agents, models, agent
        # Found or not, a history names the same few again and again.
        self._found_agent = cache(self._find_agent)
        self._found_model = cache(self._find_model)

    def agent(self, name: str) -> str:
        """The agent_id that a row means. Raises Problem."""
        if not name and not self._agent:
            raise Problem("agent_id", "must be set, or --agent for all rows that name none")
        return _or_raise("agent_id", self._found_agent(name or self._agent))

    def model(self, name: str) -> str:
        """The model_id that a row means. Raises Problem."""
        if not name:
            raise Problem("model_id", "must be set: it is the model that answered")
        return _or_raise("model_id", self._found_model(name))

    def _find_agent(self, name: str) -> tuple[str, str]:
        agent_id = self._agents.get(name, name)
        try:
            found = self._client.admin.GetAgent(pb.GetAgentRequest(agent_id=agent_id))
        except InvalidArgument as error:
            return "", f"{error.violations[0].description if error.violations else error.message}: {agent_id}"
        except NotFound:
            return "", f"there is no agent {agent_id}: create it, or give --map-agent {name}=AGENT_ID"
        if found.state == pb.Agent.State.DELETED:
            return "", f"the agent {agent_id} is deleted: undelete it, or give --map-agent {name}=AGENT_ID"
        return found.agent_id, ""

    def _find_model(self, name: str) -> tuple[str, str]:
        wanted = self._models.get(name, name)
        try:
            return self._client.catalog.GetModel(pb.GetModelRequest(model_id=wanted)).model_id, ""
        except (InvalidArgument, NotFound):
            pass
        request = pb.ListModelsRequest(filter=pb.ModelFilter(search=wanted), page_size=1000)
        alike = [
            each.model_id
            for each in self._client.paginate(self._client.catalog.ListModels, request)
            if each.external_id == wanted
        ]
        if len(alike) == 1:
            return alike[0], ""
        advice = f"give --map-model {name}=MODEL_ID"
        if alike:
            return "", f"{wanted} may be {' or '.join(alike)}: {advice}"
        return "", f"there is no model {wanted}: sync its provider, or create it, or {advice}"


def _or_raise(field: str, answer: tuple[str, str]) -> str:
    found, problem = answer
    if problem:
        raise Problem(field, problem)
    return found
