-- name: list
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
            coalesce(avg(rating), 0) as avg_rating,
            count(rating)::double precision as rating_count,
            count(*) as usage_count,
            coalesce(avg(latency_ms) filter (where latency_ms > 0), 0)::double precision as avg_latency_ms,
            coalesce(percentile_cont(0.95) within group (order by latency_ms) filter (where latency_ms > 0), 0)
                as p95_latency_ms
        from messages
        where (%(tenant_id)s::uuid is null or tenant_id = %(tenant_id)s)
          and (%(agent_id)s = '' or agent_id = %(agent_id)s)
          and (%(task_type)s = '' or task_type = %(task_type)s)
          and (%(model_id)s = '' or model_id = %(model_id)s)
          and (%(start_time)s::timestamptz is null or create_time >= %(start_time)s)
          and (%(end_time)s::timestamptz is null or create_time < %(end_time)s)
        group by model_id
    ) as sums, cast(1.959963984540054 as double precision) as z
) as scored
where true
  /* page */

-- name: trend
select
    model_id,
    date_trunc('day', create_time, 'UTC') as start_time,
    coalesce(avg(rating), 0) as avg_rating,
    count(rating) as rating_count,
    count(*) as usage_count,
    coalesce(avg(latency_ms) filter (where latency_ms > 0), 0)::double precision as avg_latency_ms
from messages
where (%(tenant_id)s::uuid is null or tenant_id = %(tenant_id)s)
  and (%(agent_id)s = '' or agent_id = %(agent_id)s)
  and (%(task_type)s = '' or task_type = %(task_type)s)
  and model_id = any(%(model_ids)s)
  and (%(start_time)s::timestamptz is null or create_time >= %(start_time)s)
  and (%(end_time)s::timestamptz is null or create_time < %(end_time)s)
group by model_id, date_trunc('day', create_time, 'UTC')
order by model_id, start_time
