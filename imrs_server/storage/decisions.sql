-- name: copy
copy decisions (
    decision_id, create_time, tenant_id, agent_id, task_type, confidence, source, model_id, reason,
    fallback_model_ids, candidates_total, candidates_eligible, index_revision, stale, score, propensity, request_id,
    conversation_id, detail
) from stdin

-- name: insert
insert into decisions (
    tenant_id, decision_id, create_time, agent_id, task_type, confidence, source, model_id, reason,
    fallback_model_ids, candidates_total, candidates_eligible, index_revision, stale, score, propensity, request_id,
    conversation_id, detail
) values (
    %(tenant_id)s, %(decision_id)s, %(create_time)s, %(agent_id)s, %(task_type)s, %(confidence)s, %(source)s,
    %(model_id)s, %(reason)s, %(fallback_model_ids)s, %(candidates_total)s, %(candidates_eligible)s,
    %(index_revision)s, %(stale)s, %(score)s, %(propensity)s, %(request_id)s, %(conversation_id)s, %(detail)s
)
on conflict do nothing

-- name: known_models
select model_id from models where model_id = any(%(model_ids)s)

-- name: get
select
    tenant_id, decision_id, create_time, agent_id, task_type, confidence, source, model_id, reason,
    fallback_model_ids, candidates_total, candidates_eligible, index_revision, stale, score, propensity, request_id,
    conversation_id, detail
from decisions
where tenant_id = %(tenant_id)s and decision_id = %(decision_id)s and create_time = %(create_time)s

-- name: list
select
    tenant_id, decision_id, create_time, agent_id, task_type, confidence, source, model_id, reason,
    fallback_model_ids, candidates_total, candidates_eligible, index_revision, stale, score, propensity, request_id,
    conversation_id, detail
from decisions
where (%(agent_id)s::text = '' or agent_id = %(agent_id)s)
  and (%(reason)s::text is null or reason = %(reason)s)
  and (%(start_time)s::timestamptz is null or create_time >= %(start_time)s)
  and (%(end_time)s::timestamptz is null or create_time < %(end_time)s)
  and (%(tenant_id)s::uuid is null or tenant_id = %(tenant_id)s)
  /* page */
