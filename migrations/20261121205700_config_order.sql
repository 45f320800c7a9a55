-- migrate:up

-- The order of the applies of a file. Ids are made by servers, whose clocks differ; the applies of a file take turns,
-- so that a sequence has them in the order of their commits.
alter table config_applies add column number bigint;
-- Whoever migrates owns the table, and need not be a superuser: row-level security would hide the rows.
alter table config_applies no force row level security;
update config_applies set number = ordered.number
from (select apply_id, row_number() over (order by create_time, apply_id) as number from config_applies) as ordered
where ordered.apply_id = config_applies.apply_id;
alter table config_applies alter column number set not null;
alter table config_applies alter column number add generated always as identity;
select setval(pg_get_serial_sequence('config_applies', 'number'), (select count(*) + 1 from config_applies), false);
alter table config_applies force row level security;
drop index config_applies_source_idx;
create index config_applies_source_idx on config_applies (tenant_id, source, number);

-- What was last applied of a file that is watched, so that a server that starts knows whether there is news in it.
create table config_files (
    tenant_id uuid,
    source text collate "C" not null check (octet_length(source) between 1 and 1024),
    -- SHA-256 of the environment and the file.
    digest bytea not null check (octet_length(digest) = 32),
    update_time timestamptz not null default now(),
    unique nulls not distinct (tenant_id, source)
);
alter table config_files enable row level security;
alter table config_files force row level security;
create policy tenant on config_files to imrs_app
    using (tenant_id is not distinct from nullif(current_setting('imrs.tenant_id', true), '')::uuid);

grant select, insert, update, delete on config_files to imrs_app, imrs_system;

-- migrate:down

drop table config_files;
drop index config_applies_source_idx;
alter table config_applies drop column number;
create index config_applies_source_idx on config_applies (tenant_id, source, apply_id);
