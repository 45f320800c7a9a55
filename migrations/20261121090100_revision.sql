-- migrate:up

-- Every configuration change takes the next revision in its own transaction; the row lock makes the order of
-- revisions the order of commits, which a sequence would not. A new epoch says: this database was restored.
create table index_revision (
    one bool primary key default true check (one),
    rev bigint not null check (rev > 0),
    epoch uuid not null default gen_random_uuid()
);
insert into index_revision (rev) values (1);

-- What changed under a revision; one transaction may announce several changes.
create table change_log (
    rev bigint not null check (rev > 0),
    seq int not null check (seq >= 0),
    at timestamptz not null default clock_timestamp(),
    kind text not null check (kind ~ '^[a-z][a-z_]{0,31}$'),
    tenant_id uuid,
    key text collate "C" not null default '' check (octet_length(key) <= 1024),
    primary key (rev, seq)
);
create index change_log_at_idx on change_log (at);

grant select, update on index_revision to imrs_app, imrs_system;
-- The feed names things of all tenants: who serves one tenant writes it and does not read it.
grant insert on change_log to imrs_app;
grant select, insert, update, delete on change_log to imrs_system;

-- migrate:down

drop table change_log;
drop table index_revision;
