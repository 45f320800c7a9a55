"""What a client needs to decide for an agent, as pieces of AgentSnapshot.

A piece is a serialised AgentSnapshot that holds one thing. Serialised messages put one after the other are
the serialised merge of the messages (protobuf.dev, encoding, "last one wins"), so that pieces are made once,
are compared as bytes, and are joined to whatever somebody lacks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from typing import TYPE_CHECKING, Any

from google.protobuf.timestamp_pb2 import Timestamp

from imrs_client import v1 as pb
from imrs_client.limits import UNLIMITED, Funds
from imrs_client.ranked import RemovedBy
from imrs_server.transport.convert import agents, common, defaults, ranked_tables, routes
from imrs_server.transport.convert.ranked_tables import Pieces, Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from imrs_client.limits import Limits
    from imrs_client.ranked import Policy
    from imrs_client.tasks import Rules
    from imrs_server.domain.preference import Preference
    from imrs_server.index.view import Columns, Entry, Settings

# A message holds about so much at most; a client takes four times as much by default.
CHUNK_BYTES = 1 << 20
_PIECE_BYTES = 1 << 16


@dataclass(frozen=True, slots=True)
class Content:
    """All that a client is told at some revision, by its parts."""

    agent: Pieces
    models: Mapping[str, bytes]
    tables: Mapping[str, Table]

    @property
    def fingerprint(self) -> bytes:
        """Equal for equal content, on every server."""
        digest = blake2b(digest_size=16)
        # In order, whatever the order in which they became known.
        tables = (self.tables[name].pieces for name in sorted(self.tables))
        models = (self.models[name] for name in sorted(self.models))
        for piece in chain(self.agent, models, *tables):
            digest.update(len(piece).to_bytes(4))
            digest.update(piece)
        return digest.digest()

    @property
    def whole(self) -> Iterator[bytes]:
        """Every piece."""
        tables = (each.pieces for each in self.tables.values())
        return chain(self.agent, self.models.values(), *tables)

    def since(self, base: Content) -> Iterator[bytes]:
        """The pieces that make this content of another."""
        if self.agent != base.agent:
            yield from self.agent
        yield from (each for name, each in self.models.items() if base.models.get(name) != each)
        # Candidates are told by their numbers among the models.
        patches = self.models.keys() == base.models.keys()
        for name, table in self.tables.items():
            before = base.tables.get(name)
            if before is None or not patches:
                yield from table.pieces
            elif before.pieces != table.pieces:
                yield from ranked_tables.difference(name, before, table)
        yield from (_bytes(removed_model_ids=[name]) for name in base.models.keys() - self.models.keys())
        yield from (_bytes(removed_task_types=[name]) for name in base.tables.keys() - self.tables.keys())


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """What is said of a revision beside its content."""

    kind: Any
    revision: int
    base_revision: int = 0
    stale: bool = False
    fingerprint: bytes = b""
    create_time: Timestamp | None = None


def chunks(head: Head, pieces: Iterable[bytes]) -> list[bytes]:
    """Serialised messages of bounded size, with all pieces; one at least."""
    bodies: list[list[bytes]] = [[]]
    size = 0
    for piece in pieces:
        if size and size + len(piece) > CHUNK_BYTES:
            bodies.append([])
            size = 0
        bodies[-1].append(piece)
        size += len(piece)
    return [_chunk(head, index, body, last=index == len(bodies) - 1) for index, body in enumerate(bodies)]


def agent(settings: Settings, model_ids: frozenset[str]) -> Pieces:
    """The agent and its settings; what tenants may make long is in pieces of its own."""
    found = settings.agent
    preferences = [_preference(each, model_ids) for each in settings.preferences]
    told = agents.to_proto(found)
    main = pb.SnapshotAgent(
        tenant_id=told.tenant_id,
        agent_id=told.agent_id,
        agent_class=told.agent_class,
        state=told.state,
        routing=_routing(settings.policy),
        parameters={name: common.to_parameters(each) for name, each in settings.layers.items()},
        default_model_id=settings.default_model_id,
        override=told.override if told.HasField("override") else None,
        preference=preferences[0] if found.agent_class and preferences else None,
        fallback_model_ids=told.fallback_model_ids if told.HasField("fallback_model_ids") else None,
        capsule=told.capsule if told.HasField("capsule") else None,
        omitted_task_types=settings.omitted_task_types,
        limits=_limits(settings.limits),
    )
    more = [pb.SnapshotAgent(task_rules=each) for each in _rules(settings.rules)]
    if not found.agent_class:
        more += [pb.SnapshotAgent(class_preferences=[each]) for each in preferences]
    return tuple([_bytes(agent=each) for each in (main, *more)])


def _limits(limits: Limits) -> pb.SnapshotLimits | None:
    if limits is UNLIMITED:
        return None
    told = pb.SnapshotLimits()
    for model_id, each in limits.cooling.items():
        told.cooling[model_id].detail = each.detail
        told.cooling[model_id].share = each.share
    if limits.budget is not None:
        told.budget.spent = limits.budget.funds is Funds.SPENT
        told.budget.detail = limits.budget.detail
        told.budget.keeps_free = limits.budget.keeps_free
    return told


def _rules(rules: Rules) -> Iterator[pb.TaskRules]:
    told = defaults.to_rules(rules)
    if told.tools:
        yield pb.TaskRules(tools=told.tools)
    if told.mime_types:
        yield pb.TaskRules(mime_types=told.mime_types)
    part = pb.TaskRules()
    for task_type, words in sorted(told.words.items()):
        if part.words and part.ByteSize() + words.ByteSize() > _PIECE_BYTES:
            yield part
            part = pb.TaskRules()
        part.words[task_type].CopyFrom(words)
    if part.words:
        yield part


def models(entries: Iterable[Entry]) -> dict[str, bytes]:
    """Each model of the agent by its id."""
    return {each.candidate.model_id: _bytes(models=[_model(each)]) for each in entries}


def tables(ranked: Mapping[str, Columns]) -> dict[str, Table]:
    """Each table by its task type."""
    return {task_type: ranked_tables.told(task_type, found) for task_type, found in ranked.items()}


def _chunk(head: Head, index: int, body: Sequence[bytes], *, last: bool) -> bytes:
    told = _bytes(
        revision=head.revision,
        kind=head.kind,
        base_revision=head.base_revision,
        chunk_index=index,
        last_chunk=last,
        create_time=head.create_time,
        stale=head.stale,
        fingerprint=head.fingerprint,
    )
    return b"".join((told, *body))


def _bytes(**fields: Any) -> bytes:
    return pb.AgentSnapshot(**fields).SerializeToString(deterministic=True)


def _routing(policy: Policy) -> pb.RoutingPolicy:
    chance = policy.exploration_rate > 0
    return pb.RoutingPolicy(
        similarity_margin=policy.similarity_margin,
        cost_preference=(
            pb.RoutingPolicy.CHEAPER_WHEN_SIMILAR if policy.cheaper_when_similar else pb.RoutingPolicy.NONE
        ),
        session_affinity=policy.session_affinity,
        require_credentials=policy.require_credentials,
        max_cost_tier=_TIERS[policy.max_cost_tier],
        max_latency_ms=None if policy.max_latency_ms is None else int(policy.max_latency_ms),
        max_error_rate=policy.max_error_rate,
        exploration=pb.RoutingPolicy.EPSILON if chance else pb.RoutingPolicy.EXPLORATION_UNSPECIFIED,
        exploration_rate=policy.exploration_rate if chance else None,
    )


def _preference(preference: Preference, model_ids: frozenset[str]) -> pb.Preference:
    return pb.Preference(
        agent_class=preference.agent_class,
        model_ids=[each for each in preference.model_ids if each in model_ids],
        parameters=common.to_parameters(preference.parameters),
    )


def _model(entry: Entry) -> pb.SnapshotModel:
    known = entry.candidate
    model = pb.SelectedModel()
    model.CopyFrom(routes.to_selected(entry.selected))
    model.ClearField("score")
    model.parameters.CopyFrom(common.to_parameters(entry.own))
    removed_by, detail = known.state_removal or (None, "")
    return pb.SnapshotModel(
        model=model,
        model_type=pb.Model.Type.Value(known.model_type),
        domains=sorted(known.domains),
        data_policy=pb.DataPolicy(
            regions=sorted(known.regions),
            trains_on_data=known.trains_on_data,
            retains_data=known.retains_data,
        ),
        allowed_roles=sorted(known.allowed_roles),
        agent_parameters=common.to_parameters(entry.agent_own),
        fallback_model_ids=common.to_string_list(known.fallback_model_ids),
        removed_by=_REMOVALS[removed_by],
        removed_detail=detail,
        capsule_roles=common.to_string_list(
            None if known.capsule_roles is None else sorted(known.capsule_roles)
        ),
        comparable_cost=known.cost_usd,
        context_length=known.context_length,
    )


_TIERS: Mapping[str | None, Any] = {None: 0} | dict(pb.Model.CostTier.items())
_REMOVALS: Mapping[RemovedBy | None, Any] = {None: 0} | {
    each: common.number(pb.CandidateReport.RemovedBy, each) for each in RemovedBy
}
