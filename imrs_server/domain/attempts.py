"""Which model is called next, and which failure ends it all."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from imrs_server.domain.chat import FailureKind
from imrs_server.domain.decision import SelectedModel

if TYPE_CHECKING:
    from collections.abc import Iterable

    from imrs_server.domain.chat import ChatFailure

# Where a provider does not say when to come back: doubled with every further failure of the model.
FIRST_PAUSE_SECONDS = 0.5


_FAULTS_OF_THE_REQUEST = (400, 422)


@dataclass(frozen=True, slots=True)
class Turn:
    """A model, and how long to wait before it is called. ``alone`` is whether no other could come after,
    ``again`` whether the model has had a turn before.
    """

    model: SelectedModel
    wait_seconds: float = 0.0
    alone: bool = False
    again: bool = False


class Attempts:
    """The models of a decision in their order, each once; then again those that only need a moment.

    ``most`` is how many calls there may be. ``clock`` gives seconds.
    """

    def __init__(self, models: Iterable[SelectedModel], most: int | None = None) -> None:
        self._fresh = list(models)
        self._bounded_by_models = most is None
        self._left = len(self._fresh) if most is None else most
        self._again: list[tuple[float, SelectedModel]] = []
        self._failures: dict[str, int] = {}

    def next(self, now_seconds: float) -> Turn | None:
        """The next model to call; None when it is over."""
        if self._left <= 0:
            return None
        if self._fresh:
            alone = self._left == 1 or len(self._fresh) == 1
            return Turn(self._fresh[0], alone=alone)
        if not self._again:
            return None
        due_seconds, model = min(self._again, key=lambda each: each[0])
        return Turn(model, max(0.0, due_seconds - now_seconds), alone=True, again=True)

    def called(self, model: SelectedModel) -> None:
        """A call of the model has been made."""
        self._left -= 1
        self._forget(model)

    def unreachable(self, model: SelectedModel) -> None:
        """The model cannot be called, as there is no key for it; nor can others that need the same."""
        self._forget(model)
        path = model.api_key_vault_path
        self._fresh = [each for each in self._fresh if each.api_key_vault_path != path]

    def failed(self, model: SelectedModel, failure: ChatFailure, now_seconds: float) -> None:
        """What the call came to."""
        if is_final(failure):
            self.give_up()
        elif failure.cause is FailureKind.AUTH:
            self.unreachable(model)
        elif failure.cause is FailureKind.CONTEXT_TOO_LONG:
            self._fresh = [each for each in self._fresh if not _is_as_short(each, model)]
        elif failure.again:
            count = self._failures[model.model_id] = self._failures.get(model.model_id, 0) + 1
            pause_seconds = failure.retry_after_seconds
            if pause_seconds is None:
                pause_seconds = FIRST_PAUSE_SECONDS * 2 ** (count - 1)
            self._again.append((now_seconds + pause_seconds, model))

    def put_off(self, model: SelectedModel, seconds: float | None, now_seconds: float) -> None:
        """The model is not called now: after the others, when so much time is over; None for never."""
        self._forget(model)
        if seconds is not None:
            self._again.append((now_seconds + seconds, model))

    def too_dear(self, model: SelectedModel, others: Iterable[SelectedModel] = ()) -> None:
        """The model is not called, as a budget has not enough left; ``others`` may stand in at the end."""
        known = {each.model_id for each in self._fresh}
        self._forget(model)
        new = [each for each in others if each.model_id not in known]
        self._fresh += new
        if self._bounded_by_models:
            self._left += len(new)

    def stay(self, model: SelectedModel) -> None:
        """The model is called again at once, at another place; that counts only where ``most`` is given."""
        self._forget(model)
        self._fresh.insert(0, model)
        if self._bounded_by_models:
            self._left += 1

    def give_up(self) -> None:
        """Nothing more is called."""
        self._left = 0

    def _forget(self, model: SelectedModel) -> None:
        self._fresh = [each for each in self._fresh if each is not model]
        self._again = [each for each in self._again if each[1] is not model]


def is_final(failure: ChatFailure) -> bool:
    """Whether another model would meet the same answer, or must not be tried until one gives in.

    A bad request of another status than these is this provider's own affair: a wrong address, or something
    that its dialect has no words for.
    """
    if failure.cause is FailureKind.BAD_REQUEST:
        return failure.status in _FAULTS_OF_THE_REQUEST
    return failure.cause is FailureKind.CONTENT_REFUSED


def _is_as_short(other: SelectedModel, model: SelectedModel) -> bool:
    """Whether it is known that a prompt too long for the one is too long for the other."""
    if other.context_length is None or model.context_length is None:
        return False
    return other.context_length <= model.context_length
