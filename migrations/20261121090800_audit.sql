-- migrate:up

-- Rows without a tenant are acts of the platform's admins; they belong to transactions that set no tenant.
-- Both roles may only add: partitions that are old enough are dropped by the owner.
create table audit_events (
    event_id uuid not null,
    tenant_id uuid,
    actor text not null check (octet_length(actor) <= 1024),
    roles jsonb not null default '[]' check (jsonb_typeof(roles) = 'array'),
    method text not null check (octet_length(method) between 1 and 255),
    request_id text not null default '' check (octet_length(request_id) <= 1024),
    target_type text not null check (octet_length(target_type) between 1 and 255),
    target_id text not null default '' check (octet_length(target_id) <= 2048),
    before jsonb check (jsonb_typeof(before) = 'object'),
    after jsonb check (jsonb_typeof(after) = 'object'),
    create_time timestamptz not null default now(),
    primary key (event_id, create_time)
) partition by range (create_time);
create index audit_events_tenant_idx on audit_events (tenant_id, create_time, event_id);
create index audit_events_target_idx on audit_events (target_type, target_id, create_time);
create index audit_events_actor_idx on audit_events (actor, create_time);
alter table audit_events enable row level security;
alter table audit_events force row level security;
create policy tenant on audit_events to imrs_app
    using (tenant_id is not distinct from nullif(current_setting('imrs.tenant_id', true), '')::uuid);

-- Tokens that IMRS issued, never the tokens themselves. A platform admin's has no tenant.
create table issued_tokens (
    token_id uuid primary key,
    tenant_id uuid,
    subject text not null check (octet_length(subject) between 1 and 1024),
    roles jsonb not null check (jsonb_typeof(roles) = 'array'),
    agent_id text collate "C" not null default '' check (agent_id ~ '^([A-Za-z0-9][A-Za-z0-9._-]{0,63})?$'),
    issued_by text not null check (octet_length(issued_by) <= 1024),
    create_time timestamptz not null default now(),
    expire_time timestamptz not null,
    revoke_time timestamptz
);
create index issued_tokens_tenant_idx on issued_tokens (tenant_id, create_time, token_id);
-- Every server keeps in memory which tokens are revoked and not yet expired.
create index issued_tokens_revoked_idx on issued_tokens (expire_time) where revoke_time is not null;
alter table issued_tokens enable row level security;
alter table issued_tokens force row level security;
create policy tenant on issued_tokens to imrs_app
    using (tenant_id is not distinct from nullif(current_setting('imrs.tenant_id', true), '')::uuid);

grant select, insert on audit_events to imrs_app, imrs_system;
grant select, insert, update on issued_tokens to imrs_app;
grant select, insert, update, delete on issued_tokens to imrs_system;

-- migrate:down

drop table issued_tokens;
drop table audit_events;
