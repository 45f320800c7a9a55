-- name: lead
select pg_try_advisory_xact_lock(hashtextextended('imrs.rollup', 0))

-- name: window
select
    coalesce((select xid from rollup_state where name = 'feedback' and epoch = index_revision.epoch), '0')::text as start,
    pg_snapshot_xmin(pg_current_snapshot())::text as "end",
    exists (select from feedback where xid >= pg_snapshot_xmin(pg_current_snapshot())) as more
from index_revision

-- name: advance
insert into rollup_state (name, xid, epoch)
select 'feedback', %(xid)s::xid8, epoch from index_revision
on conflict (name) do update set xid = excluded.xid, epoch = excluded.epoch, update_time = now()

-- name: clear
delete from evidence

-- name: recompute
with changed as (
    select tenant_id, agent_id, task_type, model_id, message_id, partition_time
    from feedback
    where xid >= %(start)s::xid8 and xid < %(end)s::xid8 and not pending
), own as (
    select tenant_id, agent_id, task_type, model_id from changed
    -- A vote that counted for its decision may have moved to what the message says: the decision's cell changes too.
    union
    select decisions.tenant_id, decisions.agent_id, decisions.task_type, decisions.model_id
    from changed
    join decisions
        on decisions.tenant_id = changed.tenant_id
        and decisions.decision_id = changed.message_id
        and decisions.create_time = changed.partition_time
), cells as (
    select tenant_id, agent_id, task_type, model_id from own
    union
    select tenant_id, '', task_type, model_id from own
), votes as (
    select
        tenant_id, agent_id, task_type, model_id, rating, feedback_type, signal, event_time,
        row_number() over (
            partition by tenant_id, message_id
            order by feedback_type = 'EXPLICIT' desc, event_time desc, feedback_id desc
        ) = 1 as shown
    from feedback
    join (select tenant_id, task_type, model_id from cells where agent_id = '') as pooled
        using (tenant_id, task_type, model_id)
    where not pending and revoke_time is null
), sums as (
    select
        tenant_id, coalesce(agent_id, '') as agent_id, task_type, model_id, max(event_time) as last_time,
        count(*) filter (where shown) as raw_n,
        coalesce(sum(rating) filter (where shown), 0) as raw_s,
        count(*) filter (where feedback_type = 'EXPLICIT') as explicit_n,
        coalesce(sum(rating) filter (where feedback_type = 'EXPLICIT'), 0) as explicit_s,
        coalesce(sum(rating * rating) filter (where feedback_type = 'EXPLICIT'), 0) as explicit_q,
        count(*) filter (where feedback_type = 'SELF_EVAL') as self_n,
        coalesce(sum(rating) filter (where feedback_type = 'SELF_EVAL'), 0) as self_s,
        coalesce(sum(rating * rating) filter (where feedback_type = 'SELF_EVAL'), 0) as self_q,
        count(*) filter (where feedback_type = 'IMPLICIT' and signal is null) as implicit_n,
        coalesce(sum(rating) filter (where feedback_type = 'IMPLICIT' and signal is null), 0) as implicit_s,
        coalesce(sum(rating * rating) filter (where feedback_type = 'IMPLICIT' and signal is null), 0) as implicit_q,
        count(*) filter (where signal = 'REGENERATE') as regenerate_n,
        coalesce(sum(rating) filter (where signal = 'REGENERATE'), 0) as regenerate_s,
        count(*) filter (where signal = 'COPY') as copy_n,
        coalesce(sum(rating) filter (where signal = 'COPY'), 0) as copy_s,
        count(*) filter (where signal = 'CONTINUE') as continue_n,
        coalesce(sum(rating) filter (where signal = 'CONTINUE'), 0) as continue_s,
        count(*) filter (where signal = 'ABANDON') as abandon_n,
        coalesce(sum(rating) filter (where signal = 'ABANDON'), 0) as abandon_s
    from votes
    group by grouping sets ((tenant_id, agent_id, task_type, model_id), (tenant_id, task_type, model_id))
), stored as (
    insert into evidence (
        tenant_id, agent_id, task_type, model_id, last_time, raw_n, raw_s, explicit_n, explicit_s, explicit_q, self_n,
        self_s, self_q, implicit_n, implicit_s, implicit_q, regenerate_n, regenerate_s, copy_n, copy_s, continue_n,
        continue_s, abandon_n, abandon_s
    )
    select
        tenant_id, agent_id, task_type, model_id, coalesce(last_time, now()), coalesce(raw_n, 0), coalesce(raw_s, 0),
        coalesce(explicit_n, 0), coalesce(explicit_s, 0), coalesce(explicit_q, 0), coalesce(self_n, 0),
        coalesce(self_s, 0), coalesce(self_q, 0), coalesce(implicit_n, 0), coalesce(implicit_s, 0),
        coalesce(implicit_q, 0), coalesce(regenerate_n, 0), coalesce(regenerate_s, 0), coalesce(copy_n, 0),
        coalesce(copy_s, 0), coalesce(continue_n, 0), coalesce(continue_s, 0), coalesce(abandon_n, 0),
        coalesce(abandon_s, 0)
    from cells left join sums using (tenant_id, agent_id, task_type, model_id)
    on conflict (tenant_id, agent_id, task_type, model_id) do update
    set last_time = excluded.last_time, raw_n = excluded.raw_n, raw_s = excluded.raw_s,
        explicit_n = excluded.explicit_n, explicit_s = excluded.explicit_s, explicit_q = excluded.explicit_q,
        self_n = excluded.self_n, self_s = excluded.self_s, self_q = excluded.self_q,
        implicit_n = excluded.implicit_n, implicit_s = excluded.implicit_s, implicit_q = excluded.implicit_q,
        regenerate_n = excluded.regenerate_n, regenerate_s = excluded.regenerate_s,
        copy_n = excluded.copy_n, copy_s = excluded.copy_s,
        continue_n = excluded.continue_n, continue_s = excluded.continue_s,
        abandon_n = excluded.abandon_n, abandon_s = excluded.abandon_s
    returning tenant_id, agent_id
)
select distinct tenant_id, agent_id from stored where agent_id <> '' order by tenant_id, agent_id
