-- name: unknown
select named.model_id
from unnest(%(model_ids)s::text[]) with ordinality as named (model_id, position)
where not exists (
    select from models where models.model_id = named.model_id and (%(deleted_too)s or delete_time is null)
)
order by position
limit 1

-- name: is_enabled
select enabled
from agent_models
where tenant_id = %(tenant_id)s and agent_id = %(agent_id)s and model_id = %(model_id)s

-- name: list
select agent_models.*, models.display_name, models.provider_id, models.cost_tier,
    coalesce(
        agent_models.priority_override, agent_rules.priority_override, models.priority
    ) as effective_priority,
    octet_length(agent_models::text) as weight
from agent_models
join models using (model_id)
left join agent_rules
    on agent_rules.tenant_id = agent_models.tenant_id and agent_rules.rule_id = agent_models.rule_id
where agent_models.tenant_id = %(tenant_id)s and agent_models.agent_id = %(agent_id)s
  and (%(model_id)s = '' or model_id = %(model_id)s)
  and (%(disabled_too)s or (enabled and models.delete_time is null))
  /* page */

-- name: count_enabled
select count(*)
from agent_models
join models using (model_id)
where tenant_id = %(tenant_id)s and agent_id = %(agent_id)s and enabled and models.delete_time is null

-- name: matching
select count(*) as count, coalesce((array_agg(model_id order by model_id))[1:1000], '{}') as model_ids
from models
where models.delete_time is null
  and (models.model_id = any(%(model_ids)s::text[]) or (%(filtered)s and /* model filter */))

-- name: enable
with matching as (
    select model_id, model_id = any(%(model_ids)s::text[]) as named
    from models
    where models.delete_time is null
      and (models.model_id = any(%(model_ids)s::text[]) or (%(filtered)s and /* model filter */))
), changed as (
    insert into agent_models as held (tenant_id, agent_id, model_id, enabled_by, source, rule_id)
    select %(tenant_id)s, %(agent_id)s, model_id, %(enabled_by)s,
        case when named or %(rule_id)s::uuid is null then 'EXPLICIT' else 'RULE' end,
        case when not named then %(rule_id)s::uuid end
    from matching
    on conflict (tenant_id, agent_id, model_id) do update
    set enabled = true, source = excluded.source, rule_id = excluded.rule_id,
        enabled_by = case when held.enabled then held.enabled_by else excluded.enabled_by end,
        enabled_time = case when held.enabled then held.enabled_time else excluded.enabled_time end,
        update_time = excluded.update_time, version = held.version + 1
    where not held.enabled or (held.source = 'RULE' and excluded.source = 'EXPLICIT')
    returning model_id
)
select
    (select count(*) from matching) as count,
    (select coalesce((array_agg(model_id order by model_id))[1:1000], '{}') from matching) as model_ids,
    (select count(*) from changed) as changed_count,
    (select coalesce((array_agg(model_id order by model_id))[1:1000], '{}') from changed) as changed_ids

-- name: catch
insert into agent_models (tenant_id, agent_id, model_id, enabled_by, source, rule_id)
select %(tenant_id)s, %(agent_id)s, model_id, %(enabled_by)s, 'RULE', %(rule_id)s
from models
where models.delete_time is null and /* model filter */
on conflict do nothing

-- name: disable
with changed as (
    update agent_models as held
    set enabled = false, update_time = now(), version = held.version + 1
    from models
    where held.tenant_id = %(tenant_id)s and held.agent_id = %(agent_id)s and held.enabled
      and models.model_id = held.model_id
      and (%(all)s or held.model_id = any(%(model_ids)s::text[]) or (%(filtered)s and /* model filter */))
    returning held.model_id
)
select count(*) as count, coalesce((array_agg(model_id order by model_id))[1:1000], '{}') as model_ids
from changed

-- name: update
update agent_models
set enabled = %(enabled)s, priority_override = %(priority_override)s, parameters = %(parameters)s,
    context_length = %(context_length)s, input_price_usd = %(input_price_usd)s,
    output_price_usd = %(output_price_usd)s, fallback_model_ids = %(fallback_model_ids)s,
    allowed_roles = %(allowed_roles)s, metadata = %(metadata)s, enabled_by = %(enabled_by)s,
    enabled_time = %(enabled_time)s, source = %(source)s, rule_id = %(rule_id)s,
    update_time = now(), version = version + 1
where tenant_id = %(tenant_id)s and agent_id = %(agent_id)s and model_id = %(model_id)s

-- name: copy
insert into agent_models (
    tenant_id, agent_id, model_id, enabled, priority_override, parameters, context_length, input_price_usd,
    output_price_usd, fallback_model_ids, allowed_roles, metadata, enabled_by, source, rule_id
)
select tenant_id, %(new_agent_id)s, model_id, enabled, priority_override, parameters, context_length,
    input_price_usd, output_price_usd, fallback_model_ids, allowed_roles, metadata, %(enabled_by)s, source,
    renamed.new_id
from agent_models
left join unnest(%(old_ids)s::uuid[], %(new_ids)s::uuid[]) as renamed (old_id, new_id)
    on renamed.old_id = agent_models.rule_id
where tenant_id = %(tenant_id)s and agent_id = %(agent_id)s

-- name: hand_over
update agent_models as held
set rule_id = %(heir_id)s
from models
where held.tenant_id = %(tenant_id)s and held.rule_id = %(rule_id)s and models.model_id = held.model_id
  and models.delete_time is null and /* model filter */

-- name: remove_caught
delete from agent_models where tenant_id = %(tenant_id)s and rule_id = %(rule_id)s and enabled
