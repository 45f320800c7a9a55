-- name: filters
select filter
from agent_rules join agents using (tenant_id, agent_id)
where agents.delete_time is null
group by filter
order by min(agent_rules.create_time), filter

-- name: enable
with held as (
    -- Whoever deletes a rule waits until its models are there to be taken back.
    select tenant_id, agent_id, rule_id, agent_rules.created_by, agent_rules.create_time
    from agent_rules join agents using (tenant_id, agent_id)
    where agent_rules.filter = %(filter)s and agents.delete_time is null
    for key share of agent_rules
), rules as (
    select distinct on (tenant_id, agent_id) tenant_id, agent_id, rule_id, created_by
    from held
    order by tenant_id, agent_id, create_time, rule_id
), enabled as (
    insert into agent_models (tenant_id, agent_id, model_id, enabled_by, source, rule_id)
    select rules.tenant_id, rules.agent_id, models.model_id, rules.created_by, 'RULE', rules.rule_id
    from models cross join rules
    where models.model_id = any(%(model_ids)s::text[]) and models.delete_time is null and /* model filter */
    on conflict do nothing
    returning tenant_id, agent_id
)
select distinct tenant_id, agent_id from enabled
