-- name: hold
select pg_advisory_xact_lock(hashtextextended('imrs.breakers', 11))

-- name: lead
select pg_try_advisory_xact_lock(hashtextextended('imrs.breakers', 11))

-- name: time
select clock_timestamp() as time

-- name: open_ones
select kind, subject_id, phase, cause, share, openings, generation, since_time, due_time, step_seconds
from breakers

-- name: get
select kind, subject_id, phase, cause, share, openings, generation, since_time, due_time, step_seconds
from breakers
where kind = %(kind)s and subject_id = %(subject_id)s

-- name: due
select kind, subject_id, phase, cause, share, openings, generation, since_time, due_time, step_seconds
from breakers
where due_time <= clock_timestamp()
order by due_time
limit %(most)s

-- name: next_due
select extract(epoch from min(due_time) - clock_timestamp())::double precision as seconds from breakers

-- name: generation
select nextval('breaker_generations')

-- name: put
insert into breakers (
    kind, subject_id, phase, cause, share, openings, generation, since_time, due_time, step_seconds
)
values (
    %(kind)s, %(subject_id)s, %(phase)s, %(cause)s, %(share)s, %(openings)s, %(generation)s, %(since_time)s,
    %(due_time)s, %(step_seconds)s
)
on conflict (kind, subject_id) do update set
    phase = excluded.phase, cause = excluded.cause, share = excluded.share, openings = excluded.openings,
    generation = excluded.generation, since_time = excluded.since_time, due_time = excluded.due_time,
    step_seconds = excluded.step_seconds

-- name: remove
delete from breakers where kind = %(kind)s and subject_id = %(subject_id)s

-- name: close_provider
delete from breakers
where kind = 'PROVIDER' and subject_id = %(provider_id)s
   or kind = 'MODEL' and subject_id >= %(provider_id)s || '/' and subject_id < %(provider_id)s || '0'
   or kind = 'ENDPOINT' and subject_id in (
       select endpoint_id from endpoints where split_part(model_id, '/', 1) = %(provider_id)s
   )
