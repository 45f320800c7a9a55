"""Watches the keys in Vault, so that credentials_ok tells what is there, and not what was once stored."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING

import structlog

from imrs_server.adapters.vault import VaultState
from imrs_server.domain.credential import CredentialPath
from imrs_server.domain.errors import DomainError, VaultForbidden
from imrs_server.domain.provider import State as ProviderState
from imrs_server.domain.vault_view import Sighting, VaultView
from imrs_server.jobs.loop import Loop

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from imrs_server.adapters.vault import Vault
    from imrs_server.index.state import State
    from imrs_server.index.warm import Index

log = structlog.get_logger()

PERIOD_SECONDS = 1.5
AGENT_KEYS_A_TURN = 80
_INDEX_WAIT_SECONDS = 0.1

Noted = tuple[CredentialPath, int | None]


class CredentialWatch:
    """A thread that looks at the metadata of keys, never at keys, and tells the index what it saw.

    Every server has one: each answers for the Vault that it can reach itself. Every turn looks at all keys of
    providers, and at ``agent_keys_a_turn`` keys of agents at most; where there are more, they take turns.
    ``publish`` is given what was seen first, and whatever differs from what was seen before.
    """

    def __init__(
        self,
        vault: Vault,
        index: Index,
        *,
        period_seconds: float = PERIOD_SECONDS,
        agent_keys_a_turn: int = AGENT_KEYS_A_TURN,
        publish: Callable[[VaultView], None] = lambda _view: None,
    ) -> None:
        self._vault = vault
        self._index = index
        self._period_seconds = period_seconds
        self._agent_keys_a_turn = agent_keys_a_turn
        self._publish = publish
        self._published: VaultView | None = None
        self._next_agent_key = 0
        self._loop = Loop("credentials", self._next, retry_seconds=period_seconds)

    def start(self) -> None:
        self._loop.start()

    def stop(self) -> None:
        """End the thread and wait for it."""
        self._loop.stop()

    def turn(self) -> bool:
        """Look once; False as long as the index knows of no keys to look for."""
        state = self._index.current
        if state is None:
            return False
        before, after = self._index.vault, self._look(state)
        self._index.see(after)
        if after != self._published:
            self._publish(after)
            self._published = after
        if before.answers != after.answers:
            log.warning("vault.back" if after.answers else "vault.away")
        _log_changes(before, after)
        return True

    def _next(self) -> float:
        return self._period_seconds if self.turn() else _INDEX_WAIT_SECONDS

    def _look(self, state: State) -> VaultView:
        # It closes an open circuit too, so that a Vault that is back is seen at once.
        if self._vault.check() is not VaultState.OK:
            return VaultView(answers=False)
        agent_keys = list(_agent_keys(state))
        count = min(len(agent_keys), self._agent_keys_a_turn)
        start = self._next_agent_key % max(len(agent_keys), 1)
        self._next_agent_key = start + count
        known = self._index.vault.sightings
        seen = {path: known[path] for path, _ in agent_keys if path in known}
        try:
            for path, noted in (*_provider_keys(state), *islice(agent_keys * 2, start, start + count)):
                seen[path] = Sighting(noted, self._usable(path))
        except DomainError:
            return VaultView(answers=False)
        return VaultView(sightings=seen)

    def _usable(self, path: CredentialPath) -> bool:
        try:
            found = self._vault.look(path)
        except VaultForbidden:
            return False  # the policy leaves this one out
        return found is not None and found.usable


def _provider_keys(state: State) -> Iterator[Noted]:
    for provider in state.providers.values():
        wanted = provider.needs_key or provider.key_version is not None
        if wanted and provider.state is not ProviderState.DELETED:
            yield CredentialPath(provider.provider_id), provider.key_version


def _agent_keys(state: State) -> Iterator[Noted]:
    # By their rows: to make all agents from these, every other second, would take long and much room.
    return ((key.path, key.key_version) for row in state.agents.rows.values() for key in row.keys)


def _log_changes(before: VaultView, after: VaultView) -> None:
    for path, now in after.sightings.items():
        was = before.sightings.get(path)
        if was is not None and was.usable != now.usable:
            log.warning("key.found" if now.usable else "key.gone", path=path.shown)
