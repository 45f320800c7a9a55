"""What every field of every request may hold: one table, and the walk that applies it.

Keys are ``field`` or, where one message differs, ``Message.field``. Only set fields are checked, so each rule
speaks of values that somebody sent; REQUIRED names what must be sent. Tests see to it that no field that a
request can carry is missing here, and that the comments in the protos state the same bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeAlias

from imrs_server.domain.errors import InvalidRequest, Violation
from imrs_server.transport.rules import (
    Rule,
    anything,
    between,
    duration,
    each,
    entries,
    instant,
    line,
    many,
    money,
    one_of,
    output,
    pattern,
    printable,
    size,
    strings,
    struct,
    text,
)

if TYPE_CHECKING:
    from google.protobuf.descriptor import FieldDescriptor
    from google.protobuf.message import Message

INT32 = 2**31 - 1
INT64 = 2**63 - 1
MIB = 2**20
DAY_SECONDS = 86_400

PROVIDER_ID = pattern(r"[a-z0-9][a-z0-9_-]{0,49}", "1 to 50 of a-z 0-9 _ -, the first a letter or digit")
AGENT_ID = pattern(
    r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "1 to 64 letters, digits and . _ -, the first a letter or digit"
)
WORD = pattern(r"[a-z0-9][a-z0-9_.-]{0,63}", "1 to 64 of a-z 0-9 _ . -, the first a letter or digit")
WORD_OR_NOTHING = pattern(r"([a-z0-9][a-z0-9_.-]{0,63})?", "a task type, or nothing")
UUID = pattern(
    r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
    "a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057",
)
NAME = printable(255)
LINE = line(255)
URL = pattern(r"[!-~]{1,2048}", "a URL of at most 2048 printable ASCII characters")
STRUCT = struct(2**16)
COUNT = between(0, INT32)
TOKENS = between(0, 10**9)
SHARE = between(0, 1)
MEMORY = between(0, INT64)

RATED_SIGNALS = ("THUMBS_UP", "THUMBS_DOWN", "REGENERATE", "COPY", "CONTINUE", "ABANDON")
KINDS = ("EXPLICIT", "IMPLICIT", "SELF_EVAL", *RATED_SIGNALS, "EVALUATION", "SCORE")
DIALECTS = (
    "openai", "openrouter", "anthropic", "azure", "gemini", "ollama", "vllm", "groq", "together", "mistral",
    "cohere",
)  # fmt: skip


def _model_id(value: str) -> str:
    provider_id, slash, external_id = value.partition("/")
    if PROVIDER_ID(provider_id) or not slash or not external_id:
        return "must be {provider_id}/{external_id}, such as openai/gpt-4o"
    return NAME(value)


def _state(value: int) -> str:
    # Of providers and agents alike: 1 is ACTIVE, 2 DISABLED.
    return "" if value in (1, 2) else "must be ACTIVE or DISABLED; deleting is a method of its own"


def _mask(value: Any) -> str:
    return each(line(1_000), 100)(value.paths)


MODEL_ID: Rule = _model_id
# Lists of models may hold globs, and external ids where an agent knows only these.
MODEL_GLOB = NAME

TABLE: dict[str, Rule] = {
    # Who and what.
    "tenant_id": UUID,
    "provider_id": PROVIDER_ID,
    "model_id": MODEL_ID,
    "external_id": printable(253),
    "agent_id": AGENT_ID,
    "new_agent_id": AGENT_ID,
    "agent_class": LINE,
    "message_id": UUID,
    "decision_id": UUID,
    "feedback_id": UUID,
    "rule_id": UUID,
    "endpoint_id": AGENT_ID,
    "budget_id": AGENT_ID,
    "token_id": UUID,
    "user_id": NAME,
    "conversation_id": NAME,
    "request_id": NAME,
    "etag": NAME,
    "subject": NAME,
    "task_type": WORD,
    "display_name": LINE,
    "use_case": text(8_000),
    "tags": each(LINE, 100),
    "tag": LINE,
    "labels": entries(LINE, text(1_000), 100),
    "metadata": STRUCT,
    "roles": each(line(64), 100),
    "IssueTokenRequest.roles": each(one_of("platform_admin", "tenant_admin", "agent", "user"), 4),
    # Nested messages and lists of them: their own fields are checked.
    "agent": anything,
    "agent_model": anything,
    "attachments": many(100),
    "budget": anything,
    "data_policy": anything,
    "defaults": anything,
    "endpoint": anything,
    "filter": anything,
    "RecordMessageRequest.message": anything,
    "messages": many(1000),
    "model": anything,
    "parameters": anything,
    "parts": many(100),
    "policy": anything,
    "preference": anything,
    "provider": anything,
    "prices": many(1000),
    "requests": many(1000),
    "route": anything,
    "routing": anything,
    "shadow": anything,
    "task_rules": anything,
    "tenant": anything,
    "tool_calls": many(100),
    "update": anything,
    "RecordDecisionsRequest.decisions": many(1000),
    "contexts": many(1000),
    "context_numbers": each(between(0, 1000), 1000),
    "DecisionContext.request": anything,
    "propensities": entries(MODEL_ID, SHARE, 100),
    # Flags and enums: the type says it all.
    "all": anything,
    "allow_missing": anything,
    "available": anything,
    "cost_preference": anything,
    "cost_tier": anything,
    "effective": anything,
    "enabled": anything,
    "exploration": anything,
    "feedback_type": anything,
    "force": anything,
    "max_cost_tier": anything,
    "model_type": anything,
    "outcome": anything,
    "prefer_cost_tier": anything,
    "price_state": anything,
    "provider_type": anything,
    "prune": anything,
    "ListDecisionsRequest.reason": anything,
    "require_credentials": anything,
    "retains_data": anything,
    "scope": anything,
    "scoring": anything,
    "session_affinity": anything,
    "show_deleted": anything,
    "show_revoked": anything,
    "signal": anything,
    "standing": anything,
    "state": anything,
    "Provider.state": _state,
    "Agent.state": _state,
    "stream": anything,
    "allow_mid_stream_fallback": anything,
    "trains_on_data": anything,
    "validate_only": anything,
    # Lists, filters and ranges.
    "page_size": between(0, 1000),
    "page_token": pattern(r"[A-Za-z0-9_=-]{0,16384}", "a next_page_token as it was given"),
    "order_by": pattern(r"[a-z_]{1,64}( (asc|desc))?", "a field, optionally followed by ` desc`"),
    "start_time": instant,
    "end_time": instant,
    "search": LINE,
    "group_by": each(
        pattern(r"agent|model|provider|task_type|day", "agent, model, provider, task_type or day"), 5
    ),
    "actor": NAME,
    "method": NAME,
    "target_type": NAME,
    "target_id": printable(1_000),
    "update_mask": _mask,
    # Providers.
    "api_base": URL,
    "models_endpoint": pattern(
        r"/[!-~]{0,1999}", "a path of at most 2000 printable ASCII characters that starts with /"
    ),
    "pool_url": URL,
    "base_url": URL,
    "dialect": one_of(*DIALECTS),
    "options": STRUCT,
    "api_key": printable(4096),
    "rate_limit_rpm": between(1, INT32),
    "sync_interval": duration(60, 366 * DAY_SECONDS),
    "regions": each(LINE, 100),
    "synced_time": instant,
    # Models.
    "capabilities": each(WORD, 100),
    "required_capabilities": each(WORD, 100),
    "domains": each(WORD, 100),
    "priority": between(0, 100),
    "priority_override": between(0, 100),
    "context_length": COUNT,
    "min_context_length": COUNT,
    "max_output_tokens": COUNT,
    "input_price_usd": money,
    "output_price_usd": money,
    "cached_input_price_usd": money,
    "max_input_price_usd": money,
    "retire_time": instant,
    # Agents.
    "capsule": STRUCT,
    "default_model_id": MODEL_ID,
    "previous_model_id": MODEL_ID,
    "model_ids": each(MODEL_ID, 10_000),
    "Preference.model_ids": each(MODEL_ID, 100),
    "fallback_model_ids": strings(MODEL_ID, 100),
    "allowed_models": strings(MODEL_GLOB, 1000),
    "excluded_models": each(MODEL_GLOB, 1000),
    "added_models": each(MODEL_ID, 1000),
    "removed_models": each(MODEL_ID, 1000),
    "allowed_roles": each(line(64), 100),
    # Parameters.
    "temperature": between(0, 2),
    "top_p": SHARE,
    "Parameters.max_output_tokens": between(1, INT32),
    "stop": strings(text(1_000), 16),
    "extra": STRUCT,
    # Routing policy.
    "priority_weight": SHARE,
    "experience_weight": SHARE,
    "exploration_rate": SHARE,
    "similarity_margin": SHARE,
    "half_life": duration(1, 3660 * DAY_SECONDS, or_zero=True),
    "max_latency_ms": between(1, INT32),
    "max_error_rate": SHARE,
    "signal_ratings": entries(one_of(*RATED_SIGNALS), SHARE, len(RATED_SIGNALS)),
    "feedback_weights": entries(one_of(*KINDS), between(0, 100), len(KINDS)),
    "TaskRules.tools": entries(NAME, WORD_OR_NOTHING, 1000),
    "mime_types": entries(NAME, WORD_OR_NOTHING, 1000),
    "words": entries(WORD, strings(LINE, 200), 1000),
    # Requests for a decision.
    "message": size(100_000),
    "tools_used": each(NAME, 1000),
    "filename": size(4096),
    "mime_type": NAME,
    "estimated_prompt_tokens": COUNT,
    "max_fallbacks": between(0, 100),
    "min_revision": MEMORY,
    "from_revision": MEMORY,
    "from_fingerprint": size(64, "bytes"),
    "seed": anything,
    # Messages and feedback.
    "latency_ms": COUNT,
    "prompt_tokens": TOKENS,
    "completion_tokens": TOKENS,
    "cached_tokens": TOKENS,
    "tokens_estimated": anything,
    "error_kind": WORD,
    "rating": SHARE,
    "Message.create_time": instant,
    "Message.rating": output,
    "Message.feedback_type": output,
    "comment": text(4_000),
    "event_time": instant,
    # Complete.
    "ChatMessage.role": pattern(r"[a-z][a-z_]{0,31}", "a role such as user"),
    "content": size(10**6),
    "text": size(10**6),
    "image_url": size(4 * MIB),
    "image_detail": pattern(r"[a-z][a-z_]{0,31}", "a word such as low"),
    "data": size(4 * MIB, "bytes"),
    "CompleteRequest.tools": each(STRUCT, 256),
    "tool_choice": NAME,
    "tool_call_id": NAME,
    "name": NAME,
    "ToolCall.id": NAME,
    "arguments": size(10**6),
    "response_format": STRUCT,
    "timeout": duration(0.001, 3600),
    "max_attempts": between(1, 100),
    "EmbedRequest.inputs": each(size(10**6), 2048),
    "dimensions": between(1, 1 << 16),
    # The rest of administration.
    "IssueTokenRequest.ttl": duration(1, 366 * DAY_SECONDS),
    "Endpoint.ttl": duration(0, 366 * DAY_SECONDS),
    "weight": between(1, 10**6),
    "limit_usd": money,
    "limit_tokens": MEMORY,
    "window": duration(1, 3660 * DAY_SECONDS),
    "yaml": size(4 * 10**6),
    "environment": NAME,
    "ApplyConfigRequest.source": NAME,
    "UndoConfigRequest.source": NAME,
    # What the server says.
    "api_key_vault_path": output,
    "candidates": output,
    "candidates_eligible": output,
    "candidates_total": output,
    "cost_priced": output,
    "AgentModel.cost_tier": output,
    "AgentModel.provider_id": output,
    "AgentModel.display_name": output,
    "cost_usd": output,
    "create_time": output,
    "created_by": output,
    "credentials_ok": output,
    "delete_time": output,
    "detail": output,
    "effective_priority": output,
    "eligible": output,
    "enabled_by": output,
    "enabled_time": output,
    "error": output,
    "fallbacks": output,
    "feedback_time": output,
    "in_flight": output,
    "index": output,
    "index_revision": output,
    "last_sync_error": output,
    "last_synced_time": output,
    "last_used_time": output,
    "lifecycle": output,
    "load_error": output,
    "memory_bytes": output,
    "model_count": output,
    "override": output,
    "propensity": output,
    "Decision.reason": output,
    "provenance": output,
    "removed_by": output,
    "reserved_tokens": output,
    "reserved_usd": output,
    "reset_time": output,
    "selected": output,
    "source": output,
    "spent_tokens": output,
    "spent_usd": output,
    "stale": output,
    "Model.synced_time": output,
    "task": output,
    "Agent.tenant_id": output,
    "Message.tenant_id": output,
    "token_count": output,
    "unpriced_calls": output,
    "update_time": output,
    "value_sources": output,
    "Endpoint.state": output,
    "Budget.level": output,
}

# Message -> what must be set in it, a path or the name of a oneof.
REQUIRED: dict[str, tuple[str, ...]] = {
    "CreateProviderRequest": ("provider.provider_id", "provider.api_base"),
    "GetProviderRequest": ("provider_id",),
    "UpdateProviderRequest": ("provider.provider_id",),
    "DeleteProviderRequest": ("provider_id",),
    "UndeleteProviderRequest": ("provider_id",),
    "RotateProviderKeyRequest": ("provider_id", "api_key"),
    "CheckProviderRequest": ("provider_id",),
    "SyncProviderRequest": ("provider_id",),
    "RevertSyncRequest": ("provider_id", "synced_time"),
    "SetTenantRequest": ("tenant.tenant_id",),
    "IssueTokenRequest": ("roles",),
    "RevokeTokenRequest": ("token_id",),
    "CreateAgentRequest": ("agent.agent_id",),
    "GetAgentRequest": ("agent_id",),
    "UpdateAgentRequest": ("agent.agent_id",),
    "DeleteAgentRequest": ("agent_id",),
    "UndeleteAgentRequest": ("agent_id",),
    "CloneAgentRequest": ("agent_id", "new_agent_id"),
    "EnableAgentModelsRequest": ("agent_id",),
    "DisableAgentModelsRequest": ("agent_id",),
    "UpdateAgentModelRequest": ("agent_model.agent_id", "agent_model.model_id"),
    "ListAgentRulesRequest": ("agent_id",),
    "DeleteAgentRuleRequest": ("agent_id", "rule_id"),
    "SetModelOverrideRequest": ("agent_id", "model_id"),
    "ClearModelOverrideRequest": ("agent_id",),
    "SetAgentKeyRequest": ("agent_id", "provider_id", "api_key"),
    "DeleteAgentKeyRequest": ("agent_id", "provider_id"),
    "SetPreferenceRequest": ("preference.agent_class", "preference.model_ids"),
    "GetPreferenceRequest": ("agent_class",),
    "DeletePreferenceRequest": ("agent_class",),
    "SetEndpointRequest": ("endpoint.model_id", "endpoint.base_url"),
    "DeleteEndpointRequest": ("endpoint_id",),
    "LoadEndpointRequest": ("endpoint_id",),
    "UnloadEndpointRequest": ("endpoint_id",),
    "GetDefaultsRequest": ("scope",),
    "UpdateDefaultsRequest": ("defaults.scope",),
    "SetBudgetRequest": ("budget.window",),
    "DeleteBudgetRequest": ("budget_id",),
    "ApplyConfigRequest": ("yaml",),
    "GetModelRequest": ("model_id",),
    "CreateModelRequest": ("model.provider_id", "model.external_id"),
    "UpdateModelRequest": ("model.model_id",),
    "DeleteModelRequest": ("model_id",),
    "UndeleteModelRequest": ("model_id",),
    "BulkUpdateModelsRequest": ("filter", "update"),
    "GetDecisionRequest": ("decision_id",),
    "ReplayDecisionsRequest": ("agent_id",),
    "Price": ("model_id",),
    "CompleteRequest": ("messages",),
    "EmbedRequest": ("inputs",),
    "ChatMessage": ("role",),
    "Part": ("content",),
    "ToolCall": ("id", "name"),
    "RecordMessageRequest": ("message",),
    "SubmitFeedbackRequest": ("message_id",),
    "RevokeFeedbackRequest": ("feedback_id",),
}


def rule_of(message_name: str, field_name: str) -> Rule | None:
    """The rule for a field; None for one that somebody forgot."""
    return TABLE.get(f"{message_name}.{field_name}") or TABLE.get(field_name)


# Their items are checked one by one by the servicer, so that a bad one fails alone.
ITEMWISE = frozenset({"requests", "RecordDecisionsRequest.decisions", "contexts"})

# An answer has room for so many; whoever sends more errors than that gets to know these first.
MOST_VIOLATIONS = 10


def validate(message: Message, *, within: str = "") -> None:
    """Check a request, or what is ``within.`` one.

    Raises InvalidRequest that names the fields that are not as they must be.
    """
    violations: list[Violation] = []
    _check(message, within, violations)
    if violations:
        raise InvalidRequest(*violations[:MOST_VIOLATIONS])


_Violations: TypeAlias = "list[Violation]"
_Below: TypeAlias = Callable[[Any, str, _Violations], None]
_Plan: TypeAlias = tuple[tuple[str, ...], dict[int, tuple[Rule, _Below | None]]]
_plans: dict[type[Message], _Plan] = {}


def _check(message: Message, prefix: str, violations: _Violations) -> None:
    required, steps = _plans.get(type(message)) or _plan(message)
    for path in required:
        if not _is_set(message, path):
            violations.append(Violation(prefix + path, "must be set"))
    for field, value in message.ListFields():
        rule, below = steps[field.number]
        problem = rule(value)
        if problem:
            violations.append(Violation(prefix + field.name, problem))
        elif below is not None:
            below(value, prefix + field.name, violations)


def _check_each(messages: Any, path: str, violations: _Violations) -> None:
    for i, message in enumerate(messages):
        if len(violations) >= MOST_VIOLATIONS:
            return
        _check(message, f"{path}[{i}].", violations)


def _check_one(message: Any, path: str, violations: _Violations) -> None:
    _check(message, path + ".", violations)


def _plan(message: Message) -> _Plan:
    """What to check in messages of this type, made once for each."""
    descriptor = message.DESCRIPTOR
    steps = {field.number: _step(descriptor.name, field) for field in descriptor.fields}
    found = _plans[type(message)] = (REQUIRED.get(descriptor.name, ()), steps)
    return found


def _step(message_name: str, field: Any) -> tuple[Rule, _Below | None]:
    rule = rule_of(message_name, field.name)
    if rule is None:
        msg = f"no validation rule for {message_name}.{field.name}"
        raise LookupError(msg)
    if rule is output or not ITEMWISE.isdisjoint({field.name, f"{message_name}.{field.name}"}):
        return rule, None
    if field.enum_type is not None and rule is anything:
        return _member(field.enum_type.values_by_number), None
    if not is_walked(field):
        return rule, None
    return rule, _check_each if field.is_repeated else _check_one


def is_walked(field: FieldDescriptor) -> bool:
    """Whether a field holds messages of the contract, whose own fields have rules."""
    below = field.message_type
    return (
        below is not None
        and below.full_name.startswith("imrs.v1.")
        and below.name != "StringList"
        and not below.GetOptions().map_entry
    )


def _member(values: Any) -> Rule:
    names = {number: value.name for number, value in values.items()}
    return lambda value: "" if value in names else f"must be one of {', '.join(names.values())}"


def _is_set(message: Any, path: str) -> bool:
    *parents, last = path.split(".")
    for name in parents:
        message = getattr(message, name)
    if last in message.DESCRIPTOR.oneofs_by_name:
        return message.WhichOneof(last) is not None
    found = getattr(message, last)
    # A message may be set and empty: an empty filter is every model.
    return bool(message.HasField(last)) if hasattr(found, "ListFields") else bool(found)
