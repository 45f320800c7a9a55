-- name: supported
select to_regprocedure('ensure_partition(text, timestamptz)') is not null

-- name: ensure
select parent || to_char(month at time zone 'UTC', '_YYYY_MM') as partition
from
    unnest(%(tables)s::text[]) as parent,
    generate_series(
        date_trunc('month', now(), 'UTC'), date_trunc('month', %(until)s::timestamptz, 'UTC'), interval '1 month', 'UTC'
    ) as month
where case when to_regclass(parent) is not null then ensure_partition(parent, month) end

-- name: ensure_month
select ensure_partition(%(table)s, %(time)s)
