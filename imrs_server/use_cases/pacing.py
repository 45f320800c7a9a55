"""Which model may be called right now, and who learns from how the call went."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, NamedTuple

from imrs_server.domain.breaker import Cause
from imrs_server.domain.chat import FailureKind
from imrs_server.domain.errors import DatabaseUnavailable, ProviderRateLimited, ProviderUnavailable
from imrs_server.use_cases.breakers import Rest, subjects_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from imrs_server.domain.decision import SelectedModel
    from imrs_server.domain.errors import DomainError
    from imrs_server.domain.provider import Provider
    from imrs_server.use_cases.breakers import Breakers
    from imrs_server.use_cases.call_rates import CallRates

_KINDS = {Cause.RATE_LIMIT_RPM: FailureKind.RATE_LIMITED, Cause.NO_CREDIT: FailureKind.RATE_LIMITED}


class Refusal(NamedTuple):
    """A model that is left alone. ``wait_seconds`` is for how long at least: 0 for one that only fails, which
    is still better than nobody, and None for as long as this call lasts.
    """

    kind: FailureKind
    detail: str
    wait_seconds: float | None
    error: DomainError


class Pacing:
    """``breakers`` know who fails, ``rates`` how many calls are allowed."""

    def __init__(self, breakers: Breakers, rates: CallRates) -> None:
        self.breakers = breakers
        self._rates = rates

    def resting(self, model: SelectedModel, *, own_key: bool) -> Refusal | None:
        """Why a model should be passed over, as it or its provider cools; None where nothing speaks against
        it.
        """
        rest = self.breakers.resting(*subjects_of(model), own_key=own_key)
        return None if rest is None else _refusal(model, rest)

    def refused(self, model: SelectedModel, provider: Provider) -> Refusal | None:
        """Take one of the calls that the provider's rate_limit_rpm allows; why not, where none is left."""
        if provider.rate_limit_rpm is None:
            return None
        try:
            wait_seconds = self._rates.take(provider.provider_id)
        except DatabaseUnavailable as error:
            # Nobody knows how many calls the other servers make.
            detail = "not called: its rate_limit_rpm cannot be kept without the database"
            return Refusal(FailureKind.RATE_LIMITED, detail, None, error)
        return _refusal(model, Rest(Cause.RATE_LIMIT_RPM, wait_seconds)) if wait_seconds > 0 else None

    def permit(self, provider: Provider) -> Callable[[], None]:
        """For calls of a provider that are no chats: takes one, or raises RateLimited as its 429 would."""
        if provider.rate_limit_rpm is None:
            return _nothing
        return partial(self._rates.permit, provider.provider_id)


def _nothing() -> None:
    """Nobody counts."""


def _refusal(model: SelectedModel, rest: Rest) -> Refusal:
    kind = _KINDS.get(rest.cause) or FailureKind(rest.cause.value)
    detail = f"not called: {rest.cause.words}; {rest.seconds:.0f} s left"
    if kind is FailureKind.RATE_LIMITED:
        error: DomainError = ProviderRateLimited(
            provider_id=model.provider_id, retry_after_seconds=rest.seconds
        )
    else:
        error = ProviderUnavailable(
            provider_id=model.provider_id, detail=rest.cause.words, retry_after_seconds=rest.seconds
        )
    return Refusal(kind, detail, rest.seconds if rest.cause.is_limit else 0.0, error)
