-- name: claim
select pg_advisory_xact_lock(hashtextextended('imrs.key.' || %(path)s, 0))

-- name: get
select * from agent_keys
where tenant_id = %(tenant_id)s and agent_id = %(agent_id)s and provider_id = %(provider_id)s

-- name: put
insert into agent_keys (tenant_id, agent_id, provider_id, key_version, set_by)
values (%(tenant_id)s, %(agent_id)s, %(provider_id)s, %(key_version)s, %(set_by)s)
on conflict (tenant_id, agent_id, provider_id) do update
set key_version = excluded.key_version, set_by = excluded.set_by, update_time = now()
returning *

-- name: delete
delete from agent_keys
where tenant_id = %(tenant_id)s and agent_id = %(agent_id)s and provider_id = %(provider_id)s
