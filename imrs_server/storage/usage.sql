-- name: lead
select pg_try_advisory_xact_lock(hashtextextended('imrs.usage', 0))

-- name: window
select
    coalesce(state.xid, '0')::text as start,
    pg_snapshot_xmin(pg_current_snapshot())::text as "end",
    state.xid is null as from_scratch
from index_revision
left join rollup_state as state
    on state.name = 'usage'
    and state.epoch = index_revision.epoch
    -- Beyond what this server has reached: the table comes from another one.
    and state.xid <= pg_snapshot_xmax(pg_current_snapshot())

-- name: take_time
select set_config('statement_timeout', '0', true)

-- name: renumber
with future (xid) as (
    select pg_snapshot_xmax(pg_current_snapshot())
), calls as (
    update messages set xid = '0' from future where messages.xid >= future.xid
), dead_calls as (
    delete from past_usage using future where died >= future.xid
)
update past_usage set born = '0' from future where born >= future.xid and died < future.xid

-- name: clear
delete from usage_days

-- name: count
with versions as (
    select
        1 as sign, tenant_id, agent_id, model_id, task_type, create_time, outcome, latency_ms, prompt_tokens,
        completion_tokens, cached_tokens, cost_usd, tokens_estimated
    from messages
    where xid >= %(start)s::xid8 and xid < %(end)s::xid8
    union all
    select
        case when born >= %(start)s::xid8 then 1 else -1 end, tenant_id, agent_id, model_id, task_type, create_time,
        outcome, latency_ms, prompt_tokens, completion_tokens, cached_tokens, cost_usd, tokens_estimated
    from past_usage
    where born < %(end)s::xid8
      -- What lived and died inside of the window is nothing, and so is what did neither.
      and (born >= %(start)s::xid8) <> (died < %(end)s::xid8)
), steps as (
    select
        tenant_id, (create_time at time zone 'UTC')::date as day, agent_id, model_id, task_type,
        case when latency_ms > 0 then latency_step(latency_ms) end as step,
        sum(sign) as calls,
        coalesce(sum(sign) filter (where outcome in ('ERROR', 'TIMEOUT')), 0) as errors,
        sum(sign * prompt_tokens::bigint) as prompt_tokens,
        sum(sign * completion_tokens::bigint) as completion_tokens,
        sum(sign * cached_tokens::bigint) as cached_tokens,
        coalesce(sum(sign * cost_usd), 0) as cost_usd,
        coalesce(sum(sign) filter (where cost_usd is null), 0) as unpriced_calls,
        coalesce(sum(sign) filter (where tokens_estimated), 0) as estimated_calls,
        sum(sign * latency_ms::bigint) as latency_ms
    from versions
    group by tenant_id, (create_time at time zone 'UTC')::date, agent_id, model_id, task_type, step
), moved as (
    select
        tenant_id, day, agent_id, model_id, task_type, sum(calls) as calls, sum(errors) as errors,
        sum(prompt_tokens) as prompt_tokens, sum(completion_tokens) as completion_tokens,
        sum(cached_tokens) as cached_tokens, sum(cost_usd) as cost_usd, sum(unpriced_calls) as unpriced_calls,
        sum(estimated_calls) as estimated_calls,
        coalesce(array_agg(step) filter (where step is not null), '{}') as latency_steps,
        coalesce(array_agg(calls::bigint) filter (where step is not null), '{}') as latency_calls,
        coalesce(array_agg(latency_ms::bigint) filter (where step is not null), '{}') as latency_sums_ms
    from steps
    group by tenant_id, day, agent_id, model_id, task_type
)
insert into usage_days (
    tenant_id, day, agent_id, model_id, task_type, calls, errors, prompt_tokens, completion_tokens, cached_tokens,
    cost_usd, unpriced_calls, estimated_calls, latency_steps, latency_calls, latency_sums_ms
)
select * from moved
on conflict (tenant_id, day, agent_id, model_id, task_type) do update set
    calls = usage_days.calls + excluded.calls,
    errors = usage_days.errors + excluded.errors,
    prompt_tokens = usage_days.prompt_tokens + excluded.prompt_tokens,
    completion_tokens = usage_days.completion_tokens + excluded.completion_tokens,
    cached_tokens = usage_days.cached_tokens + excluded.cached_tokens,
    cost_usd = usage_days.cost_usd + excluded.cost_usd,
    unpriced_calls = usage_days.unpriced_calls + excluded.unpriced_calls,
    estimated_calls = usage_days.estimated_calls + excluded.estimated_calls,
    (latency_steps, latency_calls, latency_sums_ms) = (
        select
            coalesce(array_agg(step), '{}'), coalesce(array_agg(calls), '{}'), coalesce(array_agg(sum_ms), '{}')
        from (
            select step, sum(calls)::bigint as calls, sum(sum_ms)::bigint as sum_ms
            from (
                select *
                from unnest(usage_days.latency_steps, usage_days.latency_calls, usage_days.latency_sums_ms)
                    as was (step, calls, sum_ms)
                union all
                select *
                from unnest(excluded.latency_steps, excluded.latency_calls, excluded.latency_sums_ms)
                    as came (step, calls, sum_ms)
            ) as both_parts
            group by step
            having sum(calls) <> 0
        ) as merged
    )

-- name: forget
delete from past_usage where died < %(end)s::xid8

-- name: advance
insert into rollup_state (name, xid, epoch)
select 'usage', %(xid)s::xid8, epoch from index_revision
on conflict (name) do update set xid = excluded.xid, epoch = excluded.epoch, update_time = now()

-- name: take_memory
select set_config('work_mem', '64MB', true)

-- name: report
with counted as materialized (
    select state.xid
    from index_revision
    join rollup_state as state
        on state.name = 'usage'
        and state.epoch = index_revision.epoch
        and state.xid <= pg_snapshot_xmax(pg_current_snapshot())
), days as materialized (
    select
        agent_id, model_id, task_type, day, calls, errors, prompt_tokens, completion_tokens, cached_tokens, cost_usd,
        unpriced_calls, estimated_calls, latency_steps, latency_calls, latency_sums_ms
    from usage_days
    where (%(tenant_id)s::uuid is null or tenant_id = %(tenant_id)s)
      and day >= %(first_day)s::date
      and (%(last_day)s::date is null or day < %(last_day)s)
      and exists (select from counted)
), versions as (
    -- Parts of days at both ends of the range.
    select
        1 as sign, agent_id, model_id, task_type, create_time, outcome, latency_ms, prompt_tokens, completion_tokens,
        cached_tokens, cost_usd, tokens_estimated
    from messages
    where (%(tenant_id)s::uuid is null or tenant_id = %(tenant_id)s)
      and create_time >= %(start_time)s::timestamptz
      and create_time < %(days_start)s::timestamptz
    union all
    select
        1, agent_id, model_id, task_type, create_time, outcome, latency_ms, prompt_tokens, completion_tokens,
        cached_tokens, cost_usd, tokens_estimated
    from messages
    where (%(tenant_id)s::uuid is null or tenant_id = %(tenant_id)s)
      and create_time >= %(days_end)s::timestamptz
      and create_time < %(end_time)s::timestamptz
    union all
    -- In whole days, what came since they were added up. The planner chooses by the first of the two bounds; the
    -- second is as of the very moment of this query.
    select
        1, agent_id, model_id, task_type, create_time, outcome, latency_ms, prompt_tokens, completion_tokens,
        cached_tokens, cost_usd, tokens_estimated
    from messages
    where (%(tenant_id)s::uuid is null or tenant_id = %(tenant_id)s)
      and xid >= %(from_xid)s::xid8
      and xid >= coalesce((select counted.xid from counted), '0')
      and create_time >= %(days_start)s::timestamptz
      and (%(days_end)s::timestamptz is null or create_time < %(days_end)s)
    union all
    select
        -1, agent_id, model_id, task_type, create_time, outcome, latency_ms, prompt_tokens, completion_tokens,
        cached_tokens, cost_usd, tokens_estimated
    from past_usage
    where (%(tenant_id)s::uuid is null or tenant_id = %(tenant_id)s)
      and died >= (select counted.xid from counted)
      and born < (select counted.xid from counted)
      and create_time >= %(days_start)s::timestamptz
      and (%(days_end)s::timestamptz is null or create_time < %(days_end)s)
), recent as materialized (
    select *, (create_time at time zone 'UTC')::date as day from versions
), parts as (
    select
        case when 'agent' = any(%(group_by)s::text[]) then agent_id else '' end as agent,
        case when 'model' = any(%(group_by)s::text[]) then model_id else '' end as model,
        case when 'provider' = any(%(group_by)s::text[]) then split_part(model_id, '/', 1) else '' end as provider,
        case when 'task_type' = any(%(group_by)s::text[]) then task_type else '' end as task_type,
        case when 'day' = any(%(group_by)s::text[]) then day end as day,
        calls, errors, prompt_tokens, completion_tokens, cached_tokens, cost_usd, unpriced_calls, estimated_calls
    from (
        select
            agent_id, model_id, task_type, day, calls, errors, prompt_tokens, completion_tokens, cached_tokens, cost_usd,
            unpriced_calls, estimated_calls
        from days
        union all
        select
            agent_id, model_id, task_type, day, sign, case when outcome in ('ERROR', 'TIMEOUT') then sign else 0 end,
            sign * prompt_tokens::bigint, sign * completion_tokens::bigint, sign * cached_tokens::bigint,
            coalesce(sign * cost_usd, 0), case when cost_usd is null then sign else 0 end,
            case when tokens_estimated then sign else 0 end
        from recent
    ) as facts
), sums as (
    select
        grouping(agent) = 1 as is_total, agent, model, provider, task_type, day,
        sum(calls) as calls, sum(errors) as errors, sum(prompt_tokens) as prompt_tokens,
        sum(completion_tokens) as completion_tokens, sum(cached_tokens) as cached_tokens, sum(cost_usd) as cost_usd,
        sum(unpriced_calls) as unpriced_calls, sum(estimated_calls) as estimated_calls
    from parts
    group by grouping sets ((agent, model, provider, task_type, day), ())
    having sum(calls) <> 0
), steps as (
    select
        case when 'agent' = any(%(group_by)s::text[]) then agent_id else '' end as agent,
        case when 'model' = any(%(group_by)s::text[]) then model_id else '' end as model,
        case when 'provider' = any(%(group_by)s::text[]) then split_part(model_id, '/', 1) else '' end as provider,
        case when 'task_type' = any(%(group_by)s::text[]) then task_type else '' end as task_type,
        case when 'day' = any(%(group_by)s::text[]) then day end as day,
        step, calls, sum_ms
    from (
        select agent_id, model_id, task_type, day, step, latency.calls, sum_ms
        from days
        cross join unnest(latency_steps, latency_calls, latency_sums_ms) as latency (step, calls, sum_ms)
        union all
        select agent_id, model_id, task_type, day, latency_step(latency_ms), sign, sign * latency_ms::bigint
        from recent
        where latency_ms > 0
    ) as facts
), grouped as materialized (
    select agent, model, provider, task_type, day, step, sum(calls) as calls, sum(sum_ms) as sum_ms
    from steps
    group by agent, model, provider, task_type, day, step
), histogram as (
    select false as is_total, * from grouped where calls > 0
    union all
    select true, null, null, null, null, null, step, sum(calls), sum(sum_ms)
    from grouped
    group by step
    having sum(calls) > 0
), latencies as (
    select
        is_total, agent, model, provider, task_type, day,
        (sum(sum_ms) / sum(calls))::double precision as avg_latency_ms,
        -- The mean of the step in which the percentile lies.
        (array_agg(sum_ms / calls order by step) filter (where reached >= 0.95 * whole))[1]::double precision
            as p95_latency_ms
    from (
        select
            *, sum(calls) over (partition by is_total, agent, model, provider, task_type, day order by step) as reached,
            sum(calls) over (partition by is_total, agent, model, provider, task_type, day) as whole
        from histogram
    ) as cumulated
    group by is_total, agent, model, provider, task_type, day
)
select sums.*, avg_latency_ms, p95_latency_ms
from sums
left join latencies
    on latencies.is_total = sums.is_total
    and coalesce(latencies.agent, '') = coalesce(sums.agent, '')
    and coalesce(latencies.model, '') = coalesce(sums.model, '')
    and coalesce(latencies.provider, '') = coalesce(sums.provider, '')
    and coalesce(latencies.task_type, '') = coalesce(sums.task_type, '')
    and coalesce(latencies.day, '-infinity') = coalesce(sums.day, '-infinity')
order by
    sums.is_total desc, sums.day, sums.cost_usd desc, sums.calls desc, sums.agent, sums.model, sums.provider,
    sums.task_type
limit %(limit)s
