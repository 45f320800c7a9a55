-- name: server
select
    current_setting('server_version_num')::int as version,
    pg_is_in_recovery() as standby,
    rolname as login,
    rolsuper as superuser,
    current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as connections,
    (select count(*) from pg_stat_activity where backend_type = 'client backend') as connected
from pg_roles
where rolname = current_user

-- name: clock
select clock_timestamp()

-- name: version
-- Packagers write more after the number.
select 'PostgreSQL ' || split_part(current_setting('server_version'), ' ', 1)

-- name: roles
select
    wanted.name,
    pg_roles.oid is not null as present,
    coalesce(rolbypassrls, false) as bypasses,
    case when pg_roles.oid is not null then pg_has_role(current_user, pg_roles.oid, 'set') else false end as granted
from (values ('imrs_app', false), ('imrs_system', true)) as wanted (name, must_bypass)
left join pg_roles on rolname = wanted.name
order by wanted.name

-- name: search_extension
select exists (select from pg_extension where extname = 'pg_trgm')

-- name: months
select parent, month
from
    unnest(%(tables)s::text[]) as parent,
    generate_series(
        date_trunc('month', now(), 'UTC'), date_trunc('month', %(until)s::timestamptz, 'UTC'), interval '1 month', 'UTC'
    ) as month
where to_regclass(parent) is not null and to_regclass(parent || to_char(month at time zone 'UTC', '_YYYY_MM')) is null
order by month, parent

-- name: epoch
select epoch from index_revision
