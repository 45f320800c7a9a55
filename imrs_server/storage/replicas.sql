-- name: tell
insert into replicas (replica_id, version, index_revision, listener_connected, start_time, seen_time)
values (%(replica_id)s, %(version)s, %(index_revision)s, %(listener_connected)s, %(start_time)s, now())
on conflict (replica_id) do update set
    version = excluded.version, index_revision = excluded.index_revision,
    listener_connected = excluded.listener_connected, start_time = excluded.start_time, seen_time = excluded.seen_time

-- name: leave
delete from replicas where replica_id = %(replica_id)s

-- name: forget
delete from replicas where seen_time < now() - make_interval(secs => %(silent_seconds)s)

-- name: list
select replica_id, version, index_revision, listener_connected, start_time, seen_time
from replicas
where seen_time >= now() - make_interval(secs => %(silent_seconds)s)
order by start_time, replica_id
limit %(most)s
