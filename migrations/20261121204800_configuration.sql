-- migrate:up

-- What a configuration file owns: the fields that it gave, with the values, so that somebody else's edit shows.
-- `tenant_id` is the tenant that the file was applied for, null where it was applied for none.
create table config_owned (
    tenant_id uuid,
    source text collate "C" not null check (octet_length(source) between 1 and 1024),
    target text collate "C" not null check (octet_length(target) between 1 and 2048),
    fields jsonb not null default '{}' check (jsonb_typeof(fields) = 'object'),
    -- Whether the file made it: only that it may take away again by itself.
    created bool not null default false,
    create_time timestamptz not null default now(),
    update_time timestamptz not null default now(),
    unique nulls not distinct (tenant_id, source, target)
);
alter table config_owned enable row level security;
alter table config_owned force row level security;
create policy tenant on config_owned to imrs_app
    using (tenant_id is not distinct from nullif(current_setting('imrs.tenant_id', true), '')::uuid);

-- What each apply changed, as much as it takes to undo it.
create table config_applies (
    apply_id uuid primary key,
    tenant_id uuid,
    source text collate "C" not null check (octet_length(source) between 1 and 1024),
    environment text not null default '' check (octet_length(environment) <= 1024),
    actor text not null check (octet_length(actor) <= 1024),
    changes jsonb not null check (jsonb_typeof(changes) = 'array'),
    owned jsonb not null check (jsonb_typeof(owned) = 'array'),
    create_time timestamptz not null default now(),
    undo_time timestamptz
);
create index config_applies_source_idx on config_applies (tenant_id, source, apply_id);
alter table config_applies enable row level security;
alter table config_applies force row level security;
create policy tenant on config_applies to imrs_app
    using (tenant_id is not distinct from nullif(current_setting('imrs.tenant_id', true), '')::uuid);

grant select, insert, update, delete on config_owned, config_applies to imrs_app, imrs_system;

-- migrate:down

drop table config_applies;
drop table config_owned;
