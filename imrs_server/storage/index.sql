-- Each query reads all rows, or those of the keys where a list of them is given.

-- name: providers
select
    provider_id, display_name, provider_type, dialect, api_base, models_endpoint, options, rate_limit_rpm, data_policy,
    key_version, state, version
from providers
where %(provider_ids)s::text[] is null or provider_id = any(%(provider_ids)s)

-- name: models
select model_id, hashtextextended(model_id, 0) as number, row_to_json(kept)::text as row
from (
    select
        model_id, provider_id, external_id, display_name, model_type, capabilities, domains, priority, cost_tier,
        context_length, max_output_tokens, price_state, input_price_usd::text, output_price_usd::text,
        cached_input_price_usd::text, parameters, available, lifecycle, delete_time, version
    from models
    where (%(model_ids)s::text[] is null or model_id = any(%(model_ids)s))
      and exists (
          select from agent_models
          where agent_models.model_id = models.model_id
            and (%(tenant_ids)s::uuid[] is null or agent_models.tenant_id = any(%(tenant_ids)s))
            and (%(agent_ids)s::text[] is null or agent_models.agent_id = any(%(agent_ids)s))
      )
) as kept

-- name: agents
select tenant_id, agent_id, row_to_json(kept)::text as row
from (
    select
        tenant_id, agent_id, display_name, agent_class, capsule, default_model_id, parameters, routing, override,
        fallback_model_ids, state, version
    from agents
    where delete_time is null
      and (%(tenant_ids)s::uuid[] is null or tenant_id = any(%(tenant_ids)s))
      and (%(agent_ids)s::text[] is null or agent_id = any(%(agent_ids)s))
) as kept

-- name: agent_models
-- Most models have no settings but a priority; these are packed.
select
    tenant_id, agent_id,
    coalesce(
        string_agg(
            int8send(hashtextextended(model_id, 0)) || int2send(coalesce(priority_override, -1)::int2) || boolsend(enabled),
            ''
        ) filter (where plain),
        ''
    ) as plain,
    coalesce(json_agg(settings) filter (where not plain), '[]')::text as settings
from (
    select
        kept.tenant_id, kept.agent_id, kept.model_id, kept.enabled, kept.priority_override, row_to_json(kept) as settings,
        kept.parameters = '{}' and kept.allowed_roles = '[]' and num_nonnulls(
            kept.context_length, kept.input_price_usd, kept.output_price_usd, kept.fallback_model_ids
        ) = 0 as plain
    from (
        select
            agent_models.tenant_id, agent_models.agent_id, agent_models.model_id, agent_models.enabled,
            coalesce(agent_models.priority_override, agent_rules.priority_override) as priority_override,
            agent_models.parameters, agent_models.context_length, agent_models.input_price_usd::text,
            agent_models.output_price_usd::text, agent_models.fallback_model_ids, agent_models.allowed_roles
        from agent_models
        left join agent_rules using (tenant_id, rule_id)
        where (%(tenant_ids)s::uuid[] is null or agent_models.tenant_id = any(%(tenant_ids)s))
          and (%(agent_ids)s::text[] is null or agent_models.agent_id = any(%(agent_ids)s))
    ) as kept
) as known
group by tenant_id, agent_id

-- name: agent_keys
select tenant_id, agent_id, provider_id, key_version
from agent_keys
where (%(tenant_ids)s::uuid[] is null or tenant_id = any(%(tenant_ids)s))
  and (%(agent_ids)s::text[] is null or agent_id = any(%(agent_ids)s))

-- name: revoked_tokens
select token_id from issued_tokens where revoke_time is not null and expire_time > now() - interval '1 hour'

-- name: endpoints
-- In the order of their ids, so that what is made of them is the same everywhere. What is counted is left out: it
-- changes without a revision.
select
    endpoint_id, model_id, base_url, placed_url, weight, ttl, memory_bytes, load_error, version,
    case
        when exists (
            select from breakers where kind = 'ENDPOINT' and subject_id = endpoint_id and phase = 'COOLING'
        ) then 'DOWN'
        else state
    end as state
from endpoints
where %(model_ids)s::text[] is null or model_id = any(%(model_ids)s)
order by model_id, endpoint_id

-- name: preferences
select agent_class, model_ids, parameters, version from preferences

-- name: defaults
select tenant_id, scope, parameters, routing, default_model_id, task_rules, version
from defaults
where %(tenant_ids)s::uuid[] is null or tenant_id is null or tenant_id = any(%(tenant_ids)s)

-- name: budgets
select tenant_id, agent_id, limit_usd, limit_tokens, reset_time, level
from budgets
where (%(tenant_ids)s::uuid[] is null or tenant_id = any(%(tenant_ids)s))
  and (%(agent_ids)s::text[] is null or agent_id = any(%(agent_ids)s))
order by tenant_id, agent_id, budget_id

-- name: middle_agent
select tenant_id, agent_id from agents order by tenant_id, agent_id offset (select count(*) / 2 from agents) limit 1

-- name: evidence
-- All of it, or that of the owners before one of them, or from it on.
select tenant_id, agent_id, task_type, common, served, rare
from evidence_cells
where (%(until_agent_id)s::text is null
       or (tenant_id, agent_id) < (%(until_tenant_id)s::uuid, %(until_agent_id)s::text))
  and (%(since_agent_id)s::text is null
       or (tenant_id, agent_id) >= (%(since_tenant_id)s::uuid, %(since_agent_id)s::text))

-- name: evidence_of
-- The offset keeps the cells apart, or all of them would be made before the wanted ones are taken.
select cells.tenant_id, cells.agent_id, cells.task_type, cells.common, cells.served, cells.rare
from unnest(%(tenant_ids)s::uuid[], %(agent_ids)s::text[], %(task_types)s::text[])
    as wanted (tenant_id, agent_id, task_type)
cross join lateral (
    select *
    from evidence_cells
    where tenant_id = wanted.tenant_id and agent_id = wanted.agent_id and task_type = wanted.task_type
    offset 0
) as cells
