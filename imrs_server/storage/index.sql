-- Each query reads all rows, or those of the keys where a list of them is given.

-- name: providers
select
    provider_id, display_name, provider_type, dialect, api_base, models_endpoint, data_policy, key_version, state, version
from providers
where %(provider_ids)s::text[] is null or provider_id = any(%(provider_ids)s)

-- name: models
select
    model_id, provider_id, external_id, display_name, model_type, capabilities, domains, priority, cost_tier,
    context_length, max_output_tokens, price_state, input_price_usd, output_price_usd, cached_input_price_usd,
    parameters, available, lifecycle, delete_time, version
from models
where (%(model_ids)s::text[] is null or model_id = any(%(model_ids)s))
  and exists (select from agent_models where agent_models.model_id = models.model_id)

-- name: agents
select
    tenant_id, agent_id, display_name, agent_class, capsule, default_model_id, parameters, routing, override,
    fallback_model_ids, state, version
from agents
where delete_time is null
  and (%(tenant_ids)s::uuid[] is null or tenant_id = any(%(tenant_ids)s))
  and (%(agent_ids)s::text[] is null or agent_id = any(%(agent_ids)s))

-- name: agent_models
select
    agent_models.tenant_id, agent_models.agent_id, agent_models.model_id, agent_models.enabled,
    coalesce(agent_models.priority_override, agent_rules.priority_override) as priority_override,
    agent_models.parameters, agent_models.context_length, agent_models.input_price_usd,
    agent_models.output_price_usd, agent_models.fallback_model_ids, agent_models.allowed_roles
from agent_models
left join agent_rules using (tenant_id, rule_id)
where (%(tenant_ids)s::uuid[] is null or agent_models.tenant_id = any(%(tenant_ids)s))
  and (%(agent_ids)s::text[] is null or agent_models.agent_id = any(%(agent_ids)s))

-- name: agent_keys
select tenant_id, agent_id, provider_id, key_version
from agent_keys
where (%(tenant_ids)s::uuid[] is null or tenant_id = any(%(tenant_ids)s))
  and (%(agent_ids)s::text[] is null or agent_id = any(%(agent_ids)s))

-- name: revoked_tokens
select token_id from issued_tokens where revoke_time is not null and expire_time > now() - interval '1 hour'

-- name: preferences
select agent_class, model_ids, parameters, version from preferences

-- name: defaults
select tenant_id, scope, parameters, routing, default_model_id, task_rules, version
from defaults
where %(tenant_ids)s::uuid[] is null or tenant_id is null or tenant_id = any(%(tenant_ids)s)

-- name: evidence
select
    tenant_id, agent_id, task_type, model_id, extract(epoch from last_time)::double precision as last_time, raw_n, raw_s,
    explicit_n, explicit_s, explicit_q, thumbs_up_n, thumbs_up_s, thumbs_down_n, thumbs_down_s, self_n, self_s, self_q,
    implicit_n, implicit_s, implicit_q, regenerate_n, regenerate_s, copy_n, copy_s, continue_n, continue_s, abandon_n,
    abandon_s, decisions, calls, errors, latency_n, latency_ms_sum
from evidence
where (%(tenant_ids)s::uuid[] is null or tenant_id = any(%(tenant_ids)s))
  and (%(agent_ids)s::text[] is null or agent_id = any(%(agent_ids)s))
