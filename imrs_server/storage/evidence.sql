-- name: lead
select pg_try_advisory_xact_lock(hashtextextended('imrs.rollup', 0))

-- name: lead_at_last
select pg_advisory_xact_lock(hashtextextended('imrs.rollup', 0))

-- name: window
select
    coalesce(state.xid, '0')::text as start,
    pg_snapshot_xmin(pg_current_snapshot())::text as "end",
    state.xid is null as from_scratch,
    exists (select from feedback where xid >= pg_snapshot_xmin(pg_current_snapshot())) as more
from index_revision
left join rollup_state as state
    on state.name = 'evidence'
    and state.epoch = index_revision.epoch
    -- Beyond what this server has reached: the table comes from another one.
    and state.xid <= pg_snapshot_xmax(pg_current_snapshot())

-- name: due
select
    exists (select from feedback where xid >= %(start)s::xid8 and xid < %(end)s::xid8)
    or exists (select from decisions where xid >= %(start)s::xid8 and xid < %(end)s::xid8)
    or exists (select from messages where xid >= %(start)s::xid8 and xid < %(end)s::xid8)
    or exists (select from past_feedback where died < %(end)s::xid8)
    or exists (select from past_messages where died < %(end)s::xid8)

-- name: advance
insert into rollup_state (name, xid, epoch)
select 'evidence', %(xid)s::xid8, epoch from index_revision
on conflict (name) do update set xid = excluded.xid, epoch = excluded.epoch, update_time = now()

-- name: take_time
select set_config('statement_timeout', '0', true)

-- name: renumber
with future (xid) as (
    select pg_snapshot_xmax(pg_current_snapshot())
), votes as (
    update feedback set xid = '0' from future where feedback.xid >= future.xid
), calls as (
    update messages set xid = '0' from future where messages.xid >= future.xid
), decided as (
    update decisions set xid = '0' from future where decisions.xid >= future.xid
), dead_votes as (
    delete from past_feedback using future where died >= future.xid
), dead_calls as (
    delete from past_messages using future where died >= future.xid
), born_votes as (
    update past_feedback set born = '0' from future where born >= future.xid and died < future.xid
)
update past_messages set born = '0' from future where born >= future.xid and died < future.xid

-- name: half_lives
select tenant_id, routing from defaults where routing ? 'half_life'

-- name: outdated
select counted.tenant_id
from evidence_tenants as counted
left join unnest(%(tenant_ids)s::uuid[], %(half_lives)s::double precision[]) as own (tenant_id, half_life_seconds)
    using (tenant_id)
where counted.half_life_seconds <> coalesce(own.half_life_seconds, %(half_life)s)

-- name: clear
with forgotten as (
    delete from evidence_tenants where %(tenant_ids)s::uuid[] is null or tenant_id = any(%(tenant_ids)s)
), cleared as (
    delete from evidence
    where %(tenant_ids)s::uuid[] is null or tenant_id = any(%(tenant_ids)s)
    returning tenant_id, agent_id, task_type
)
select distinct tenant_id, agent_id, task_type from cleared where agent_id <> ''

-- name: forget
with calls as (
    delete from past_messages where died < %(end)s::xid8
)
delete from past_feedback where died < %(end)s::xid8

-- name: count
with votes as (
    select
        1 as sign, tenant_id, agent_id, task_type, model_id, xid, event_time, rating, feedback_type, signal, counts,
        speaks
    from feedback
    where xid >= %(start)s::xid8
      and xid < %(end)s::xid8
      and not pending
      and revoke_time is null
      and (counts or speaks)
      and (%(only)s::uuid[] is null or tenant_id = any(%(only)s))
      and tenant_id <> all(%(but)s::uuid[])
    union all
    select
        case when born >= %(start)s::xid8 then 1 else -1 end, tenant_id, agent_id, task_type, model_id, born,
        event_time, rating, feedback_type, signal, counts, speaks
    from past_feedback
    where born < %(end)s::xid8
      -- What lived and died inside of the window is nothing, and so is what did neither.
      and (born >= %(start)s::xid8) <> (died < %(end)s::xid8)
      and (%(only)s::uuid[] is null or tenant_id = any(%(only)s))
      and tenant_id <> all(%(but)s::uuid[])
), called as (
    select 1 as sign, tenant_id, agent_id, task_type, model_id, xid, create_time, outcome, error_kind, latency_ms
    from messages
    where xid >= %(start)s::xid8
      and xid < %(end)s::xid8
      and (%(only)s::uuid[] is null or tenant_id = any(%(only)s))
      and tenant_id <> all(%(but)s::uuid[])
    union all
    select
        case when born >= %(start)s::xid8 then 1 else -1 end, tenant_id, agent_id, task_type, model_id, born,
        create_time, outcome, error_kind, latency_ms
    from past_messages
    where born < %(end)s::xid8
      and (born >= %(start)s::xid8) <> (died < %(end)s::xid8)
      and (%(only)s::uuid[] is null or tenant_id = any(%(only)s))
      and tenant_id <> all(%(but)s::uuid[])
), facts as (
    select
        sign, tenant_id, agent_id, task_type, model_id, xid, event_time as time, counts, speaks,
        -- The square of a smaller one is no number that can be stored.
        case when rating < 1e-60 then 0 else rating end as value,
        case
            when feedback_type = 'EXPLICIT' and signal in ('THUMBS_UP', 'THUMBS_DOWN') then signal
            when feedback_type = 'IMPLICIT' and signal in ('REGENERATE', 'COPY', 'CONTINUE', 'ABANDON') then signal
            else feedback_type
        end as kind
    from votes
    union all
    select
        sign, tenant_id, agent_id, task_type, model_id, xid, create_time, true, false, latency_ms,
        case
            when outcome in ('ERROR', 'TIMEOUT') and error_kind <> all(%(faults_of_callers)s::text[]) then 'FAILED_CALL'
            when outcome = 'OK' and latency_ms > 0 then 'TIMED_CALL'
            else 'CALL'
        end
    from called
    union all
    select 1, tenant_id, agent_id, task_type, model_id, xid, create_time, true, false, 0, 'DECISION'
    from decisions
    where xid >= %(start)s::xid8
      and xid < %(end)s::xid8
      and (%(only)s::uuid[] is null or tenant_id = any(%(only)s))
      and tenant_id <> all(%(but)s::uuid[])
), tenants as (
    -- All that a turn adds for a tenant is as of its newest fact.
    select
        found.tenant_id, found.time,
        coalesce(known.half_life_seconds, own.half_life_seconds, %(half_life)s) as half_life_seconds
    from (select tenant_id, max(time) as time from facts group by tenant_id) as found
    left join evidence_tenants as known using (tenant_id)
    left join unnest(%(tenant_ids)s::uuid[], %(half_lives)s::double precision[]) as own (tenant_id, half_life_seconds)
        using (tenant_id)
), enrolled as (
    insert into evidence_tenants (tenant_id, half_life_seconds)
    select tenant_id, half_life_seconds from tenants
    on conflict do nothing
), tasks as (
    select found.tenant_id, found.task_type, found.first, task_types.tenant_id is not null as known
    from (
        select tenant_id, task_type, min(xid) filter (where sign = 1) as first from facts group by tenant_id, task_type
    ) as found
    left join task_types using (tenant_id, task_type)
), room as (
    select tenant_id, %(max_task_types)s - (
        select count(*) from task_types where task_types.tenant_id = tasks.tenant_id
    ) as places
    from tasks
    where not known
    group by tenant_id
), registered as (
    insert into task_types (tenant_id, task_type)
    select tenant_id, task_type
    from (
        select
            tenant_id, task_type, row_number() over (partition by tenant_id order by first, task_type) as place
        from tasks
        where not known and first is not null and task_type <> %(other)s
    ) as fresh
    join room using (tenant_id)
    where place <= places
    returning tenant_id, task_type
), named as (
    select tenant_id, task_type from tasks where known
    union all
    select tenant_id, task_type from registered
), weighed as materialized (
    select
        tenant_id, agent_id, coalesce(named.task_type, %(other)s) as task_type, model_id, kind, value,
        case when speaks then sign end as raw_weight,
        case when counts then sign * remaining(tenants.time - facts.time, half_life_seconds) end as weight
    from facts
    join tenants using (tenant_id)
    left join named using (tenant_id, task_type)
), sums as (
    select
        tenant_id, agent_id, task_type, model_id, kind, sum(raw_weight) as raw_n, sum(raw_weight * value) as raw_s,
        sum(weight) as n, sum(weight * value) as s, sum(weight * value * value) as q
    from weighed
    group by tenant_id, agent_id, task_type, model_id, kind
), deltas as (
    select
        tenant_id, coalesce(agent_id, '') as agent_id, task_type, model_id,
        coalesce(sum(raw_n), 0)::bigint as raw_n,
        coalesce(sum(raw_s), 0) as raw_s,
        coalesce(sum(n) filter (where kind = 'EXPLICIT'), 0) as explicit_n,
        coalesce(sum(s) filter (where kind = 'EXPLICIT'), 0) as explicit_s,
        coalesce(sum(q) filter (where kind = 'EXPLICIT'), 0) as explicit_q,
        coalesce(sum(n) filter (where kind = 'THUMBS_UP'), 0) as thumbs_up_n,
        coalesce(sum(s) filter (where kind = 'THUMBS_UP'), 0) as thumbs_up_s,
        coalesce(sum(n) filter (where kind = 'THUMBS_DOWN'), 0) as thumbs_down_n,
        coalesce(sum(s) filter (where kind = 'THUMBS_DOWN'), 0) as thumbs_down_s,
        coalesce(sum(n) filter (where kind = 'SELF_EVAL'), 0) as self_n,
        coalesce(sum(s) filter (where kind = 'SELF_EVAL'), 0) as self_s,
        coalesce(sum(q) filter (where kind = 'SELF_EVAL'), 0) as self_q,
        coalesce(sum(n) filter (where kind = 'IMPLICIT'), 0) as implicit_n,
        coalesce(sum(s) filter (where kind = 'IMPLICIT'), 0) as implicit_s,
        coalesce(sum(q) filter (where kind = 'IMPLICIT'), 0) as implicit_q,
        coalesce(sum(n) filter (where kind = 'REGENERATE'), 0) as regenerate_n,
        coalesce(sum(s) filter (where kind = 'REGENERATE'), 0) as regenerate_s,
        coalesce(sum(n) filter (where kind = 'COPY'), 0) as copy_n,
        coalesce(sum(s) filter (where kind = 'COPY'), 0) as copy_s,
        coalesce(sum(n) filter (where kind = 'CONTINUE'), 0) as continue_n,
        coalesce(sum(s) filter (where kind = 'CONTINUE'), 0) as continue_s,
        coalesce(sum(n) filter (where kind = 'ABANDON'), 0) as abandon_n,
        coalesce(sum(s) filter (where kind = 'ABANDON'), 0) as abandon_s,
        coalesce(sum(n) filter (where kind = 'DECISION'), 0) as decisions,
        coalesce(sum(n) filter (where kind in ('CALL', 'TIMED_CALL', 'FAILED_CALL')), 0) as calls,
        coalesce(sum(n) filter (where kind = 'FAILED_CALL'), 0) as errors,
        coalesce(sum(n) filter (where kind = 'TIMED_CALL'), 0) as latency_n,
        coalesce(sum(s) filter (where kind = 'TIMED_CALL'), 0) as latency_ms_sum
    from sums
    group by grouping sets ((tenant_id, agent_id, task_type, model_id), (tenant_id, task_type, model_id))
), merged as (
    select
        tenant_id, deltas.agent_id, deltas.task_type, deltas.model_id,
        greatest(was.last_time, tenants.time) as last_time,
        coalesce(was.raw_n, 0) + deltas.raw_n as raw_n,
        case when coalesce(was.raw_n, 0) + deltas.raw_n = 0 then 0
            else coalesce(was.raw_s, 0) + deltas.raw_s
        end as raw_s,
        -- What became too small would be no number any more.
        case when abs(was.explicit_n) > 1e-100 then was.explicit_n * faded.before else 0 end
            + deltas.explicit_n * faded.now as explicit_n,
        case when abs(was.explicit_s) > 1e-100 then was.explicit_s * faded.before else 0 end
            + deltas.explicit_s * faded.now as explicit_s,
        case when abs(was.explicit_q) > 1e-100 then was.explicit_q * faded.before else 0 end
            + deltas.explicit_q * faded.now as explicit_q,
        case when abs(was.thumbs_up_n) > 1e-100 then was.thumbs_up_n * faded.before else 0 end
            + deltas.thumbs_up_n * faded.now as thumbs_up_n,
        case when abs(was.thumbs_up_s) > 1e-100 then was.thumbs_up_s * faded.before else 0 end
            + deltas.thumbs_up_s * faded.now as thumbs_up_s,
        case when abs(was.thumbs_down_n) > 1e-100 then was.thumbs_down_n * faded.before else 0 end
            + deltas.thumbs_down_n * faded.now as thumbs_down_n,
        case when abs(was.thumbs_down_s) > 1e-100 then was.thumbs_down_s * faded.before else 0 end
            + deltas.thumbs_down_s * faded.now as thumbs_down_s,
        case when abs(was.self_n) > 1e-100 then was.self_n * faded.before else 0 end
            + deltas.self_n * faded.now as self_n,
        case when abs(was.self_s) > 1e-100 then was.self_s * faded.before else 0 end
            + deltas.self_s * faded.now as self_s,
        case when abs(was.self_q) > 1e-100 then was.self_q * faded.before else 0 end
            + deltas.self_q * faded.now as self_q,
        case when abs(was.implicit_n) > 1e-100 then was.implicit_n * faded.before else 0 end
            + deltas.implicit_n * faded.now as implicit_n,
        case when abs(was.implicit_s) > 1e-100 then was.implicit_s * faded.before else 0 end
            + deltas.implicit_s * faded.now as implicit_s,
        case when abs(was.implicit_q) > 1e-100 then was.implicit_q * faded.before else 0 end
            + deltas.implicit_q * faded.now as implicit_q,
        case when abs(was.regenerate_n) > 1e-100 then was.regenerate_n * faded.before else 0 end
            + deltas.regenerate_n * faded.now as regenerate_n,
        case when abs(was.regenerate_s) > 1e-100 then was.regenerate_s * faded.before else 0 end
            + deltas.regenerate_s * faded.now as regenerate_s,
        case when abs(was.copy_n) > 1e-100 then was.copy_n * faded.before else 0 end
            + deltas.copy_n * faded.now as copy_n,
        case when abs(was.copy_s) > 1e-100 then was.copy_s * faded.before else 0 end
            + deltas.copy_s * faded.now as copy_s,
        case when abs(was.continue_n) > 1e-100 then was.continue_n * faded.before else 0 end
            + deltas.continue_n * faded.now as continue_n,
        case when abs(was.continue_s) > 1e-100 then was.continue_s * faded.before else 0 end
            + deltas.continue_s * faded.now as continue_s,
        case when abs(was.abandon_n) > 1e-100 then was.abandon_n * faded.before else 0 end
            + deltas.abandon_n * faded.now as abandon_n,
        case when abs(was.abandon_s) > 1e-100 then was.abandon_s * faded.before else 0 end
            + deltas.abandon_s * faded.now as abandon_s,
        case when abs(was.decisions) > 1e-100 then was.decisions * faded.before else 0 end
            + deltas.decisions * faded.now as decisions,
        case when abs(was.calls) > 1e-100 then was.calls * faded.before else 0 end
            + deltas.calls * faded.now as calls,
        case when abs(was.errors) > 1e-100 then was.errors * faded.before else 0 end
            + deltas.errors * faded.now as errors,
        case when abs(was.latency_n) > 1e-100 then was.latency_n * faded.before else 0 end
            + deltas.latency_n * faded.now as latency_n,
        case when abs(was.latency_ms_sum) > 1e-100 then was.latency_ms_sum * faded.before else 0 end
            + deltas.latency_ms_sum * faded.now as latency_ms_sum
    from deltas
    join tenants using (tenant_id)
    left join evidence as was using (tenant_id, agent_id, task_type, model_id)
    cross join lateral (
        select
            remaining(greatest(tenants.time - was.last_time, '0'), tenants.half_life_seconds) as before,
            remaining(greatest(was.last_time - tenants.time, '0'), tenants.half_life_seconds) as now
    ) as faded
), stored as (
    insert into evidence (
        tenant_id, agent_id, task_type, model_id, last_time, raw_n, raw_s,
        explicit_n, explicit_s, explicit_q, thumbs_up_n, thumbs_up_s, thumbs_down_n, thumbs_down_s, self_n, self_s,
        self_q, implicit_n, implicit_s, implicit_q, regenerate_n, regenerate_s, copy_n, copy_s, continue_n,
        continue_s, abandon_n, abandon_s, decisions, calls, errors, latency_n, latency_ms_sum
    )
    select
        tenant_id, agent_id, task_type, model_id, last_time, raw_n, raw_s,
        explicit_n, explicit_s, explicit_q, thumbs_up_n, thumbs_up_s, thumbs_down_n, thumbs_down_s, self_n, self_s,
        self_q, implicit_n, implicit_s, implicit_q, regenerate_n, regenerate_s, copy_n, copy_s, continue_n,
        continue_s, abandon_n, abandon_s, decisions, calls, errors, latency_n, latency_ms_sum
    from merged
    on conflict (tenant_id, agent_id, task_type, model_id) do update
    set last_time = excluded.last_time, raw_n = excluded.raw_n, raw_s = excluded.raw_s,
        explicit_n = excluded.explicit_n, explicit_s = excluded.explicit_s, explicit_q = excluded.explicit_q,
        thumbs_up_n = excluded.thumbs_up_n, thumbs_up_s = excluded.thumbs_up_s,
        thumbs_down_n = excluded.thumbs_down_n, thumbs_down_s = excluded.thumbs_down_s, self_n = excluded.self_n,
        self_s = excluded.self_s, self_q = excluded.self_q, implicit_n = excluded.implicit_n,
        implicit_s = excluded.implicit_s, implicit_q = excluded.implicit_q, regenerate_n = excluded.regenerate_n,
        regenerate_s = excluded.regenerate_s, copy_n = excluded.copy_n, copy_s = excluded.copy_s,
        continue_n = excluded.continue_n, continue_s = excluded.continue_s, abandon_n = excluded.abandon_n,
        abandon_s = excluded.abandon_s, decisions = excluded.decisions, calls = excluded.calls,
        errors = excluded.errors, latency_n = excluded.latency_n, latency_ms_sum = excluded.latency_ms_sum
    returning tenant_id, agent_id, task_type
)
select distinct tenant_id, agent_id, task_type
from stored
where agent_id <> ''
order by tenant_id, agent_id, task_type

-- name: set_aside
create temp table evidence_before on commit drop as select * from evidence

-- name: cells
select count(*) from evidence

-- name: drifted
select count(*)
from (select to_jsonb(each) as old, tenant_id, agent_id, task_type, model_id, last_time from evidence_before as each)
    as before
full join (select to_jsonb(each) as new, tenant_id, agent_id, task_type, model_id, last_time from evidence as each)
    as now
    using (tenant_id, agent_id, task_type, model_id)
left join evidence_tenants using (tenant_id)
cross join lateral (
    select
        remaining(greatest(now.last_time - before.last_time, '0'), coalesce(half_life_seconds, 0)) as old,
        remaining(greatest(before.last_time - now.last_time, '0'), coalesce(half_life_seconds, 0)) as new
) as faded
where exists (
    select
    from jsonb_object_keys(
        coalesce(before.old, now.new) - array['tenant_id', 'agent_id', 'task_type', 'model_id', 'last_time']
    ) as name
    cross join lateral (
        select
            coalesce(
                shrunk((before.old ->> name)::double precision, case when name like 'raw%%' then 1 else faded.old end), 0
            ) as old,
            coalesce(
                shrunk((now.new ->> name)::double precision, case when name like 'raw%%' then 1 else faded.new end), 0
            ) as new
    ) as value
    where abs(value.old - value.new) > 1e-9 * greatest(1, abs(value.old), abs(value.new))
)
