-- name: put
insert into outbox (tenant_id, kind, key, payload)
select tenant_id, %(kind)s, key, payload
from unnest(%(tenant_ids)s::uuid[], %(keys)s::text[], %(payloads)s::jsonb[]) as told (tenant_id, key, payload)
-- In one order, so that two who put the same keys cannot wait for each other.
order by tenant_id, key
on conflict (tenant_id, kind, key) do update
set item_id = excluded.item_id, payload = excluded.payload, attempts = 0, last_error = '', park_time = null,
    -- Not before the older version has arrived, or is given up.
    next_time = greatest(outbox.next_time, excluded.next_time)

-- name: claim
with due as (
    select tenant_id, kind, key
    from outbox
    where kind = %(kind)s and park_time is null and next_time <= now()
    order by next_time
    limit %(most)s
    for update skip locked
)
update outbox
set next_time = now() + %(lease)s
from due
where outbox.tenant_id = due.tenant_id and outbox.kind = due.kind and outbox.key = due.key
returning outbox.tenant_id, outbox.item_id, outbox.key, outbox.payload, outbox.attempts

-- name: delivered
with held as materialized (
    select outbox.tenant_id, outbox.kind, outbox.key, outbox.item_id = sent.item_id as is_last
    from unnest(%(tenant_ids)s::uuid[], %(keys)s::text[], %(item_ids)s::uuid[]) as sent (tenant_id, key, item_id)
    join outbox on outbox.tenant_id = sent.tenant_id and outbox.kind = %(kind)s and outbox.key = sent.key
    order by outbox.tenant_id, outbox.key
    for update of outbox
), replaced as (
    update outbox
    set next_time = now()
    from held
    where outbox.tenant_id = held.tenant_id and outbox.kind = held.kind and outbox.key = held.key
      and not held.is_last
)
delete from outbox
using held
where outbox.tenant_id = held.tenant_id and outbox.kind = held.kind and outbox.key = held.key and held.is_last

-- name: put_off
with held as materialized (
    select
        outbox.tenant_id, outbox.kind, outbox.key, sent.failed, sent.parked, sent.wait_seconds, sent.error,
        outbox.item_id = sent.item_id as is_last
    from unnest(
        %(tenant_ids)s::uuid[], %(keys)s::text[], %(item_ids)s::uuid[], %(failed)s::bool[], %(parked)s::bool[],
        %(waits_seconds)s::double precision[], %(errors)s::text[]
    ) as sent (tenant_id, key, item_id, failed, parked, wait_seconds, error)
    join outbox on outbox.tenant_id = sent.tenant_id and outbox.kind = %(kind)s and outbox.key = sent.key
    order by outbox.tenant_id, outbox.key
    for update of outbox
)
update outbox
set next_time = case when held.is_last then now() + held.wait_seconds * interval '1 second' else now() end,
    attempts = attempts + (held.is_last and held.failed)::int,
    park_time = case when held.is_last and held.parked then now() end,
    last_error = case when held.is_last then held.error else '' end
from held
where outbox.tenant_id = held.tenant_id and outbox.kind = held.kind and outbox.key = held.key

-- name: trim
with oldest_kept as (
    select create_time from outbox where kind = %(kind)s order by create_time desc offset %(keep)s - 1 limit 1
), surplus as (
    select tenant_id, kind, key
    from outbox
    where kind = %(kind)s and create_time < (select create_time from oldest_kept)
    order by create_time
    limit %(most)s
    for update skip locked
)
delete from outbox
using surplus
where outbox.tenant_id = surplus.tenant_id and outbox.kind = surplus.kind and outbox.key = surplus.key
