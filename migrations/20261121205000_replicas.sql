-- migrate:up

-- What each server process last said of itself. Nobody needs it after a crash of the database, hence unlogged.
create unlogged table replicas (
    replica_id text collate "C" primary key check (octet_length(replica_id) between 1 and 1024),
    version text not null check (octet_length(version) between 1 and 255),
    index_revision bigint not null check (index_revision >= 0),
    listener_connected bool not null,
    start_time timestamptz not null,
    seen_time timestamptz not null default now()
);

grant select, insert, update, delete on replicas to imrs_app, imrs_system;

-- migrate:down

drop table replicas;
