"""A ranked table with what is needed to call its models, and the answers made from them."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from imrs_server.domain import parameters
from imrs_server.domain.decision import Answer, SelectedModel
from imrs_server.domain.endpoint import preferred
from imrs_server.domain.parameters import UNSET

if TYPE_CHECKING:
    from collections.abc import Callable

    from imrs_client.decide import Choice
    from imrs_client.ranked import Candidate, RankedTable
    from imrs_client.tasks import Detection
    from imrs_server.domain.agent import Agent
    from imrs_server.domain.offer import Offer
    from imrs_server.domain.parameters import Parameters

# Most requests of a task ask for the same few things.
MAX_REPLIES = 16


class Table:
    """A ranked table, and its candidates with what is needed to call them.

    ``shadow`` is the table by the policy that is decided beside, where there is one.
    """

    __slots__ = ("_agent", "_around", "_below", "_models", "_offer_at", "_replies", "ranked", "shadow")

    def __init__(
        self,
        agent: Agent,
        ranked: RankedTable,
        offer_at: Callable[[int], Offer],
        *,
        below: Parameters,
        around: Parameters,
        shadow: RankedTable | None = None,
    ) -> None:
        """``offer_at`` gives the offer of the candidate at a position. ``below`` are the parameters of the
        levels under the model's, ``around`` of those over it.
        """
        self.ranked = ranked
        self.shadow = shadow
        self._agent = agent
        self._offer_at = offer_at
        self._below = below
        self._around = around
        self._models: dict[int, SelectedModel] = {}
        self._replies: dict[tuple[int, Detection], tuple[Choice, Answer]] = {}

    def answer(self, choice: Choice, task: Detection, own: Parameters = UNSET) -> Answer:
        """What is answered by a choice, with a request's own parameters over those of its models.

        Without any, the same choice and an equal task get the same answer.
        """
        if own is not UNSET:
            return self._answer(choice, task, own)
        key = (id(choice), task)
        found = self._replies.get(key)
        if found is None:
            if len(self._replies) >= MAX_REPLIES:
                self._replies.clear()
            # While it is kept, no other choice has its id.
            found = self._replies[key] = (choice, self._answer(choice, task, own))
        return found[1]

    def _answer(self, choice: Choice, task: Detection, own: Parameters) -> Answer:
        return Answer(
            tenant_id=self._agent.tenant_id,
            agent_id=self._agent.agent_id,
            task=task,
            selected=self.model(choice.selected, own),
            fallbacks=tuple([self.model(each, own) for each in choice.fallbacks]),
            reason=choice.reason,
            candidates_total=len(self.ranked.candidates),
            candidates_eligible=choice.eligible,
        )

    def model(self, position: int, own: Parameters = UNSET) -> SelectedModel:
        """The candidate at a position."""
        found = self._models.get(position)
        if found is None:
            candidate = self.ranked.candidates[position]
            found = self._models[position] = self._make(candidate, self._offer_at(position))
        if own is UNSET:
            return found
        return replace(found, parameters=parameters.resolve(found.parameters, own))

    def _make(self, candidate: Candidate, offer: Offer) -> SelectedModel:
        model, provider = offer.model, offer.provider
        input_price_usd, output_price_usd = offer.prices_usd
        return SelectedModel(
            model_id=model.model_id,
            provider_id=provider.provider_id,
            provider_type=provider.provider_type,
            api_base=provider.api_base,
            api_key_vault_path=offer.api_key_vault_path,
            external_id=model.external_id,
            display_name=model.display_name,
            priority=candidate.priority,
            cost_tier=model.cost_tier,
            score=candidate.score,
            parameters=parameters.resolve(
                self._below, model.parameters, self._around, offer.agent_model.parameters
            ),
            context_length=candidate.context_length,
            capabilities=model.capabilities,
            input_price_usd=input_price_usd,
            output_price_usd=output_price_usd,
            price_state=model.price_state,
            credentials_ok=candidate.credentials_ok,
            endpoint=preferred(offer.endpoints, f"{self._agent.tenant_id}/{self._agent.agent_id}"),
        )
