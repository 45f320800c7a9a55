"""The synchronous client."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

import grpc

from imrs_client import channel
from imrs_client.calls import Calls
from imrs_client.completion import Answer, Completion, CompletionStream, embed_request, request
from imrs_client.paging import items
from imrs_client.session import Session
from imrs_client.v1 import (
    AdminServiceStub,
    CatalogServiceStub,
    Decision,
    EmbedResponse,
    Feedback,
    FeedbackServiceStub,
    Message,
    RecordMessageRequest,
    RouteRequest,
    RouteServiceStub,
    SubmitFeedbackRequest,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from imrs_client.completion import Conversation


class ImrsClient:
    """The four services on one channel, safe to share between threads.

    `target` is `host:port`. `token` is a bearer token, or a function that returns one and is asked at every
    call. `tenant_id` goes into every request that has none of its own. Without `credentials` the connection
    is TLS with gRPC's own list of authorities, but plain where nothing leaves the machine, or where
    `insecure` says so. Every call has a deadline (imrs_client.methods); `timeouts_seconds` gives others by
    the method's name, and the `timeout` of a call wins. Calls that may be repeated are, while the server is
    unavailable. Failures raise ImrsError.
    """

    def __init__(
        self,
        target: str,
        *,
        token: str | Callable[[], str],
        tenant_id: str = "",
        credentials: grpc.ChannelCredentials | None = None,
        insecure: bool = False,
        timeouts_seconds: Mapping[str, float | None] | None = None,
        options: Sequence[tuple[str, str | int]] = (),
    ) -> None:
        settings = [*channel.options(), *options]
        secure = channel.credentials_for(target, credentials, insecure=insecure)
        self._channel = (
            grpc.secure_channel(target, secure, settings)
            if secure
            else grpc.insecure_channel(target, settings)
        )
        self._session = Session(tenant_id=tenant_id, timeouts_seconds=timeouts_seconds or {})
        typed = grpc.intercept_channel(self._channel, Calls(self._session, token))
        self.admin = AdminServiceStub(typed)
        self.catalog = CatalogServiceStub(typed)
        self.route = RouteServiceStub(typed)
        self.feedback = FeedbackServiceStub(typed)

    @property
    def last_revision(self) -> int:
        """The highest revision that a write of this client has made; 0 before any.

        As `min_revision` of a RouteRequest it asks for an answer that knows of the write.
        """
        return self._session.last_revision

    def wait_until_ready(self, timeout_seconds: float = 5) -> None:
        """Connect now, so that the first call need not; raises TimeoutError."""
        ready = grpc.channel_ready_future(self._channel)
        try:
            ready.result(timeout=timeout_seconds)
        except grpc.FutureTimeoutError:
            ready.cancel()
            raise TimeoutError(f"no connection within {timeout_seconds} s") from None

    def choose(self, *, timeout_seconds: float | None = None, **fields: Any) -> Decision:
        """Which model answers? `fields` are those of RouteRequest: `agent_id=`, `message=`, ..."""
        return self.route.Route(RouteRequest(**fields), timeout=timeout_seconds)

    def complete(
        self, conversation: Conversation, *, timeout_seconds: float | None = None, **fields: Any
    ) -> Completion:
        """An answer of the model that serves this best, or of the next one where it fails.

        `fields` are those of CompleteRequest and of its `route`: `agent_id=`, `tools=`, `max_attempts=`, ...
        """
        asked = request(conversation, stream=False, fields=fields)
        answer = Answer()
        for event in self.route.Complete(asked, timeout=timeout_seconds):
            answer.take(event)
        return answer.completion()

    def stream(
        self, conversation: Conversation, *, timeout_seconds: float | None = None, **fields: Any
    ) -> CompletionStream:
        """As `complete`, piece by piece; use it in a `with` where it may be left early."""
        asked = request(conversation, stream=True, fields=fields)
        return CompletionStream(self.route.Complete(asked, timeout=timeout_seconds))

    def embed(
        self, inputs: Sequence[str], *, timeout_seconds: float | None = None, **fields: Any
    ) -> EmbedResponse:
        """A vector for each text. `fields` are those of EmbedRequest and of its `route`: `agent_id=`, ..."""
        return self.route.Embed(embed_request(inputs, fields), timeout=timeout_seconds)

    def record(self, *, request_id: str = "", timeout_seconds: float | None = None, **fields: Any) -> Message:
        """What became of a call. `fields` are those of Message: `decision_id=`, `latency_ms=`, ..."""
        request = RecordMessageRequest(message=Message(**fields), request_id=request_id)
        return self.feedback.RecordMessage(request, timeout=timeout_seconds)

    def rate(
        self,
        message_id: str,
        rating: float | None = None,
        *,
        signal: Feedback.Signal.ValueType = Feedback.SIGNAL_UNSPECIFIED,
        timeout_seconds: float | None = None,
        **fields: Any,
    ) -> Feedback:
        """How good it was: a rating from 0 to 1, or a signal. `fields` are those of SubmitFeedbackRequest."""
        request = SubmitFeedbackRequest(message_id=message_id, rating=rating, signal=signal, **fields)
        return self.feedback.SubmitFeedback(request, timeout=timeout_seconds)

    def paginate(self, method: Callable[[Any], Any], request: Any) -> Iterator[Any]:
        """Every item of a List method, such as `client.catalog.ListModels`; pages are read when needed."""
        page = type(request)()
        page.CopyFrom(request)
        while True:
            response = method(page)
            yield from items(response)
            if not response.next_page_token:
                return
            page.page_token = response.next_page_token

    def close(self) -> None:
        """Close the connection; calls that run end as cancelled."""
        self._channel.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
