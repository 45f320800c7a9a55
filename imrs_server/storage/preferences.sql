-- name: claim
select pg_advisory_xact_lock(hashtextextended('imrs.preferences.' || %(agent_class)s, 0))

-- name: put
insert into preferences (agent_class, model_ids, parameters)
values (%(agent_class)s, %(model_ids)s, %(parameters)s)
on conflict (agent_class) do update
set model_ids = excluded.model_ids, parameters = excluded.parameters, update_time = now(),
    version = preferences.version + 1
returning *

-- name: get
select * from preferences where agent_class = %(agent_class)s

-- name: lock
select * from preferences where agent_class = %(agent_class)s for update

-- name: delete
delete from preferences where agent_class = %(agent_class)s

-- name: list
select *, octet_length(preferences::text) as weight from preferences where true /* page */
