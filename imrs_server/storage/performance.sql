-- name: list
with facts as not materialized (
    select model_id, coalesce(decision_id, message_id) as decision_id, rating, latency_ms, true as called
    from messages
    where (%(tenant_id)s::uuid is null or tenant_id = %(tenant_id)s)
      and (%(agent_id)s = '' or agent_id = %(agent_id)s)
      and (%(task_type)s = '' or task_type = %(task_type)s)
      and (%(model_id)s = '' or model_id = %(model_id)s)
      and (%(start_time)s::timestamptz is null or create_time >= %(start_time)s)
      and (%(end_time)s::timestamptz is null or create_time < %(end_time)s)
    union all
    -- Votes on what was decided and never reported; they are kept by the time of the decision.
    select model_id, message_id, rating, 0, false
    from feedback
    where speaks and not pending and revoke_time is null
      and (%(tenant_id)s::uuid is null or tenant_id = %(tenant_id)s)
      and (%(agent_id)s = '' or agent_id = %(agent_id)s)
      and (%(task_type)s = '' or task_type = %(task_type)s)
      and (%(model_id)s = '' or model_id = %(model_id)s)
      and (%(start_time)s::timestamptz is null or partition_time >= %(start_time)s)
      and (%(end_time)s::timestamptz is null or partition_time < %(end_time)s)
      and not exists (
          select from messages
          where messages.tenant_id = feedback.tenant_id
            and messages.message_id = feedback.message_id
            and messages.partition_time = feedback.partition_time
            and (%(start_time)s::timestamptz is null or messages.partition_time >= %(start_time)s)
            and (%(end_time)s::timestamptz is null or messages.partition_time < %(end_time)s)
      )
),
shadowed as materialized (
    select decision_id, model_id as chosen, detail #>> '{shadow,model_id}' as model_id
    from decisions
    where detail ? 'shadow'
      and detail #>> '{shadow,model_id}' <> ''
      and (%(tenant_id)s::uuid is null or tenant_id = %(tenant_id)s)
      and (%(agent_id)s = '' or agent_id = %(agent_id)s)
      and (%(task_type)s = '' or task_type = %(task_type)s)
      and (%(model_id)s = '' or detail #>> '{shadow,model_id}' = %(model_id)s)
      and (%(start_time)s::timestamptz is null or create_time >= %(start_time)s)
      and (%(end_time)s::timestamptz is null or create_time < %(end_time)s)
),
rated as (
    select decision_id, model_id, avg(rating) as rating
    from facts
    -- Where no shadow agrees, which is the rule, the facts are not read for it.
    where rating is not null and exists (select from shadowed where shadowed.chosen = shadowed.model_id)
    group by decision_id, model_id
),
shadows as (
    select
        shadowed.model_id,
        count(*) as shadow_count,
        count(*) filter (where shadowed.model_id = shadowed.chosen) as shadow_agreed_count,
        count(rated.rating) as shadow_rating_count,
        coalesce(avg(rated.rating), 0) as shadow_avg_rating
    from shadowed
    left join rated
        on rated.decision_id = shadowed.decision_id
        and rated.model_id = shadowed.chosen
        and rated.model_id = shadowed.model_id
    group by shadowed.model_id
)
select *, greatest(score - margin, 0) as lower, least(score + margin, 1) as upper
from (
    select
        *,
        -- Wilson's interval of 95 percent; z is the 0.975 quantile of the normal distribution.
        (rating_count * avg_rating + z * z / 2) / (rating_count + z * z) as score,
        z * sqrt(rating_count * avg_rating * (1 - avg_rating) + z * z / 4) / (rating_count + z * z) as margin
    from (
        select
            model_id,
            %(agent_id)s::text as agent_id,
            %(task_type)s::text as task_type,
            coalesce(avg_rating, 0) as avg_rating,
            coalesce(rating_count, 0)::double precision as rating_count,
            coalesce(usage_count, 0) as usage_count,
            coalesce(avg_latency_ms, 0)::double precision as avg_latency_ms,
            coalesce(p95_latency_ms, 0) as p95_latency_ms,
            coalesce(shadow_count, 0) as shadow_count,
            coalesce(shadow_agreed_count, 0) as shadow_agreed_count,
            coalesce(shadow_rating_count, 0) as shadow_rating_count,
            coalesce(shadow_avg_rating, 0) as shadow_avg_rating
        from (
            select
                model_id,
                avg(rating) as avg_rating,
                count(rating) as rating_count,
                count(*) filter (where called) as usage_count,
                avg(latency_ms) filter (where latency_ms > 0) as avg_latency_ms,
                percentile_cont(0.95) within group (order by latency_ms) filter (where latency_ms > 0)
                    as p95_latency_ms
            from facts
            group by model_id
        ) as served
        full join shadows using (model_id)
    ) as sums, cast(1.959963984540054 as double precision) as z
) as scored
where true
  /* page */

-- name: trend
with facts as (
    select model_id, create_time as time, rating, latency_ms, true as called
    from messages
    where (%(tenant_id)s::uuid is null or tenant_id = %(tenant_id)s)
      and (%(agent_id)s = '' or agent_id = %(agent_id)s)
      and (%(task_type)s = '' or task_type = %(task_type)s)
      and model_id = any(%(model_ids)s)
      and (%(start_time)s::timestamptz is null or create_time >= %(start_time)s)
      and (%(end_time)s::timestamptz is null or create_time < %(end_time)s)
    union all
    select model_id, partition_time, rating, 0, false
    from feedback
    where speaks and not pending and revoke_time is null
      and (%(tenant_id)s::uuid is null or tenant_id = %(tenant_id)s)
      and (%(agent_id)s = '' or agent_id = %(agent_id)s)
      and (%(task_type)s = '' or task_type = %(task_type)s)
      and model_id = any(%(model_ids)s)
      and (%(start_time)s::timestamptz is null or partition_time >= %(start_time)s)
      and (%(end_time)s::timestamptz is null or partition_time < %(end_time)s)
      and not exists (
          select from messages
          where messages.tenant_id = feedback.tenant_id
            and messages.message_id = feedback.message_id
            and messages.partition_time = feedback.partition_time
            and (%(start_time)s::timestamptz is null or messages.partition_time >= %(start_time)s)
            and (%(end_time)s::timestamptz is null or messages.partition_time < %(end_time)s)
      )
)
select
    model_id,
    date_trunc('day', time, 'UTC') as start_time,
    coalesce(avg(rating), 0) as avg_rating,
    count(rating) as rating_count,
    count(*) filter (where called) as usage_count,
    coalesce(avg(latency_ms) filter (where latency_ms > 0), 0)::double precision as avg_latency_ms
from facts
group by model_id, date_trunc('day', time, 'UTC')
order by model_id, start_time
