-- migrate:up

-- A tenant exists by being named in a token; this only gives it a name, so nothing refers to it.
create table tenants (
    tenant_id uuid primary key,
    display_name text not null default '' check (octet_length(display_name) <= 1024),
    create_time timestamptz not null default now()
);
alter table tenants enable row level security;
alter table tenants force row level security;
create policy tenant on tenants to imrs_app
    using (tenant_id = nullif(current_setting('imrs.tenant_id', true), '')::uuid);

create table agents (
    tenant_id uuid not null,
    agent_id text collate "C" not null check (agent_id ~ '^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$'),
    display_name text not null default '' check (octet_length(display_name) <= 1024),
    agent_class text not null default '' check (octet_length(agent_class) <= 1024),
    use_case text not null default '' check (octet_length(use_case) <= 32768),
    tags jsonb not null default '[]' check (jsonb_typeof(tags) = 'array'),
    labels jsonb not null default '{}' check (jsonb_typeof(labels) = 'object'),
    metadata jsonb not null default '{}' check (jsonb_typeof(metadata) = 'object'),
    capsule jsonb check (jsonb_typeof(capsule) = 'object'),
    default_model_id text collate "C" not null default '' check (char_length(default_model_id) <= 255),
    parameters jsonb not null default '{}' check (jsonb_typeof(parameters) = 'object'),
    routing jsonb not null default '{}' check (jsonb_typeof(routing) = 'object'),
    override jsonb check (jsonb_typeof(override) = 'object'),
    fallback_model_ids jsonb check (jsonb_typeof(fallback_model_ids) = 'array'),
    state text not null default 'ACTIVE' check (state in ('ACTIVE', 'DISABLED', 'DELETED')),
    create_time timestamptz not null default now(),
    update_time timestamptz not null default now(),
    delete_time timestamptz,
    version bigint not null default 1 check (version > 0),
    primary key (tenant_id, agent_id),
    check ((state = 'DELETED') = (delete_time is not null))
);
alter table agents enable row level security;
alter table agents force row level security;
create policy tenant on agents to imrs_app
    using (tenant_id = nullif(current_setting('imrs.tenant_id', true), '')::uuid);

create table agent_rules (
    tenant_id uuid not null,
    rule_id uuid not null,
    agent_id text collate "C" not null,
    filter jsonb not null check (jsonb_typeof(filter) = 'object'),
    priority_override int check (priority_override between 0 and 100),
    created_by text not null default '' check (octet_length(created_by) <= 1024),
    create_time timestamptz not null default now(),
    primary key (tenant_id, rule_id),
    foreign key (tenant_id, agent_id) references agents on delete cascade
);
create index agent_rules_agent_idx on agent_rules (tenant_id, agent_id);
alter table agent_rules enable row level security;
alter table agent_rules force row level security;
create policy tenant on agent_rules to imrs_app
    using (tenant_id = nullif(current_setting('imrs.tenant_id', true), '')::uuid);

-- Foreign keys are checked past row-level security, so they carry the tenant themselves.
create table agent_models (
    tenant_id uuid not null,
    agent_id text collate "C" not null,
    model_id text collate "C" not null references models on delete cascade,
    enabled bool not null default true,
    priority_override int check (priority_override between 0 and 100),
    parameters jsonb not null default '{}' check (jsonb_typeof(parameters) = 'object'),
    context_length int check (context_length >= 0),
    input_price_usd numeric(18, 9) check (input_price_usd between 0 and 999999999),
    output_price_usd numeric(18, 9) check (output_price_usd between 0 and 999999999),
    fallback_model_ids jsonb check (jsonb_typeof(fallback_model_ids) = 'array'),
    allowed_roles jsonb not null default '[]' check (jsonb_typeof(allowed_roles) = 'array'),
    metadata jsonb not null default '{}' check (jsonb_typeof(metadata) = 'object'),
    enabled_by text not null default '' check (octet_length(enabled_by) <= 1024),
    enabled_time timestamptz not null default now(),
    source text not null default 'EXPLICIT' check (source in ('EXPLICIT', 'RULE')),
    rule_id uuid,
    create_time timestamptz not null default now(),
    update_time timestamptz not null default now(),
    version bigint not null default 1 check (version > 0),
    primary key (tenant_id, agent_id, model_id),
    foreign key (tenant_id, agent_id) references agents on delete cascade,
    foreign key (tenant_id, rule_id) references agent_rules on delete set null (rule_id)
);
create index agent_models_enabled_idx on agent_models (tenant_id, agent_id) where enabled;
create index agent_models_model_idx on agent_models (model_id);
create index agent_models_rule_idx on agent_models (tenant_id, rule_id) where rule_id is not null;
alter table agent_models enable row level security;
alter table agent_models force row level security;
create policy tenant on agent_models to imrs_app
    using (tenant_id = nullif(current_setting('imrs.tenant_id', true), '')::uuid);

create table preferences (
    agent_class text collate "C" primary key check (octet_length(agent_class) between 1 and 1024),
    model_ids jsonb not null default '[]' check (jsonb_typeof(model_ids) = 'array'),
    parameters jsonb not null default '{}' check (jsonb_typeof(parameters) = 'object'),
    create_time timestamptz not null default now(),
    update_time timestamptz not null default now(),
    version bigint not null default 1 check (version > 0)
);

-- One row a tenant, and one without a tenant for everybody.
create table defaults (
    tenant_id uuid unique nulls not distinct,
    scope text not null check (scope in ('GLOBAL', 'TENANT')),
    parameters jsonb not null default '{}' check (jsonb_typeof(parameters) = 'object'),
    routing jsonb not null default '{}' check (jsonb_typeof(routing) = 'object'),
    default_model_id text collate "C" not null default '' check (char_length(default_model_id) <= 255),
    task_rules jsonb not null default '{}' check (jsonb_typeof(task_rules) = 'object'),
    create_time timestamptz not null default now(),
    update_time timestamptz not null default now(),
    version bigint not null default 1 check (version > 0),
    check ((scope = 'GLOBAL') = (tenant_id is null))
);
alter table defaults enable row level security;
alter table defaults force row level security;
create policy tenant on defaults to imrs_app
    using (tenant_id is not distinct from nullif(current_setting('imrs.tenant_id', true), '')::uuid);
create policy everybody on defaults for select to imrs_app using (tenant_id is null);

grant select, insert, update on tenants, agents, defaults to imrs_app;
grant select, insert, update, delete on agent_rules, agent_models, preferences to imrs_app;
grant select, insert, update, delete
    on tenants, agents, agent_rules, agent_models, preferences, defaults to imrs_system;

-- migrate:down

drop table defaults;
drop table preferences;
drop table agent_models;
drop table agent_rules;
drop table agents;
drop table tenants;
