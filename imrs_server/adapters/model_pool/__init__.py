"""Who loads and unloads models: Ollama itself, or the manager of a pool."""

from __future__ import annotations

from typing import TYPE_CHECKING

from imrs_server.adapters.failures import Unreachable
from imrs_server.adapters.http import Call
from imrs_server.adapters.model_pool.asking import ANSWER_BYTES
from imrs_server.adapters.model_pool.keeper import Keeper, Place, Sighting
from imrs_server.adapters.model_pool.manager import Manager
from imrs_server.adapters.model_pool.ollama import Ollama
from imrs_server.adapters.providers.dialect import option_headers

if TYPE_CHECKING:
    from imrs_server.adapters.http import GuardedClient
    from imrs_server.adapters.network import Deadline
    from imrs_server.adapters.providers.dialect import Access
    from imrs_server.domain.provider import Provider

__all__ = ["Keeper", "Manager", "Ollama", "Place", "Sighting", "keeper_of", "knock"]


def keeper_of(provider: Provider) -> Keeper | None:
    """Who loads the provider's models; None where they are always there."""
    if provider.pool_url:
        return Manager()
    return Ollama() if provider.dialect == "ollama" else None


def knock(client: GuardedClient, access: Access, deadline: Deadline) -> None:
    """Raises CallFailed unless somebody answers there, whatever he says but for a failure of his own."""
    call = Call(url=access.provider.models_url, headers=option_headers(access))
    with client.exchange(call, deadline, ANSWER_BYTES) as answer:
        if answer.status >= 500:
            raise Unreachable("it has a failure of its own", status=answer.status)
