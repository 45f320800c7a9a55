-- migrate:up

-- Which agents have a key of their own for a provider; the keys are in Vault. They are kept while the agent or the
-- provider is deleted, as both may come back.
create table agent_keys (
    tenant_id uuid not null,
    agent_id text collate "C" not null,
    provider_id text collate "C" not null references providers on delete cascade,
    key_version int not null check (key_version > 0),
    set_by text not null default '' check (octet_length(set_by) <= 1024),
    create_time timestamptz not null default now(),
    update_time timestamptz not null default now(),
    primary key (tenant_id, agent_id, provider_id),
    foreign key (tenant_id, agent_id) references agents on delete cascade
);
create index agent_keys_provider_idx on agent_keys (provider_id);
alter table agent_keys enable row level security;
alter table agent_keys force row level security;
create policy tenant on agent_keys to imrs_app
    using (tenant_id = nullif(current_setting('imrs.tenant_id', true), '')::uuid);

grant select, insert, update, delete on agent_keys to imrs_app, imrs_system;

-- migrate:down

drop table agent_keys;
