-- name: page
with page as materialized (
    select tenant_id, decision_id, create_time, agent_id, task_type, model_id, propensity, conversation_id, detail
    from decisions
    where tenant_id = %(tenant_id)s
      and agent_id = %(agent_id)s
      and create_time >= %(start_time)s
      and (create_time, decision_id) < (%(before_time)s, %(before_id)s)
    order by create_time desc, decision_id desc
    limit %(size)s
),
-- The call of each decision: that of its own model if there was one, a rated one and a good one before others.
called as (
    select distinct on (page.decision_id)
        page.decision_id, messages.prompt_tokens, messages.completion_tokens, messages.cached_tokens,
        messages.token_count > 0 as told,
        case when messages.model_id = page.model_id then messages.rating end as rating
    from page
    join messages
        on messages.tenant_id = page.tenant_id
        and messages.agent_id = page.agent_id
        and messages.decision_id = page.decision_id
    where messages.tenant_id = %(tenant_id)s
      and messages.agent_id = %(agent_id)s
      and messages.create_time >= (select min(create_time) from page)
      and messages.create_time < (select max(create_time) from page) + %(latest_call)s::interval
    order by
        page.decision_id, messages.model_id = page.model_id desc, messages.rating is null,
        messages.outcome = 'OK' desc, messages.create_time desc
)
select
    page.decision_id, page.create_time, page.task_type, page.model_id, page.propensity, page.conversation_id,
    -- As text, of which there are few: each is read once.
    (page.detail -> 'query')::text as query, (page.detail -> 'propensities')::text as propensities,
    page.detail ->> 'agent_class' as agent_class, coalesce(called.rating, feedback.rating) as rating, called.told,
    called.prompt_tokens, called.completion_tokens, called.cached_tokens
from page
left join called using (decision_id)
-- A vote on an answer whose call nobody recorded.
left join feedback
    on feedback.tenant_id = page.tenant_id
    and feedback.message_id = page.decision_id
    and feedback.partition_time = page.create_time
    and feedback.model_id = page.model_id
    and feedback.speaks
    and not feedback.pending
    and feedback.revoke_time is null
order by page.create_time desc, page.decision_id desc

-- name: models
select
    model_id, provider_id, external_id, display_name, model_type, capabilities, domains, priority, cost_tier,
    context_length, max_output_tokens, price_state, input_price_usd, output_price_usd, cached_input_price_usd,
    parameters, available, lifecycle, delete_time, version
from models
where model_id = any(%(model_ids)s)
