-- name: lock
select pg_advisory_xact_lock(hashtextextended('imrs.message.' || %(tenant_id)s || '/' || %(message_id)s, 0))

-- name: get
select * from messages where tenant_id = %(tenant_id)s and message_id = %(message_id)s

-- name: insert
insert into messages (
    tenant_id, message_id, partition_time, agent_id, decision_id, conversation_id, model_id, task_type, tools_used,
    latency_ms, prompt_tokens, completion_tokens, cached_tokens, cost_usd, cost_priced, outcome, error_kind, metadata,
    tokens_estimated, create_time, measured
) values (
    %(tenant_id)s, %(message_id)s, %(partition_time)s, %(agent_id)s, %(decision_id)s, %(conversation_id)s,
    %(model_id)s, %(task_type)s, %(tools_used)s, %(latency_ms)s, %(prompt_tokens)s, %(completion_tokens)s,
    %(cached_tokens)s, %(cost_usd)s, %(cost_priced)s, %(outcome)s, %(error_kind)s, %(metadata)s,
    %(tokens_estimated)s, %(create_time)s, %(measured)s
)

-- name: update
update messages
set decision_id = %(decision_id)s, conversation_id = %(conversation_id)s, tools_used = %(tools_used)s, latency_ms = %(latency_ms)s,
    prompt_tokens = %(prompt_tokens)s, completion_tokens = %(completion_tokens)s, cached_tokens = %(cached_tokens)s,
    cost_usd = %(cost_usd)s, cost_priced = %(cost_priced)s, outcome = %(outcome)s, error_kind = %(error_kind)s,
    metadata = %(metadata)s, tokens_estimated = %(tokens_estimated)s, measured = %(measured)s,
    xid = pg_current_xact_id()
where tenant_id = %(tenant_id)s and message_id = %(message_id)s and partition_time = %(partition_time)s

-- name: try_lock
select pg_try_advisory_xact_lock(hashtextextended('imrs.message.' || tenant_id || '/' || message_id, 0)) as locked
from unnest(%(tenant_ids)s::text[], %(message_ids)s::text[]) with ordinality as wanted (tenant_id, message_id, n)
order by n

-- name: show_rating
with shown as (
    select rating, feedback_type, event_time
    from feedback
    where tenant_id = %(tenant_id)s and message_id = %(message_id)s
      and speaks and not pending and revoke_time is null
    limit 1
)
update messages
set (rating, feedback_type, feedback_time) = (select rating, feedback_type, event_time from shown)
where tenant_id = %(tenant_id)s and message_id = %(message_id)s and partition_time = %(partition_time)s
returning *

-- name: show_ratings
update messages
set rating = shown.rating, feedback_type = shown.feedback_type, feedback_time = shown.feedback_time
from unnest(
    %(tenant_id)s::uuid[], %(message_id)s::uuid[], %(partition_time)s::timestamptz[], %(rating)s::double precision[],
    %(feedback_type)s::text[], %(feedback_time)s::timestamptz[]
) as shown (tenant_id, message_id, partition_time, rating, feedback_type, feedback_time)
where messages.tenant_id = shown.tenant_id
  and messages.message_id = shown.message_id
  and messages.partition_time = shown.partition_time

-- name: price
select
    models.price_state, models.input_price_usd, models.output_price_usd, models.cached_input_price_usd,
    agent_models.input_price_usd as own_input_price_usd, agent_models.output_price_usd as own_output_price_usd
from models
left join agent_models
    on agent_models.tenant_id = %(tenant_id)s
    and agent_models.agent_id = %(agent_id)s
    and agent_models.model_id = models.model_id
where models.model_id = %(model_id)s
