-- name: lock
select pg_advisory_xact_lock(hashtextextended(%(name)s, 7))

-- name: find
select request_hash, response
from idempotency_keys
where tenant_id is not distinct from %(tenant_id)s and method = %(method)s and key = %(key)s and expire_time > now()

-- name: keep
insert into idempotency_keys (tenant_id, method, key, request_hash, response)
values (%(tenant_id)s, %(method)s, %(key)s, %(request_hash)s, %(response)s)
on conflict (tenant_id, method, key) do update
set request_hash = excluded.request_hash, response = excluded.response,
    create_time = excluded.create_time, expire_time = excluded.expire_time
