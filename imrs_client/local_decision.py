"""A decision that was taken in the client. What is asked of it is made when it is asked for."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from google.protobuf.timestamp_pb2 import Timestamp

from imrs_client import decision_context
from imrs_client.ids import derived_id
from imrs_client.v1 import Decision, SelectedModel, TaskDetection

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from imrs_client.decide import Choice
    from imrs_client.query import Query
    from imrs_client.snapshot_tables import Table
    from imrs_client.tasks import Detection
    from imrs_client.v1 import Parameters

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DEFAULT: Final = Decision.Reason.DEFAULT


# What was asked, the class of the agent, and the seed of what was drawn.
Asked: TypeAlias = "tuple[Query, str, int | None]"


class Answer:
    """What many equal requests get: the model and its fallbacks, with how they came about."""

    def __init__(
        self,
        task: Detection,
        table: Table,
        choice: Choice,
        parameters: Parameters | None,
        asked: Asked,
    ) -> None:
        self._detected = task
        self._table = table
        self._choice = choice
        self._parameters = parameters
        self._asked = asked
        self.reason: Decision.Reason.ValueType = Decision.Reason.Value(choice.reason)
        self.candidates_total = len(table.ranked.candidates)
        self.candidates_eligible = choice.eligible
        self.propensity = choice.propensity

    @cached_property
    def task(self) -> TaskDetection:
        return to_detection(self._detected)

    @cached_property
    def selected(self) -> SelectedModel:
        return self._table.answer(self._choice.selected, self._parameters)

    @cached_property
    def fallbacks(self) -> Sequence[SelectedModel]:
        return tuple([self._table.answer(each, self._parameters) for each in self._choice.fallbacks])

    @cached_property
    def report(self) -> Decision:
        """What the service keeps of each decision with this answer."""
        return Decision(
            task=self.task,
            selected=_kept(self.selected),
            fallbacks=[_kept(each) for each in self.fallbacks],
            reason=self.reason,
            candidates_total=self.candidates_total,
            candidates_eligible=self.candidates_eligible,
            propensity=self.propensity,
        )

    @cached_property
    def context(self) -> bytes:
        """What is told beside each report of it, a DecisionContext; empty where nothing is."""
        return decision_context.of(*self._asked, self._propensities())

    def _propensities(self) -> Mapping[str, float]:
        candidates = self._table.ranked.candidates
        return {candidates[i].model_id: chance for i, chance in self._choice.lottery}


class DefaultAnswer(Answer):
    """The configured default model, where nothing is known of the agent yet."""

    def __init__(self, task: Detection, model: SelectedModel, asked: Asked) -> None:
        self._detected = task
        self._asked = asked
        self.selected = model
        self.fallbacks = ()
        self.reason = _DEFAULT
        self.candidates_total = self.candidates_eligible = 0
        self.propensity = None

    def _propensities(self) -> Mapping[str, float]:
        return {}


class LocalDecision:
    """A v1.Decision by its fields, and ``age_seconds``; ``to_proto`` makes the message.

    Its parts are shared between decisions: they are to be read or copied, not changed. ``age_seconds`` says
    how long ago the service last vouched for what decided, infinite where it never did; ``stale``, that this
    is longer than the replica allows or that the server itself may have missed changes.
    """

    __slots__ = (
        "_answer",
        "_decision_id",
        "_seed",
        "_time_ns",
        "age_seconds",
        "agent_id",
        "index_revision",
        "request_id",
        "stale",
        "tenant_id",
    )

    def __init__(
        self,
        answer: Answer,
        agent: Any,
        index_revision: int,
        request_id: str,
        stale: bool,
        age_seconds: float,
        time_ns: int,
        seed: tuple[bytes, int],
    ) -> None:
        self._answer = answer
        self.tenant_id: str
        self.agent_id: str
        self.tenant_id, self.agent_id = agent
        self.index_revision = index_revision
        self.request_id = request_id
        self.stale = stale
        self.age_seconds = age_seconds
        self._time_ns = time_ns
        self._seed = seed
        self._decision_id = ""

    @property
    def decision_id(self) -> str:
        """A UUIDv7; feedback and messages refer to it."""
        if not self._decision_id:
            self._decision_id = id_of(self._time_ns, self._seed)
        return self._decision_id

    @property
    def create_time(self) -> datetime:
        """When it was decided, to the millisecond as in the id."""
        return _time(self._time_ns)

    @property
    def task(self) -> TaskDetection:
        return self._answer.task

    @property
    def selected(self) -> SelectedModel:
        return self._answer.selected

    @property
    def fallbacks(self) -> Sequence[SelectedModel]:
        return self._answer.fallbacks

    @property
    def reason(self) -> Decision.Reason.ValueType:
        return self._answer.reason

    @property
    def candidates_total(self) -> int:
        return self._answer.candidates_total

    @property
    def candidates_eligible(self) -> int:
        return self._answer.candidates_eligible

    @property
    def propensity(self) -> float | None:
        """The probability of what was selected; None where nothing was left to chance."""
        return self._answer.propensity

    def to_proto(self) -> Decision:
        return Decision(
            decision_id=self.decision_id,
            request_id=self.request_id,
            tenant_id=self.tenant_id,
            agent_id=self.agent_id,
            task=self.task,
            selected=self.selected,
            fallbacks=self.fallbacks,
            reason=self.reason,
            candidates_total=self.candidates_total,
            candidates_eligible=self.candidates_eligible,
            index_revision=self.index_revision,
            stale=self.stale,
            propensity=self.propensity,
            create_time=_timestamp(self._time_ns),
        )

    def to_report(self) -> Decision:
        """As much of it as RecordDecisions asks for."""
        report = Decision()
        report.CopyFrom(self._answer.report)
        report.decision_id = self.decision_id
        report.request_id = self.request_id
        report.tenant_id = self.tenant_id
        report.agent_id = self.agent_id
        report.index_revision = self.index_revision
        report.stale = self.stale
        report.create_time.CopyFrom(_timestamp(self._time_ns))
        return report

    @property
    def context(self) -> bytes:
        """What is told beside the report: a DecisionContext, the same for many; empty where nothing is."""
        return self._answer.context

    def __repr__(self) -> str:
        return (
            f"<LocalDecision {self.decision_id} {self.selected.model_id} {Decision.Reason.Name(self.reason)} "
            f"revision={self.index_revision} age_seconds={self.age_seconds:.1f}{' STALE' * self.stale}>"
        )


def id_of(time_ns: int, seed: tuple[bytes, int]) -> str:
    """The id of the decision with a number, of a replica with a secret: nobody else can guess it."""
    secret, number = seed
    return str(derived_id(_time(time_ns), secret + number.to_bytes(8)))


def _kept(model: SelectedModel) -> SelectedModel:
    return SelectedModel(model_id=model.model_id, score=model.score)


def to_detection(task: Detection) -> TaskDetection:
    return TaskDetection(
        task_type=task.task_type,
        confidence=TaskDetection.Confidence.Value(task.confidence),
        source=TaskDetection.Source.Value(task.source),
        required_capabilities=task.required_capabilities,
        alternatives=task.alternatives,
    )


def _timestamp(time_ns: int) -> Timestamp:
    seconds, milliseconds = divmod(time_ns // 1_000_000, 1000)
    return Timestamp(seconds=seconds, nanos=milliseconds * 1_000_000)


def _time(time_ns: int) -> datetime:
    return _EPOCH + timedelta(milliseconds=time_ns // 1_000_000)
