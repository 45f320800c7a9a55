-- name: put
insert into feedback (
    tenant_id, feedback_id, message_id, partition_time, agent_id, model_id, task_type, rating, feedback_type, signal,
    user_id, comment, pending, event_time, create_time
) values (
    %(tenant_id)s, %(feedback_id)s, %(message_id)s, %(partition_time)s, nullif(%(agent_id)s, ''),
    nullif(%(model_id)s, ''), nullif(%(task_type)s, ''), %(rating)s, %(feedback_type)s, %(signal)s, %(user_id)s,
    %(comment)s, %(pending)s, least(%(event_time)s::timestamptz, clock_timestamp()), clock_timestamp()
)
on conflict (tenant_id, message_id, user_id, feedback_type, partition_time) do update
set agent_id = excluded.agent_id, model_id = excluded.model_id, task_type = excluded.task_type,
    rating = excluded.rating, signal = excluded.signal, comment = excluded.comment, pending = excluded.pending,
    event_time = excluded.event_time, revoke_time = null, xid = pg_current_xact_id()
where excluded.event_time >= feedback.event_time
returning
    feedback_id, message_id, agent_id, model_id, task_type, rating, feedback_type, signal, user_id, comment, pending,
    event_time as create_time, revoke_time

-- name: vote
select
    feedback_id, message_id, agent_id, model_id, task_type, rating, feedback_type, signal, user_id, comment, pending,
    event_time as create_time, revoke_time
from feedback
where tenant_id = %(tenant_id)s
  and message_id = %(message_id)s
  and user_id = %(user_id)s
  and feedback_type = %(feedback_type)s
  and partition_time = %(partition_time)s

-- name: get
select
    feedback_id, message_id, agent_id, model_id, task_type, rating, feedback_type, signal, user_id, comment, pending,
    event_time as create_time, revoke_time
from feedback
where tenant_id = %(tenant_id)s and feedback_id = %(feedback_id)s

-- name: revoke
update feedback
set revoke_time = now(), xid = pg_current_xact_id()
where tenant_id = %(tenant_id)s and feedback_id = %(feedback_id)s and revoke_time is null
returning
    feedback_id, message_id, agent_id, model_id, task_type, rating, feedback_type, signal, user_id, comment, pending,
    event_time as create_time, revoke_time

-- name: settle
update feedback
set agent_id = %(agent_id)s, model_id = %(model_id)s, task_type = %(task_type)s, pending = false,
    xid = pg_current_xact_id()
where tenant_id = %(tenant_id)s
  and message_id = %(message_id)s
  and (not pending or agent_id is null or agent_id = %(agent_id)s)
  and (pending or (agent_id, model_id, task_type) <> (%(agent_id)s, %(model_id)s, %(task_type)s))

-- name: settle_decided
with landed as (
    select
        feedback.tenant_id, feedback.feedback_id, feedback.partition_time, decisions.agent_id, decisions.model_id,
        decisions.task_type
    from feedback
    join decisions
        on decisions.tenant_id = feedback.tenant_id
        and decisions.decision_id = feedback.message_id
        and decisions.create_time = feedback.partition_time
    where feedback.pending and (feedback.agent_id is null or feedback.agent_id = decisions.agent_id)
    for update of feedback skip locked
)
update feedback
set agent_id = landed.agent_id, model_id = landed.model_id, task_type = landed.task_type, pending = false,
    xid = pg_current_xact_id()
from landed
where feedback.tenant_id = landed.tenant_id
  and feedback.feedback_id = landed.feedback_id
  and feedback.partition_time = landed.partition_time

-- name: drop_pending
delete from feedback where pending and create_time < %(before)s

-- name: signal_ratings
select coalesce(jsonb_object_agg(each.key, each.value order by level), '{}') as ratings
from (
    select case scope when 'GLOBAL' then 1 else 2 end as level, routing -> 'signal_ratings' as ratings
    from defaults
    where tenant_id is null or tenant_id = %(tenant_id)s
    union all
    select 3, routing -> 'signal_ratings'
    from agents
    where tenant_id = %(tenant_id)s and agent_id = %(agent_id)s
) as levels, jsonb_each(levels.ratings) as each

-- name: list
select
    feedback_id, message_id, agent_id, model_id, task_type, rating, feedback_type, signal, user_id, comment, pending,
    event_time as create_time, revoke_time, octet_length(comment) + 512 as weight
from feedback
where (%(tenant_id)s::uuid is null or tenant_id = %(tenant_id)s)
  and (%(message_id)s::uuid is null or message_id = %(message_id)s)
  and (%(agent_id)s = '' or agent_id = %(agent_id)s)
  and (%(model_id)s = '' or model_id = %(model_id)s)
  and (%(task_type)s = '' or task_type = %(task_type)s)
  and (%(feedback_type)s::text is null or feedback_type = %(feedback_type)s)
  and (%(user_id)s = '' or user_id = %(user_id)s)
  and (%(owner)s::text is null or user_id = %(owner)s)
  and (%(start_time)s::timestamptz is null or event_time >= %(start_time)s)
  and (%(end_time)s::timestamptz is null or event_time < %(end_time)s)
  /* page */
