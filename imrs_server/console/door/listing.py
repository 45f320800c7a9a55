"""``GET /v1/models``: what may stand in `model`, for whoever asks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imrs_client.errors import InvalidArgument
from imrs_client.v1 import ListAgentModelsRequest, ListAgentsRequest
from imrs_server.console.door import reading
from imrs_server.console.door.refusals import Refused

if TYPE_CHECKING:
    from starlette.requests import Request

    from imrs_client.aio import AsyncImrsClient
    from imrs_server.console.door.answering import Reply
    from imrs_server.console.door.service import Service

MOST = 1_000


class Listing:
    """An agent sees itself and the models that it may use now, a tenant's admin the agents."""

    def __init__(self, service: Service) -> None:
        self._service = service

    async def answer(self, request: Request, reply: Reply) -> None:
        """All, at most MOST. Raises Refused and ImrsError."""
        found = await self._all(request)
        await reply.document({"object": "list", "data": found})

    async def answer_one(self, request: Request, reply: Reply) -> None:
        """The one that the path names. Raises Refused and ImrsError."""
        wanted = request.path_params["model"]
        for each in await self._all(request):
            if each["id"] == wanted:
                await reply.document(each)
                return
        raise Refused(
            f"The model {wanted[:300]} does not exist, or you may not use it.",
            status=404,
            code="model_not_found",
            param="model",
        )

    async def _all(self, request: Request) -> list[dict[str, Any]]:
        client = self._service.client(reading.token(request))
        try:
            return await _of_agent(client)
        except InvalidArgument:
            # The token names no agent.
            return await _of_tenant(client)


async def _of_agent(client: AsyncImrsClient) -> list[dict[str, Any]]:
    asked = ListAgentModelsRequest(page_size=MOST, effective=True)
    found = (await client.admin.ListAgentModels(asked)).models
    agents = {each.agent_id: _entry(f"agent:{each.agent_id}", "imrs", 0) for each in found}
    models = [
        _entry(each.model_id, each.provider_id, each.enabled_time.seconds) for each in found if each.eligible
    ]
    return [*agents.values(), *models]


async def _of_tenant(client: AsyncImrsClient) -> list[dict[str, Any]]:
    found = (await client.admin.ListAgents(ListAgentsRequest(page_size=MOST))).agents
    return [_entry(f"agent:{each.agent_id}", "imrs", each.create_time.seconds) for each in found]


def _entry(name: str, owner: str, created: int) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": created, "owned_by": owner}
