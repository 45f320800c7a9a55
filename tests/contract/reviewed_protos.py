"""What was agreed about the package imrs.v1, written by hand: the tests compare the protos with it.

A name in here is kept for ever; a change of this file is a change of the contract and is reviewed as one.
"""

from __future__ import annotations

READ, SAFE, ONCE = "NO_SIDE_EFFECTS", "IDEMPOTENT", "IDEMPOTENCY_UNKNOWN"

# method -> response, `stream` before it where it is one, and whether a repeat is safe.
METHODS = {
    "AdminService": {
        "CreateProvider": ("Provider", SAFE),
        "GetProvider": ("Provider", READ),
        "ListProviders": ("ListProvidersResponse", READ),
        "UpdateProvider": ("Provider", SAFE),
        "DeleteProvider": ("Provider", SAFE),
        "UndeleteProvider": ("Provider", SAFE),
        "RotateProviderKey": ("Provider", SAFE),
        "CheckProvider": ("CheckProviderResponse", READ),
        "SyncProvider": ("stream SyncProgress", SAFE),
        "RevertSync": ("SyncResult", SAFE),
        "SetTenant": ("Tenant", SAFE),
        "ListTenants": ("ListTenantsResponse", READ),
        "IssueToken": ("IssueTokenResponse", ONCE),
        "ListTokens": ("ListTokensResponse", READ),
        "RevokeToken": ("google.protobuf.Empty", SAFE),
        "CreateAgent": ("Agent", ONCE),
        "GetAgent": ("Agent", READ),
        "ListAgents": ("ListAgentsResponse", READ),
        "UpdateAgent": ("Agent", SAFE),
        "DeleteAgent": ("Agent", SAFE),
        "UndeleteAgent": ("Agent", SAFE),
        "CloneAgent": ("Agent", ONCE),
        "ListAgentModels": ("ListAgentModelsResponse", READ),
        "EnableAgentModels": ("EnableAgentModelsResponse", SAFE),
        "DisableAgentModels": ("DisableAgentModelsResponse", SAFE),
        "UpdateAgentModel": ("AgentModel", SAFE),
        "ListAgentRules": ("ListAgentRulesResponse", READ),
        "DeleteAgentRule": ("google.protobuf.Empty", SAFE),
        "SetModelOverride": ("Agent", SAFE),
        "ClearModelOverride": ("Agent", SAFE),
        "SetAgentKey": ("google.protobuf.Empty", SAFE),
        "DeleteAgentKey": ("google.protobuf.Empty", SAFE),
        "SetPreference": ("Preference", SAFE),
        "GetPreference": ("Preference", READ),
        "ListPreferences": ("ListPreferencesResponse", READ),
        "DeletePreference": ("google.protobuf.Empty", SAFE),
        "SetEndpoint": ("Endpoint", SAFE),
        "ListEndpoints": ("ListEndpointsResponse", READ),
        "DeleteEndpoint": ("google.protobuf.Empty", SAFE),
        "LoadEndpoint": ("Endpoint", SAFE),
        "UnloadEndpoint": ("Endpoint", SAFE),
        "GetDefaults": ("Defaults", READ),
        "UpdateDefaults": ("Defaults", SAFE),
        "SetBudget": ("Budget", SAFE),
        "ListBudgets": ("ListBudgetsResponse", READ),
        "DeleteBudget": ("google.protobuf.Empty", SAFE),
        "ApplyConfig": ("ApplyConfigResponse", SAFE),
        "UndoConfig": ("UndoConfigResponse", ONCE),
        "ExportConfig": ("ExportConfigResponse", READ),
        "ListAuditEvents": ("ListAuditEventsResponse", READ),
        "GetStatus": ("GetStatusResponse", READ),
    },
    "CatalogService": {
        "ListModels": ("ListModelsResponse", READ),
        "GetModel": ("Model", READ),
        "CreateModel": ("Model", ONCE),
        "UpdateModel": ("Model", SAFE),
        "DeleteModel": ("Model", SAFE),
        "UndeleteModel": ("Model", SAFE),
        "BulkUpdateModels": ("BulkUpdateModelsResponse", SAFE),
        "ListModelChanges": ("ListModelChangesResponse", READ),
    },
    "RouteService": {
        "Route": ("Decision", SAFE),
        "BatchRoute": ("BatchRouteResponse", SAFE),
        "StreamRoutes": ("stream Decision", SAFE),
        "ExplainRoute": ("Decision", READ),
        "DetectTask": ("TaskDetection", READ),
        "GetDecision": ("Decision", READ),
        "ListDecisions": ("ListDecisionsResponse", READ),
        "ReplayDecisions": ("ReplayDecisionsResponse", READ),
        "WatchAgent": ("stream AgentSnapshot", READ),
        "RecordDecisions": ("RecordDecisionsResponse", SAFE),
        "Complete": ("stream CompleteEvent", ONCE),
        "Embed": ("EmbedResponse", ONCE),
    },
    "FeedbackService": {
        "RecordMessage": ("Message", SAFE),
        "BatchRecordMessages": ("BatchRecordMessagesResponse", SAFE),
        "SubmitFeedback": ("Feedback", SAFE),
        "BatchSubmitFeedback": ("BatchSubmitFeedbackResponse", SAFE),
        "RevokeFeedback": ("Feedback", SAFE),
        "ListFeedback": ("ListFeedbackResponse", READ),
        "ListPerformance": ("ListPerformanceResponse", READ),
        "GetUsage": ("GetUsageResponse", READ),
    },
}

# Requests that are not named after their method.
REQUESTS = {"ExplainRoute": "RouteRequest", "StreamRoutes": "stream RouteRequest"}

# message -> its fields in order; `?` after a scalar whose absence has a meaning.
FIELDS = {
    "Provider": """provider_id display_name provider_type dialect api_base models_endpoint options pool_url
        api_key api_key_vault_path rate_limit_rpm? sync_interval data_policy state model_count credentials_ok
        last_synced_time last_sync_error created_by create_time update_time delete_time etag""",
    "DataPolicy": "regions trains_on_data? retains_data?",
    "Model": """model_id provider_id external_id display_name model_type capabilities domains priority?
        cost_tier context_length max_output_tokens price_state input_price_usd output_price_usd
        cached_input_price_usd parameters available? lifecycle retire_time provenance metadata synced_time
        create_time update_time delete_time etag""",
    "Parameters": "temperature? top_p? max_output_tokens? stop extra",
    "StringList": "values",
    "Defaults": "scope parameters routing default_model_id task_rules etag",
    "TaskRules": "tools mime_types words",
    "Tenant": "tenant_id display_name create_time",
    "Agent": """agent_id tenant_id display_name agent_class use_case tags labels metadata capsule
        default_model_id parameters routing override fallback_model_ids state create_time update_time
        delete_time etag""",
    "ModelOverride": "model_id set_by set_time",
    "RoutingPolicy": """priority_weight? experience_weight? scoring exploration exploration_rate?
        cost_preference similarity_margin? half_life max_cost_tier session_affinity? require_credentials?
        max_latency_ms? max_error_rate? signal_ratings feedback_weights shadow""",
    "AgentModel": """agent_id model_id display_name provider_id cost_tier enabled priority_override?
        effective_priority parameters context_length? input_price_usd? output_price_usd? fallback_model_ids
        allowed_roles metadata enabled_by enabled_time source eligible removed_by detail value_sources""",
    "AgentRule": "rule_id agent_id filter priority_override? create_time",
    "ModelFilter": """provider_id cost_tier capabilities domains model_type available? search
        min_context_length max_input_price_usd""",
    "Preference": "agent_class model_ids parameters etag",
    "Endpoint": """endpoint_id model_id base_url weight state in_flight ttl memory_bytes load_error
        last_used_time""",
    "Message": """message_id tenant_id agent_id decision_id conversation_id model_id task_type tools_used
        latency_ms prompt_tokens completion_tokens cached_tokens token_count cost_usd cost_priced outcome
        error_kind metadata rating? feedback_type feedback_time create_time error
        tokens_estimated""",
    "Feedback": """feedback_id message_id agent_id model_id task_type rating? feedback_type signal user_id
        comment pending create_time revoke_time error""",
    "Decision": """decision_id request_id tenant_id agent_id task selected fallbacks reason candidates_total
        candidates_eligible index_revision stale propensity? create_time candidates error""",
    "SelectedModel": """model_id provider_id provider_type api_base api_key_vault_path external_id
        display_name priority cost_tier score parameters context_length capabilities input_price_usd
        output_price_usd price_state credentials_ok endpoint""",
    "CandidateReport": """model_id eligible removed_by detail score priority_term experience_term
        exploration_term rating_mean rating_count level""",
    "TaskDetection": "task_type confidence source required_capabilities alternatives",
    "Budget": """budget_id agent_id limit_usd? limit_tokens? window spent_usd spent_tokens reserved_usd
        reset_time etag reserved_tokens unpriced_calls level""",
    "AuditEvent": """event_id tenant_id actor roles method request_id target_type target_id before after
        create_time""",
    "Usage": """group calls errors prompt_tokens completion_tokens cached_tokens total_tokens cost_usd
        unpriced_calls avg_latency_ms p95_latency_ms estimated_calls""",
    "TokenUsage": "prompt_tokens completion_tokens cached_tokens estimated",
    "Performance": """model_id agent_id task_type avg_rating rating_count usage_count avg_latency_ms
        p95_latency_ms score lower upper trend shadow_count shadow_agreed_count shadow_rating_count
        shadow_avg_rating""",
    "ItemError": "code reason message metadata",
    "SyncProgress": "stage models_discovered models_processed result",
    "SyncResult": """provider_id models_discovered models_added models_updated models_unchanged models_missing
        models_invalid synced_time changes""",
    "RouteRequest": """tenant_id agent_id agent_class task_type message tools_used attachments
        required_capabilities domains allowed_models excluded_models roles min_context_length
        estimated_prompt_tokens model_type max_cost_tier prefer_cost_tier max_latency_ms? data_policy
        conversation_id previous_model_id parameters max_fallbacks? min_revision seed? request_id""",
    "Attachment": "filename mime_type",
    "CompleteRequest": """route messages tools tool_choice response_format stream timeout max_attempts
        metadata allow_mid_stream_fallback""",
    "ChatMessage": "role content parts tool_calls tool_call_id name",
    "ChatMessage.Part": "text image_url data mime_type image_detail",
    "ToolCall": "id name arguments index",
    "CompleteEvent": "decision delta attempt_failed completed",
    "CompleteEvent.Delta": "content tool_calls",
    "CompleteEvent.AttemptFailed": "model_id error_kind detail partly_delivered",
    "CompleteEvent.Completed": "message_id model_id finish_reason usage cost_usd latency_ms dropped",
    "SubmitFeedbackRequest": """tenant_id message_id rating? signal feedback_type user_id comment event_time
        request_id""",
    "CheckProviderResponse": "reachable authorized model_count latency_ms detail",
    "IssueTokenResponse": "token token_id expire_time",
    "EnableAgentModelsRequest": "tenant_id agent_id model_ids filter standing validate_only",
    "EnableAgentModelsResponse": "enabled_count model_ids rule",
    "DisableAgentModelsRequest": "tenant_id agent_id model_ids filter all",
    "DisableAgentModelsResponse": "disabled_count",
    "BulkUpdateModelsRequest": "filter update validate_only",
    "BulkUpdateModelsRequest.Update": "available? priority? cost_tier",
    "BulkUpdateModelsResponse": "matched_count updated_count",
    "ApplyConfigRequest": "tenant_id yaml environment validate_only prune source",
    "ApplyConfigResponse": "plan",
    "UndoConfigRequest": "tenant_id source validate_only",
    "UndoConfigResponse": "plan",
    "ExportConfigResponse": "yaml",
    "GetStatusResponse": """version index_revision index_age listener_connected database vault providers
        replicas cooldowns""",
    "ReplayDecisionsResponse": """changed_share estimates identifiable cost_difference_usd examples
        replayed_count detail rated_count logged_rating? model_estimate? unpriced_count unserved_count
        skipped_count""",
    "ReplayDecisionsResponse.Estimate": "method value lower upper effective_sample_size coverage",
    "RecordDecisionsResponse": "accepted_count",
    "GetUsageResponse": "usages totals",
}

# List method -> what its response calls the items, and what else it answers.
LISTS = {
    "ListProviders": ("providers",),
    "ListTenants": ("tenants",),
    "ListTokens": ("tokens",),
    "ListAgents": ("agents",),
    "ListAgentModels": ("models", "total_enabled"),
    "ListAgentRules": ("agent_rules",),
    "ListPreferences": ("preferences",),
    "ListEndpoints": ("endpoints",),
    "ListBudgets": ("budgets",),
    "ListAuditEvents": ("audit_events",),
    "ListModels": ("models",),
    "ListModelChanges": ("model_changes",),
    "ListDecisions": ("decisions",),
    "ListFeedback": ("feedback",),
    "ListPerformance": ("performance",),
}

# enum -> its values after the zero value, which is the enum's own name in capitals and `_UNSPECIFIED`.
ENUMS = {
    "Provider.Type": "OPENROUTER OPENAI ANTHROPIC AZURE OLLAMA CUSTOM",
    "Provider.State": "ACTIVE DISABLED DELETED",
    "SyncProgress.Stage": "FETCHING COMPARING WRITING DONE",
    "Model.Type": "CHAT EMBEDDING IMAGE AUDIO RERANK",
    "Model.CostTier": "FREE LOW STANDARD PREMIUM",
    "Model.PriceState": "PRICE_KNOWN PRICE_FREE PRICE_VARIABLE PRICE_UNKNOWN",
    "Model.Lifecycle": "ACTIVE MISSING RETIRING RETIRED",
    "ModelChange.Action": "ADDED UPDATED MISSING RETURNED RETIRING RETIRED REVERTED",
    "Defaults.Scope": "GLOBAL TENANT",
    "Agent.State": "ACTIVE DISABLED DELETED",
    "AgentModel.Source": "EXPLICIT RULE",
    "RoutingPolicy.Scoring": "POOLED SRS",
    "RoutingPolicy.Exploration": "UCB OFF EPSILON",
    "RoutingPolicy.CostPreference": "CHEAPER_WHEN_SIMILAR NONE",
    "Endpoint.State": "HOT LOADING COLD DOWN",
    "Budget.Level": "WITHIN SPARING SPENT EXHAUSTED",
    "Message.Outcome": "OK ERROR TIMEOUT CANCELLED",
    "Feedback.Type": "EXPLICIT IMPLICIT SELF_EVAL",
    "Feedback.Signal": "THUMBS_UP THUMBS_DOWN REGENERATE COPY CONTINUE ABANDON EVALUATION SCORE",
    "Decision.Reason": "SCORE OVERRIDE PREFERENCE AFFINITY EXPLORE DEFAULT",
    "CandidateReport.RemovedBy": """DISABLED PROVIDER UNAVAILABLE MODEL_TYPE CAPABILITY DOMAIN CONTEXT CAPSULE
        ROLE ALLOWED_MODELS EXCLUDED DATA_POLICY COST_TIER BUDGET CREDENTIALS LATENCY ERROR_RATE COOLDOWN""",
    "CandidateReport.Level": "AGENT_TASK TENANT_TASK TASK MODEL PRIOR",
    "TaskDetection.Confidence": "HIGH MEDIUM LOW",
    "TaskDetection.Source": "TOOL MIME KEYWORD REQUEST NONE",
    "PlannedChange.Action": "CREATE UPDATE DELETE UNCHANGED",
    "ComponentStatus.State": "UP DEGRADED DOWN OFF",
    "CooldownStatus.State": "COOLING RETURNING",
    "AgentSnapshot.Kind": "FULL DELTA HEARTBEAT",
}

# gRPC code -> reasons.
REASONS = {
    "INVALID_ARGUMENT": "INVALID_REQUEST ADDRESS_FORBIDDEN",
    "NOT_FOUND": """PROVIDER_NOT_FOUND MODEL_NOT_FOUND AGENT_NOT_FOUND MESSAGE_NOT_FOUND DECISION_NOT_FOUND
        FEEDBACK_NOT_FOUND RULE_NOT_FOUND PREFERENCE_NOT_FOUND ENDPOINT_NOT_FOUND BUDGET_NOT_FOUND""",
    "ALREADY_EXISTS": "PROVIDER_EXISTS MODEL_EXISTS AGENT_EXISTS IDEMPOTENCY_MISMATCH",
    "ABORTED": "ETAG_MISMATCH SYNC_IN_PROGRESS",
    "UNAUTHENTICATED": "TOKEN_MISSING TOKEN_INVALID TOKEN_EXPIRED",
    "PERMISSION_DENIED": "ROLE_REQUIRED TENANT_MISMATCH AGENT_MISMATCH",
    "FAILED_PRECONDITION": """NO_ELIGIBLE_MODEL VAULT_SEALED VAULT_FORBIDDEN CREDENTIAL_MISSING
        PROVIDER_INVALID_RESPONSE SYNC_SUSPICIOUS""",
    "RESOURCE_EXHAUSTED": "PROVIDER_RATE_LIMITED RATE_LIMITED BUDGET_EXCEEDED OVERLOADED",
    "UNAVAILABLE": """REVISION_NOT_REACHED VAULT_UNREACHABLE DATABASE_UNAVAILABLE PROVIDER_UNAVAILABLE
        SERVER_STOPPING""",
    "UNIMPLEMENTED": "NOT_BUILT",
    "INTERNAL": "INTERNAL",
}
