"""What every field of every request may hold: one table, and the walk that applies it.

Keys are ``field`` or, where one message differs, ``Message.field``. Only set fields are checked, so each rule
speaks of values that somebody sent; REQUIRED names what must be sent. A test sees to it that no field that a
request can carry is missing here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from imrs_server.domain.errors import InvalidRequest, Violation
from imrs_server.transport.rules import (
    Rule,
    anything,
    between,
    duration,
    each,
    entries,
    instant,
    money,
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
KIB, MIB = 2**10, 2**20
DAY_SECONDS = 86_400

PROVIDER_ID = pattern(r"[a-z0-9][a-z0-9_-]{0,49}", "1 to 50 of a-z 0-9 _ -, the first a letter or digit")
AGENT_ID = pattern(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "1 to 64 letters, digits and . _ -, such as a UUID")
WORD = pattern(r"[a-z0-9][a-z0-9_.-]{0,63}", "1 to 64 of a-z 0-9 _ . -, the first a letter or digit")
UUID = pattern(
    r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
    "a UUID such as 01890a5d-ac96-774b-bcce-b302099a8057",
)
ROLE = pattern(r"[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}", "1 to 64 letters, digits and _ . : -")
NAME = printable(255)
COUNT = between(0, INT32)
MEMORY = between(0, INT64)


def _model_id(value: str) -> str:
    provider_id, slash, external_id = value.partition("/")
    if PROVIDER_ID(provider_id) or not slash or not external_id:
        return "must be {provider_id}/{external_id}, such as openai/gpt-4o"
    return NAME(value)


def _key(value: str) -> str:
    return "" if 1 <= len(value) <= 4096 and value.isprintable() else "must be 1 to 4096 printable characters"


def _mask(value: Any) -> str:
    return "" if len(value.paths) <= 100 else "must have at most 100 paths"


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
    "agent_class": NAME,
    "message_id": UUID,
    "decision_id": UUID,
    "feedback_id": UUID,
    "rule_id": UUID,
    "endpoint_id": NAME,
    "budget_id": NAME,
    "token_id": UUID,
    "user_id": NAME,
    "conversation_id": NAME,
    "request_id": NAME,
    "etag": NAME,
    "subject": NAME,
    "task_type": WORD,
    "display_name": NAME,
    "use_case": text(8 * KIB),
    "tags": each(NAME, 100),
    "tag": NAME,
    "labels": entries(NAME, text(KIB), 100),
    "metadata": struct(64 * KIB),
    "Model.metadata": struct(64 * KIB),
    "CompleteRequest.metadata": struct(64 * KIB),
    "roles": each(ROLE, 100),
    # Nested messages and lists of them: their own fields are checked.
    "agent": anything,
    "agent_model": anything,
    "attachments": anything,
    "budget": anything,
    "data_policy": anything,
    "defaults": anything,
    "endpoint": anything,
    "filter": anything,
    "RecordMessageRequest.message": anything,
    "messages": anything,
    "model": anything,
    "parameters": anything,
    "parts": anything,
    "policy": anything,
    "preference": anything,
    "provider": anything,
    "requests": anything,
    "route": anything,
    "routing": anything,
    "shadow": anything,
    "task_rules": anything,
    "tenant": anything,
    "tool_calls": anything,
    "update": anything,
    "RecordDecisionsRequest.decisions": anything,
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
    "lifecycle": anything,
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
    "stream": anything,
    "trains_on_data": anything,
    "validate_only": anything,
    # Lists, filters and ranges.
    "page_size": between(0, 1000),
    "page_token": pattern(r"[A-Za-z0-9_=-]{0,4096}", "a next_page_token as it was given"),
    "order_by": pattern(r"[a-z_]{1,64}( (asc|desc))?", "a field, optionally followed by ` desc`"),
    "start_time": instant,
    "end_time": instant,
    "search": NAME,
    "group_by": each(
        pattern(r"agent|model|provider|task_type|day", "agent, model, provider, task_type or day"), 5
    ),
    "actor": NAME,
    "method": NAME,
    "target_type": NAME,
    "target_id": NAME,
    "update_mask": _mask,
    # Providers.
    "api_base": printable(2048),
    "models_endpoint": pattern(r"/[!-~]{0,2000}", "a path that starts with /"),
    "pool_url": printable(2048),
    "base_url": printable(2048),
    "dialect": pattern(r"[a-z][a-z0-9_-]{0,31}", "a dialect such as openai"),
    "options": struct(16 * KIB),
    "api_key": _key,
    "rate_limit_rpm": between(1, INT32),
    "sync_interval": duration(60, 366 * DAY_SECONDS),
    "regions": each(NAME, 100),
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
    "capsule": struct(64 * KIB),
    "default_model_id": MODEL_ID,
    "previous_model_id": MODEL_ID,
    "model_ids": each(MODEL_ID, 10_000),
    "fallback_model_ids": strings(MODEL_ID, 100),
    "allowed_models": strings(MODEL_GLOB, 10_000),
    "excluded_models": each(MODEL_GLOB, 10_000),
    "added_models": each(MODEL_ID, 1000),
    "removed_models": each(MODEL_ID, 1000),
    "allowed_roles": each(ROLE, 100),
    # Parameters.
    "temperature": between(0, 2),
    "top_p": between(0, 1),
    "Parameters.max_output_tokens": between(1, INT32),
    "stop": strings(text(KIB), 16),
    "extra": struct(16 * KIB),
    # Routing policy.
    "priority_weight": between(0, 1),
    "experience_weight": between(0, 1),
    "exploration_rate": between(0, 1),
    "similarity_margin": between(0, 1),
    "half_life": duration(1, 3660 * DAY_SECONDS),
    "max_latency_ms": between(1, INT32),
    "max_error_rate": between(0, 1),
    "signal_ratings": entries(pattern(r"[A-Z_]{1,32}", "a signal such as COPY"), between(0, 1), 16),
    "feedback_weights": entries(pattern(r"[A-Z_]{1,32}", "a feedback type or signal"), between(0, 100), 16),
    "TaskRules.tools": entries(NAME, WORD, 1000),
    "mime_types": entries(NAME, WORD, 1000),
    "words": entries(WORD, strings(NAME, 1000), 1000),
    # Requests for a decision.
    "message": size(MIB),
    "tools_used": each(NAME, 1000),
    "filename": size(4 * KIB),
    "mime_type": NAME,
    "estimated_prompt_tokens": COUNT,
    "max_fallbacks": between(0, 100),
    "min_revision": MEMORY,
    "from_revision": MEMORY,
    "seed": anything,
    # Messages and feedback.
    "latency_ms": COUNT,
    "prompt_tokens": between(0, 10**9),
    "completion_tokens": between(0, 10**9),
    "cached_tokens": between(0, 10**9),
    "error_kind": WORD,
    "rating": between(0, 1),
    "Message.create_time": instant,
    "Message.rating": output,
    "Message.feedback_type": output,
    "comment": text(64 * KIB),
    "event_time": instant,
    # Complete.
    "ChatMessage.role": pattern(r"[a-z]{1,32}", "a role such as user"),
    "content": size(MIB),
    "text": size(MIB),
    "image_url": size(MIB),
    "data": size(4 * MIB),
    "CompleteRequest.tools": each(struct(64 * KIB), 256),
    "tool_choice": size(KIB),
    "tool_call_id": NAME,
    "name": NAME,
    "ToolCall.id": NAME,
    "arguments": size(MIB),
    "index": COUNT,
    "response_format": struct(64 * KIB),
    "timeout": duration(0, 3600),
    "max_attempts": between(0, 100),
    # The rest of administration.
    "IssueTokenRequest.ttl": duration(1, 366 * DAY_SECONDS),
    "Endpoint.ttl": duration(0, 366 * DAY_SECONDS),
    "weight": between(0, 10**6),
    "limit_usd": money,
    "limit_tokens": MEMORY,
    "window": duration(1, 3660 * DAY_SECONDS),
    "yaml": size(4 * MIB),
    "environment": NAME,
    # What the server says.
    "api_key_vault_path": output,
    "candidates": output,
    "candidates_eligible": output,
    "candidates_total": output,
    "cost_priced": output,
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
    "index_revision": output,
    "last_sync_error": output,
    "last_synced_time": output,
    "last_used_time": output,
    "load_error": output,
    "memory_bytes": output,
    "model_count": output,
    "override": output,
    "propensity": output,
    "Decision.reason": output,
    "provenance": output,
    "removed_by": output,
    "reserved_usd": output,
    "reset_time": output,
    "selected": output,
    "source": output,
    "spent_tokens": output,
    "spent_usd": output,
    "stale": output,
    "Model.synced_time": output,
    "task": output,
    "token_count": output,
    "update_time": output,
    "value_sources": output,
}

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
    "SetPreferenceRequest": ("preference.agent_class",),
    "GetPreferenceRequest": ("agent_class",),
    "DeletePreferenceRequest": ("agent_class",),
    "SetEndpointRequest": ("endpoint.endpoint_id", "endpoint.model_id", "endpoint.base_url"),
    "DeleteEndpointRequest": ("endpoint_id",),
    "LoadEndpointRequest": ("endpoint_id",),
    "UnloadEndpointRequest": ("endpoint_id",),
    "SetBudgetRequest": ("budget",),
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
    "SubmitFeedbackRequest": ("message_id",),
    "RevokeFeedbackRequest": ("feedback_id",),
}


def rule_of(message_name: str, field_name: str) -> Rule | None:
    """The rule for a field; None for one that somebody forgot."""
    return TABLE.get(f"{message_name}.{field_name}") or TABLE.get(field_name)


# Items of these are checked one by one by the servicer, so that a bad one fails alone.
ITEMWISE = frozenset({"BatchRouteRequest", "BatchRecordMessagesRequest", "BatchSubmitFeedbackRequest"})


def validate(message: Message) -> None:
    """Check a request. Raises InvalidRequest that names every field that is not as it must be."""
    name = message.DESCRIPTOR.name
    violations = [
        Violation(path, "must be set") for path in REQUIRED.get(name, ()) if not _is_set(message, path)
    ]
    if name in ITEMWISE:
        if len(message.requests) > 1000:  # type: ignore[attr-defined]
            violations.append(Violation("requests", "must have at most 1000 items"))
    else:
        _check(message, "", violations)
    if violations:
        raise InvalidRequest(*violations)


def _check(message: Message, prefix: str, violations: list[Violation]) -> None:
    plan = _plan(message.DESCRIPTOR)
    for field, value in message.ListFields():
        rule, enum, kind = plan[field.number]
        path = prefix + field.name
        problem = rule(value)
        if problem:
            violations.append(Violation(path, problem))
        elif enum is not None and value not in enum:
            violations.append(Violation(path, f"must be one of {', '.join(enum.values())}"))
        elif kind == _ONE:
            _check(value, path + ".", violations)
        elif kind == _MANY:
            for i, item in enumerate(value):
                _check(item, f"{path}[{i}].", violations)


_LEAF, _ONE, _MANY = range(3)
_Step = tuple[Rule, "dict[int, str] | None", int]
_plans: dict[str, dict[int, _Step]] = {}


def _plan(descriptor: Any) -> dict[int, _Step]:
    found = _plans.get(descriptor.full_name)
    if found is None:
        steps = {field.number: _step(descriptor.name, field) for field in descriptor.fields}
        found = _plans[descriptor.full_name] = steps
    return found


def _step(message_name: str, field: FieldDescriptor) -> _Step:
    rule = rule_of(message_name, field.name)
    if rule is None:
        msg = f"no validation rule for {message_name}.{field.name}"
        raise LookupError(msg)
    if rule is output:
        return rule, None, _LEAF
    enum = {each.number: each.name for each in field.enum_type.values} if field.enum_type else None
    if field.message_type is None or rule is not anything:
        return rule, enum, _LEAF
    return rule, enum, _MANY if field.is_repeated else _ONE


def _is_set(message: Message, path: str) -> bool:
    *parents, last = path.split(".")
    value: Any = message
    for name in parents:
        value = getattr(value, name)
    found = getattr(value, last)
    # A message may be set and empty: an empty filter is every model.
    return bool(value.HasField(last)) if hasattr(found, "ListFields") else bool(found)
