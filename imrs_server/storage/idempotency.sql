-- name: lock
select pg_advisory_xact_lock(hashtextextended(%(name)s, 7))

-- name: find
select request_hash, response
from idempotency_keys
where tenant_id is not distinct from %(tenant_id)s and method = %(method)s and key = %(key)s and expire_time > now()

-- name: try_lock
select pg_try_advisory_xact_lock(hashtextextended(name, 7)) as locked
from unnest(%(names)s::text[]) with ordinality as wanted (name, n)
order by n

-- name: find_all
select kept.request_hash, kept.response
from unnest(%(tenant_ids)s::uuid[], %(methods)s::text[], %(keys)s::text[])
    with ordinality as wanted (tenant_id, method, key, n)
left join lateral (
    select request_hash, response
    from idempotency_keys
    where idempotency_keys.key = wanted.key
      and idempotency_keys.method = wanted.method
      and idempotency_keys.tenant_id = wanted.tenant_id
      and expire_time > now()
    limit 1
) as kept on true
order by wanted.n

-- name: keep_all
insert into idempotency_keys (tenant_id, method, key, request_hash, response)
select *
from unnest(
    %(tenant_ids)s::uuid[], %(methods)s::text[], %(keys)s::text[], %(request_hashes)s::bytea[], %(responses)s::jsonb[]
)
on conflict (tenant_id, method, key) do update
set request_hash = excluded.request_hash, response = excluded.response,
    create_time = excluded.create_time, expire_time = excluded.expire_time

-- name: keep
insert into idempotency_keys (tenant_id, method, key, request_hash, response)
values (%(tenant_id)s, %(method)s, %(key)s, %(request_hash)s, %(response)s)
on conflict (tenant_id, method, key) do update
set request_hash = excluded.request_hash, response = excluded.response,
    create_time = excluded.create_time, expire_time = excluded.expire_time
