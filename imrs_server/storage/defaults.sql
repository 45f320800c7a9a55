-- name: claim
select pg_advisory_xact_lock(hashtextextended('imrs.defaults.' || %(owner)s, 0))

-- name: get
select * from defaults where tenant_id is not distinct from %(tenant_id)s

-- name: lock
select * from defaults where tenant_id is not distinct from %(tenant_id)s for update

-- name: put
insert into defaults (tenant_id, scope, parameters, routing, default_model_id, task_rules)
values (%(tenant_id)s, %(scope)s, %(parameters)s, %(routing)s, %(default_model_id)s, %(task_rules)s)
on conflict (tenant_id) do update
set parameters = excluded.parameters, routing = excluded.routing, default_model_id = excluded.default_model_id,
    task_rules = excluded.task_rules, update_time = now(), version = defaults.version + 1
returning *
