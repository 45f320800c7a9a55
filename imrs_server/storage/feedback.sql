-- name: targets
select
    wanted.n::int as n, clock_timestamp() as now, (select rev from index_revision) as revision,
    coalesce(message.agent_id, decision.agent_id) as agent_id,
    coalesce(message.model_id, decision.model_id) as model_id,
    coalesce(message.task_type, decision.task_type) as task_type,
    message.partition_time, message.rating, message.feedback_type, message.feedback_time,
    everybody.routing -> 'signal_ratings' as global_ratings, tenant.routing -> 'signal_ratings' as tenant_ratings,
    agents.routing -> 'signal_ratings' as agent_ratings
from unnest(%(tenant_ids)s::uuid[], %(message_ids)s::uuid[], %(times)s::timestamptz[])
    with ordinality as wanted (tenant_id, message_id, time, n)
left join lateral (
    select agent_id, model_id, task_type, partition_time, rating, feedback_type, feedback_time
    from messages
    where messages.tenant_id = wanted.tenant_id and messages.message_id = wanted.message_id
    limit 1
) as message on true
left join lateral (
    select agent_id, model_id, task_type
    from decisions
    where message.agent_id is null
      and decisions.tenant_id = wanted.tenant_id
      and decisions.decision_id = wanted.message_id
      and decisions.create_time = wanted.time
    limit 1
) as decision on true
left join agents
    on agents.tenant_id = wanted.tenant_id and agents.agent_id = coalesce(message.agent_id, decision.agent_id)
left join defaults as tenant on tenant.tenant_id = wanted.tenant_id
left join defaults as everybody on everybody.tenant_id is null
order by wanted.n

-- name: votes
select
    vote.tenant_id, vote.partition_time, vote.counts, vote.speaks, vote.feedback_id, vote.message_id, vote.agent_id,
    vote.model_id, vote.task_type, vote.rating, vote.feedback_type, vote.signal, vote.user_id, vote.comment,
    vote.pending, vote.event_time as create_time, vote.revoke_time
from unnest(%(tenant_ids)s::uuid[], %(message_ids)s::uuid[]) as wanted (tenant_id, message_id)
cross join lateral (
    select *
    from feedback
    where feedback.tenant_id = wanted.tenant_id and feedback.message_id = wanted.message_id
    offset 0
) as vote

-- name: insert
insert into feedback (
    tenant_id, partition_time, counts, speaks, feedback_id, message_id, agent_id, model_id, task_type, rating,
    feedback_type, signal, user_id, comment, pending, event_time
)
select
    tenant_id, partition_time, counts, speaks, feedback_id, message_id, nullif(agent_id, ''), nullif(model_id, ''),
    nullif(task_type, ''), rating, feedback_type, signal, user_id, comment, pending, event_time
from unnest(
    %(tenant_id)s::uuid[], %(partition_time)s::timestamptz[], %(counts)s::bool[], %(speaks)s::bool[],
    %(feedback_id)s::uuid[], %(message_id)s::uuid[], %(agent_id)s::text[], %(model_id)s::text[], %(task_type)s::text[],
    %(rating)s::double precision[], %(feedback_type)s::text[], %(signal)s::text[], %(user_id)s::text[],
    %(comment)s::text[], %(pending)s::bool[], %(event_time)s::timestamptz[]
) as vote (
    tenant_id, partition_time, counts, speaks, feedback_id, message_id, agent_id, model_id, task_type, rating,
    feedback_type, signal, user_id, comment, pending, event_time
)

-- name: update
update feedback
set agent_id = nullif(vote.agent_id, ''), model_id = nullif(vote.model_id, ''),
    task_type = nullif(vote.task_type, ''), rating = vote.rating, signal = vote.signal, comment = vote.comment,
    pending = vote.pending, event_time = vote.event_time, revoke_time = vote.revoke_time, counts = vote.counts,
    speaks = vote.speaks, xid = pg_current_xact_id()
from unnest(
    %(tenant_id)s::uuid[], %(partition_time)s::timestamptz[], %(counts)s::bool[], %(speaks)s::bool[],
    %(feedback_id)s::uuid[], %(agent_id)s::text[], %(model_id)s::text[], %(task_type)s::text[],
    %(rating)s::double precision[], %(signal)s::text[], %(comment)s::text[], %(pending)s::bool[],
    %(event_time)s::timestamptz[], %(revoke_time)s::timestamptz[]
) as vote (
    tenant_id, partition_time, counts, speaks, feedback_id, agent_id, model_id, task_type, rating, signal, comment,
    pending, event_time, revoke_time
)
where feedback.tenant_id = vote.tenant_id
  and feedback.feedback_id = vote.feedback_id
  and feedback.partition_time = vote.partition_time

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
returning
    feedback_id, message_id, agent_id, model_id, task_type, rating, feedback_type, signal, user_id, comment, pending,
    event_time as create_time, revoke_time

-- name: decided
select distinct feedback.tenant_id, feedback.message_id
from feedback
join decisions
    on decisions.tenant_id = feedback.tenant_id
    and decisions.decision_id = feedback.message_id
    and decisions.create_time = feedback.partition_time
where feedback.pending and (feedback.agent_id is null or feedback.agent_id = decisions.agent_id)

-- name: settle_decided
update feedback
set agent_id = decisions.agent_id, model_id = decisions.model_id, task_type = decisions.task_type, pending = false,
    xid = pg_current_xact_id()
from unnest(%(tenant_ids)s::uuid[], %(message_ids)s::uuid[]) as wanted (tenant_id, message_id), decisions
where feedback.tenant_id = wanted.tenant_id
  and feedback.message_id = wanted.message_id
  and feedback.pending
  and (feedback.agent_id is null or feedback.agent_id = decisions.agent_id)
  and decisions.tenant_id = feedback.tenant_id
  and decisions.decision_id = feedback.message_id
  and decisions.create_time = feedback.partition_time
returning
    feedback.tenant_id, feedback.partition_time, feedback.counts, feedback.speaks, feedback.feedback_id,
    feedback.message_id, feedback.agent_id, feedback.model_id, feedback.task_type, feedback.rating,
    feedback.feedback_type, feedback.signal, feedback.user_id, feedback.comment, feedback.pending,
    feedback.event_time as create_time, feedback.revoke_time

-- name: drop_pending
delete from feedback where pending and create_time < %(before)s

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
