-- name: announce
with next as (
    update index_revision set rev = rev + 1 returning rev
), logged as (
    insert into change_log (rev, seq, kind, tenant_id, key)
    select next.rev, line.seq, line.item ->> 'kind', (line.item ->> 'tenant_id')::uuid, line.item ->> 'key'
    from next, jsonb_array_elements(%(changes)s::jsonb) with ordinality as line (item, seq)
)
select rev, pg_notify(%(channel)s, rev::text) from next

-- name: current
select rev, epoch from index_revision

-- name: since
select rev, kind, tenant_id, key from change_log where rev > %(revision)s order by rev, seq
