-- name: lock
select pg_advisory_lock(%(key)s)

-- name: unlock
select pg_advisory_unlock(%(key)s)

-- name: table_exists
select to_regclass('schema_migrations') is not null

-- name: checksum_exists
select exists (
    select from pg_attribute
    where attrelid = to_regclass('schema_migrations') and attname = 'checksum' and not attisdropped
)

-- name: create_table
create table schema_migrations (version varchar(128) primary key, checksum text)

-- name: add_checksum
alter table schema_migrations add column checksum text

-- name: applied
select version, to_jsonb(schema_migrations) ->> 'checksum' as checksum from schema_migrations order by version

-- name: record
insert into schema_migrations (version, checksum) values (%(version)s, %(checksum)s)

-- name: forget
delete from schema_migrations where version = %(version)s

-- name: objects
with ours as (
    select oid, relname from pg_class
    where relnamespace = current_schema()::regnamespace and relkind in ('r', 'p') and not relispartition
)
select null as parent, relname::text as name,
    format(
        'table %s (%s)', relname,
        pg_size_pretty(pg_relation_size(oid) + coalesce((select sum(pg_relation_size(relid)) from pg_partition_tree(oid)), 0))
    ) as label
from ours
union all
select relname, attname, 'column ' || relname || '.' || attname
from ours join pg_attribute on attrelid = ours.oid
where attnum > 0 and not attisdropped
union all
select null, oid::regprocedure::text, 'function ' || oid::regprocedure
from pg_proc
where pronamespace = current_schema()::regnamespace and not exists (
    select from pg_depend where classid = 'pg_proc'::regclass and objid = pg_proc.oid and deptype = 'e'
)
union all
select null, 'extension ' || extname, 'extension ' || extname
from pg_extension
order by label
