-- migrate:up

-- What a caller did wrong is no error of the model, so a version of a message has to say what went wrong.
alter table past_messages add column error_kind text not null default '' check (char_length(error_kind) <= 64);
create or replace function remember_message() returns trigger
language plpgsql
set search_path from current
as $$
begin
    if old.xid <> pg_current_xact_id() then
        insert into past_messages (
            tenant_id, born, create_time, latency_ms, outcome, error_kind, agent_id, task_type, model_id
        ) values (
            old.tenant_id, old.xid, old.create_time, old.latency_ms, old.outcome, old.error_kind, old.agent_id,
            old.task_type, old.model_id
        );
    end if;
    if tg_op = 'DELETE' then
        return old;
    end if;
    new.xid := pg_current_xact_id();
    return new;
end
$$;
drop trigger remember_change on messages;
create trigger remember_change before update on messages for each row
when (
    new.xid <> '0' and (
        old.xid, old.create_time, old.latency_ms, old.outcome, old.error_kind, old.agent_id, old.task_type, old.model_id
    ) is distinct from (
        new.xid, new.create_time, new.latency_ms, new.outcome, new.error_kind, new.agent_id, new.task_type, new.model_id
    )
)
execute function remember_message();

-- Where some were counted against their models, the evidence is counted anew.
set local role imrs_system;
delete from rollup_state
where name = 'evidence' and exists (
    select from messages
    where outcome in ('ERROR', 'TIMEOUT')
      and error_kind in ('bad_request', 'content_refused', 'context_too_long', 'unsupported')
);
reset role;

-- migrate:down

drop trigger remember_change on messages;
create or replace function remember_message() returns trigger
language plpgsql
set search_path from current
as $$
begin
    if old.xid <> pg_current_xact_id() then
        insert into past_messages (
            tenant_id, born, create_time, latency_ms, outcome, agent_id, task_type, model_id
        ) values (
            old.tenant_id, old.xid, old.create_time, old.latency_ms, old.outcome, old.agent_id, old.task_type,
            old.model_id
        );
    end if;
    if tg_op = 'DELETE' then
        return old;
    end if;
    new.xid := pg_current_xact_id();
    return new;
end
$$;
create trigger remember_change before update on messages for each row
when (
    new.xid <> '0' and (
        old.xid, old.create_time, old.latency_ms, old.outcome, old.agent_id, old.task_type, old.model_id
    ) is distinct from (
        new.xid, new.create_time, new.latency_ms, new.outcome, new.agent_id, new.task_type, new.model_id
    )
)
execute function remember_message();
alter table past_messages drop column error_kind;
