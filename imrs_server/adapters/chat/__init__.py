"""Calls of models, one small module per way of talking; ``stream`` picks one by the provider's dialect."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from imrs_server.adapters.http import GuardedClient
    from imrs_server.adapters.network import Deadline
    from imrs_server.adapters.providers.dialect import Access
    from imrs_server.domain.chat import ChatRequest, Delta, Ended


def stream(
    client: GuardedClient, access: Access, request: ChatRequest, deadline: Deadline
) -> Iterator[Delta | Ended]:
    """Call the model once: its answer in pieces, and then Ended. Raises ChatFailure, and nothing else.

    ``client`` bounds the connect and the silence between two pieces (its Timing); it tries once. Closing the
    iterator closes the connection.
    """
    raise NotImplementedError
