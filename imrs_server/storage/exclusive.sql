-- name: take
select pg_try_advisory_lock(hashtextextended(%(name)s, 11))

-- name: release
select pg_advisory_unlock(hashtextextended(%(name)s, 11))
