-- migrate:up

-- Of the votes on a message some count, and one speaks for it: where somebody rated it in so many words (EXPLICIT),
-- what was inferred counts no more; the last explicit vote, else the last, is the message's rating.
alter table feedback
    add column counts bool not null default true,
    add column speaks bool not null default true;

-- As the role that sees the rows of every tenant: the owner of the tables may be one who sees none.
set local role imrs_system;
update feedback
set counts = ranked.counts, speaks = ranked.speaks
from (
    select
        tenant_id, feedback_id, partition_time,
        feedback_type = 'EXPLICIT' or not bool_or(feedback_type = 'EXPLICIT') over (
            partition by tenant_id, message_id
        ) as counts,
        row_number() over (
            partition by tenant_id, message_id
            order by feedback_type = 'EXPLICIT' desc, event_time desc, feedback_id desc
        ) = 1 as speaks
    from feedback
    where not pending and revoke_time is null
) as ranked
where feedback.tenant_id = ranked.tenant_id
  and feedback.feedback_id = ranked.feedback_id
  and feedback.partition_time = ranked.partition_time
  and not (ranked.counts and ranked.speaks);
-- Everything is counted anew, by other rules.
delete from evidence;
delete from rollup_state;
reset role;

-- It served the count that read whole cells again.
drop index feedback_cell_idx;

-- Versions of rows that counted and were changed or deleted since: a version lives from the transaction `born` to the
-- transaction `died`. The roll-up takes back what died as it counts what was born, and then forgets the version. So
-- these tables stay about as small as what was changed in the last second.
create table past_feedback (
    tenant_id uuid not null,
    born xid8 not null,
    died xid8 not null default pg_current_xact_id(),
    rating double precision not null check (rating between 0 and 1),
    event_time timestamptz not null,
    counts bool not null,
    speaks bool not null,
    feedback_type text not null check (char_length(feedback_type) <= 32),
    signal text check (char_length(signal) <= 32),
    agent_id text collate "C" not null check (char_length(agent_id) <= 64),
    task_type text collate "C" not null check (char_length(task_type) <= 64),
    model_id text collate "C" not null check (char_length(model_id) <= 255)
);
create index past_feedback_died_idx on past_feedback (died);
create table past_messages (
    tenant_id uuid not null,
    born xid8 not null,
    died xid8 not null default pg_current_xact_id(),
    create_time timestamptz not null,
    latency_ms int not null,
    outcome text not null check (char_length(outcome) <= 32),
    agent_id text collate "C" not null check (char_length(agent_id) <= 64),
    task_type text collate "C" not null check (char_length(task_type) <= 64),
    model_id text collate "C" not null check (char_length(model_id) <= 255)
);
create index past_messages_died_idx on past_messages (died);

-- A row's xid is the transaction in which its countable part became what it is. These see to it, whatever a writer
-- says; '0' alone is taken, which stands for "before anything that this server did". What was born in the very
-- transaction that changes it was never there for anybody else.
create function remember_feedback() returns trigger
language plpgsql
set search_path from current
as $$
begin
    if not old.pending and old.revoke_time is null and (old.counts or old.speaks)
        and old.xid <> pg_current_xact_id()
    then
        insert into past_feedback (
            tenant_id, born, rating, event_time, counts, speaks, feedback_type, signal, agent_id, task_type, model_id
        ) values (
            old.tenant_id, old.xid, old.rating, old.event_time, old.counts, old.speaks, old.feedback_type, old.signal,
            old.agent_id, old.task_type, old.model_id
        );
    end if;
    if tg_op = 'DELETE' then
        return old;
    end if;
    new.xid := pg_current_xact_id();
    return new;
end
$$;
create trigger remember_change before update on feedback for each row
when (
    new.xid <> '0' and (
        old.xid, old.pending, old.revoke_time, old.counts, old.speaks, old.rating, old.event_time, old.feedback_type,
        old.signal, old.agent_id, old.task_type, old.model_id
    ) is distinct from (
        new.xid, new.pending, new.revoke_time, new.counts, new.speaks, new.rating, new.event_time, new.feedback_type,
        new.signal, new.agent_id, new.task_type, new.model_id
    )
)
execute function remember_feedback();
create trigger remember_delete before delete on feedback for each row execute function remember_feedback();

create function remember_message() returns trigger
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
create trigger remember_delete before delete on messages for each row execute function remember_message();

-- What a turn of the roll-up needs to know of a tenant: with which half-life its evidence is counted (0: no decay).
create table evidence_tenants (
    tenant_id uuid primary key,
    half_life_seconds double precision not null check (half_life_seconds between 0 and 1e12)
);
-- The task types that have evidence of their own: the first 1,000 of a tenant.
create table task_types (
    tenant_id uuid not null,
    task_type text collate "C" not null check (task_type ~ '^[a-z0-9][a-z0-9_.-]{0,63}$'),
    primary key (tenant_id, task_type)
);

-- explicit_* are the explicit votes without a thumb.
alter table evidence
    add column thumbs_up_n double precision not null default 0,
    add column thumbs_up_s double precision not null default 0,
    add column thumbs_down_n double precision not null default 0,
    add column thumbs_down_s double precision not null default 0,
    drop constraint evidence_finite,
    add constraint evidence_finite check (
        greatest(
            raw_s, explicit_n, explicit_s, explicit_q, thumbs_up_n, thumbs_up_s, thumbs_down_n, thumbs_down_s, self_n,
            self_s, self_q, implicit_n, implicit_s, implicit_q, regenerate_n, regenerate_s, copy_n, copy_s, continue_n,
            continue_s, abandon_n, abandon_s, decisions, calls, errors, latency_n, latency_ms_sum
        ) <= 1e15
        and least(
            raw_s, explicit_n, explicit_s, explicit_q, thumbs_up_n, thumbs_up_s, thumbs_down_n, thumbs_down_s, self_n,
            self_s, self_q, implicit_n, implicit_s, implicit_q, regenerate_n, regenerate_s, copy_n, copy_s, continue_n,
            continue_s, abandon_n, abandon_s, decisions, calls, errors, latency_n, latency_ms_sum
        ) >= -1e15
    );

-- What is left of something after an age: 1 without decay, and 0 after 200 half-lives.
create function remaining(age interval, half_life_seconds double precision) returns double precision
language sql immutable parallel safe
as $$
    select case
        when half_life_seconds = 0 then 1
        when extract(epoch from age)::double precision / half_life_seconds > 200 then 0
        else power(2, -extract(epoch from age)::double precision / half_life_seconds)
    end
$$;
-- A product that is 0 where it would be too small to be a number, which is an error here.
create function shrunk(value double precision, factor double precision) returns double precision
language sql immutable parallel safe
as $$
    select case when abs(value) < 1e-100 then 0 else value * factor end
$$;

alter table past_feedback enable row level security;
alter table past_feedback force row level security;
create policy tenant on past_feedback to imrs_app
    using (tenant_id = nullif(current_setting('imrs.tenant_id', true), '')::uuid);
alter table past_messages enable row level security;
alter table past_messages force row level security;
create policy tenant on past_messages to imrs_app
    using (tenant_id = nullif(current_setting('imrs.tenant_id', true), '')::uuid);
alter table evidence_tenants enable row level security;
alter table evidence_tenants force row level security;
create policy tenant on evidence_tenants to imrs_app
    using (tenant_id = nullif(current_setting('imrs.tenant_id', true), '')::uuid);
alter table task_types enable row level security;
alter table task_types force row level security;
create policy tenant on task_types to imrs_app
    using (tenant_id = nullif(current_setting('imrs.tenant_id', true), '')::uuid);

grant insert on past_feedback, past_messages to imrs_app;
grant select, insert, update, delete on past_feedback, past_messages, evidence_tenants, task_types to imrs_system;

-- migrate:down

drop function shrunk(double precision, double precision);
drop function remaining(interval, double precision);

alter table evidence
    drop constraint evidence_finite,
    drop column thumbs_up_n,
    drop column thumbs_up_s,
    drop column thumbs_down_n,
    drop column thumbs_down_s,
    add constraint evidence_finite check (
        greatest(
            raw_s, explicit_n, explicit_s, explicit_q, self_n, self_s, self_q, implicit_n, implicit_s, implicit_q,
            regenerate_n, regenerate_s, copy_n, copy_s, continue_n, continue_s, abandon_n, abandon_s,
            decisions, calls, errors, latency_n, latency_ms_sum
        ) <= 1e15
        and least(
            raw_s, explicit_n, explicit_s, explicit_q, self_n, self_s, self_q, implicit_n, implicit_s, implicit_q,
            regenerate_n, regenerate_s, copy_n, copy_s, continue_n, continue_s, abandon_n, abandon_s,
            decisions, calls, errors, latency_n, latency_ms_sum
        ) >= -1e15
    );

drop table task_types;
drop table evidence_tenants;

drop trigger remember_delete on messages;
drop trigger remember_change on messages;
drop function remember_message();
drop trigger remember_delete on feedback;
drop trigger remember_change on feedback;
drop function remember_feedback();
drop table past_messages;
drop table past_feedback;

create index feedback_cell_idx on feedback (tenant_id, task_type, model_id, agent_id);
-- The other way of counting starts anew too.
set local role imrs_system;
delete from evidence;
delete from rollup_state;
reset role;
alter table feedback drop column counts, drop column speaks;
