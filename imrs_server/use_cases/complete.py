"""Complete: choose a model, call it, go on to the next one where it fails, and account for every call."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import structlog

from imrs_client.ranked import RemovedBy
from imrs_server.adapters import chat
from imrs_server.adapters.key_cache import KeyCache
from imrs_server.adapters.providers.dialect import Access
from imrs_server.domain.budget import most_output_tokens
from imrs_server.domain.chat import ChatRequest, Ended
from imrs_server.domain.credential import CredentialPath
from imrs_server.domain.embedding import EmbeddingQuery, EmbeddingRequest
from imrs_server.domain.errors import DomainError, NoEligibleModel, ProviderNotFound
from imrs_server.domain.provider import State
from imrs_server.use_cases.admission import is_own_key
from imrs_server.use_cases.called import Calls
from imrs_server.use_cases.conversation import Conversation

if TYPE_CHECKING:
    from collections.abc import Callable, Generator

    from imrs_server.adapters.chat import Prepared
    from imrs_server.adapters.http import GuardedClient
    from imrs_server.adapters.network import Deadline
    from imrs_server.adapters.vault import Vault
    from imrs_server.domain.chat import Piece
    from imrs_server.domain.completion import CompletionEvent, CompletionQuery
    from imrs_server.domain.decision import Decision, SelectedModel
    from imrs_server.domain.principal import Principal
    from imrs_server.domain.secret import Secret
    from imrs_server.index.warm import Index
    from imrs_server.use_cases.catalog import Catalog
    from imrs_server.use_cases.late_messages import LateMessages
    from imrs_server.use_cases.messages import Messages
    from imrs_server.use_cases.pacing import Pacing
    from imrs_server.use_cases.pool import Pool
    from imrs_server.use_cases.route import Router
    from imrs_server.use_cases.spending import Spending

    Query = CompletionQuery | EmbeddingQuery

log = structlog.get_logger()


class Completions:
    """``client`` should try once only: what is tried again, and with which model, is decided here."""

    def __init__(
        self,
        router: Router,
        index: Index,
        vault: Vault,
        messages: Messages,
        catalog: Catalog,
        client: GuardedClient,
        pacing: Pacing,
        spending: Spending,
        late: LateMessages,
        pool: Pool,
        *,
        key_cache_seconds: float = 0.0,
    ) -> None:
        self._router = router
        self._index = index
        self._keys = KeyCache(vault.read, key_cache_seconds)
        self._messages = messages
        self._catalog = catalog
        self._client = client
        self.pacing = pacing
        self._spending = spending
        self._late = late
        self.pool = pool

    def complete(self, who: Principal, query: Query, deadline: Deadline) -> Generator[CompletionEvent]:
        """The decision, then what the model says and which models failed, and Completed last.

        The message of every call is stored: under the decision's id that of the last one, so of the one that
        answered. Where nobody waits any more (``deadline`` was cut, or the generator closed), the call is
        broken off and its message says CANCELLED.

        Raises what ``Router.route`` may raise; where no model answers, BudgetExceeded, CredentialMissing,
        what Vault may raise, InvalidRequest, ProviderUnavailable, ProviderRateLimited,
        ProviderInvalidResponse; and DatabaseUnavailable where the message cannot be stored now, or nobody
        can say what is left of a budget.
        """
        decision = self._route(who, query)
        calls = Calls(self._messages, self._late, self._spending, who, query, decision)
        conversation = Conversation(self, who, query, decision, deadline, calls)
        try:
            yield decision
            yield from conversation.run()
        finally:
            calls.settle()
            for model_id in conversation.unknown:
                self._lose(model_id)

    def _route(self, who: Principal, query: Query) -> Decision:
        try:
            return self._router.route(who, query.route)
        except NoEligibleModel as error:
            if RemovedBy.BUDGET not in error.metadata:
                raise
            tenant_id, agent_id = who.tenant(query.route.tenant_id), who.agent(query.route.agent_id)
            raise self._spending.used_up(tenant_id, agent_id) or error from None

    def free_models(self, who: Principal, query: Query) -> tuple[SelectedModel, ...]:
        """Who may stand in where the money is short; nobody for vectors, which only compare to their like."""
        if isinstance(query, EmbeddingQuery):
            return ()
        return self._router.free_models(who, query.route)

    def output_tokens(self, model: SelectedModel, query: Query) -> int:
        """The longest answer that the model may give to this call."""
        if isinstance(query, EmbeddingQuery):
            return 0
        state = self._index.current
        known = state.models.get(model.model_id) if state else None
        return most_output_tokens(
            model.parameters.max_output_tokens, known.max_output_tokens if known else None
        )

    def access(
        self, model: SelectedModel, decision: Decision, read: Callable[[CredentialPath], Secret]
    ) -> Access:
        """The provider, and the key to it as ``read`` gives it: the agent's own where it has one.

        Raises ProviderNotFound, and what ``read`` raises.
        """
        state = self._index.current
        provider = state.providers.get(model.provider_id) if state else None
        if provider is None or provider.state is not State.ACTIVE:
            raise ProviderNotFound(provider_id=model.provider_id)
        if is_own_key(model) or provider.needs_key or provider.key_version is not None:
            return Access(provider=provider, key=read(_path(model, decision)))
        return Access(provider=provider)

    def read(self, path: CredentialPath) -> Secret:
        """A key. Raises CredentialMissing, and what Vault may raise."""
        state = self._index.current
        return self._keys.read(path, state.key_version(path) if state else None)

    def forget(self, model: SelectedModel, decision: Decision) -> None:
        """The provider does not take the key."""
        self._keys.forget(_path(model, decision))

    def prepared(self, model: SelectedModel, query: Query, access: Access) -> Prepared:
        """The call of this model. Raises ChatFailure where its provider has no way to take it."""
        return chat.prepare(access, self._request(model, query))

    def send(self, prepared: Prepared, deadline: Deadline) -> Generator[Piece | Ended, None, None]:
        return cast("Generator[Piece | Ended, None, None]", chat.send(self._client, prepared, deadline))

    def _request(self, model: SelectedModel, query: Query) -> ChatRequest | EmbeddingRequest:
        if isinstance(query, EmbeddingQuery):
            return EmbeddingRequest(
                external_id=model.external_id,
                inputs=query.inputs,
                dimensions=query.dimensions,
                extra=model.parameters.extra,
            )
        state = self._index.current
        known = state.models.get(model.model_id) if state else None
        return ChatRequest(
            external_id=model.external_id,
            messages=query.messages,
            tools=query.tools,
            tool_choice=query.tool_choice,
            response_format=query.response_format,
            parameters=model.parameters,
            max_output_tokens=known.max_output_tokens if known else None,
            stream=query.stream,
        )

    def _lose(self, model_id: str) -> None:
        try:
            self._catalog.lose(model_id)
        except DomainError as error:
            log.warning("model.not_marked_missing", model_id=model_id, reason=error.reason)


def _path(model: SelectedModel, decision: Decision) -> CredentialPath:
    """Where the key for a model lies."""
    if is_own_key(model):
        return CredentialPath(model.provider_id, decision.tenant_id, decision.agent_id)
    return CredentialPath(model.provider_id)
