-- migrate:up

-- First answers by idempotency key. Kept longer than any client retries; not partitioned, because a key must be
-- unique whatever month it comes back in. A null tenant is a platform admin's call that names none.
create table idempotency_keys (
    tenant_id uuid,
    method text collate "C" not null check (octet_length(method) between 1 and 255),
    key text collate "C" not null check (octet_length(key) between 1 and 1024),
    request_hash bytea not null check (octet_length(request_hash) = 32),
    response jsonb not null,
    create_time timestamptz not null default now(),
    expire_time timestamptz not null default now() + interval '7 days',
    -- The tenant comes last, because `is not distinct from` cannot use an index.
    unique nulls not distinct (key, method, tenant_id),
    check (expire_time > create_time)
);
create index idempotency_keys_expire_idx on idempotency_keys (expire_time);
alter table idempotency_keys enable row level security;
alter table idempotency_keys force row level security;
create policy tenant on idempotency_keys to imrs_app
    using (tenant_id is not distinct from nullif(current_setting('imrs.tenant_id', true), '')::uuid);

-- What must reach another system, written in the transaction that it tells of, delivered at least once. Items of
-- one key replace each other over there, and parked ones were refused too often.
create table outbox (
    tenant_id uuid not null,
    item_id uuid not null,
    kind text not null check (kind ~ '^[a-z][a-z0-9_]{0,31}$'),
    key text collate "C" not null check (octet_length(key) between 1 and 1024),
    payload jsonb not null check (jsonb_typeof(payload) = 'object'),
    attempts int not null default 0 check (attempts >= 0),
    next_time timestamptz not null default now(),
    last_error text not null default '' check (octet_length(last_error) <= 8192),
    park_time timestamptz,
    create_time timestamptz not null default now(),
    primary key (tenant_id, item_id)
);
create index outbox_due_idx on outbox (kind, next_time) where park_time is null;
alter table outbox enable row level security;
alter table outbox force row level security;
create policy tenant on outbox to imrs_app
    using (tenant_id = nullif(current_setting('imrs.tenant_id', true), '')::uuid);

grant select, insert, update, delete on idempotency_keys to imrs_app;
grant insert on outbox to imrs_app;
grant select, insert, update, delete on idempotency_keys, outbox to imrs_system;

-- migrate:down

drop table outbox;
drop table idempotency_keys;
