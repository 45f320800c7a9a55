-- Whoever writes spent or reserved amounts locks the budgets first, in the order of their ids, and touches their
-- reservations only under that lock: so amounts and rows agree, and nobody waits in a circle. A locked row is read as
-- it is now, not as it was when the statement began.

-- name: reserve
with held as materialized (
    select *, reset_time <= now() as ended, window_end(reset_time, budget_window) as next_reset_time
    from budgets
    where tenant_id = %(tenant_id)s and agent_id in ('', %(agent_id)s)
    order by budget_id
    for update
), expired as (
    delete from budget_reservations as kept using held
    where kept.tenant_id = held.tenant_id and kept.budget_id = held.budget_id
      and kept.expire_time <= now()
    returning kept.budget_id, kept.usd, kept.tokens
), settled as (
    update budget_reservations as kept
    set usd = least(ended.usd, 999999999), tokens = ended.tokens
    from held, budget_reservations as was,
        unnest(%(ended_ids)s::uuid[], %(ended_usd)s::numeric[], %(ended_tokens)s::bigint[])
            as ended (reservation_id, usd, tokens)
    where was.tenant_id = held.tenant_id and was.budget_id = held.budget_id
      and was.reservation_id = ended.reservation_id
      and kept.tenant_id = was.tenant_id and kept.budget_id = was.budget_id
      and kept.reservation_id = was.reservation_id and kept.expire_time > now()
    returning kept.budget_id, was.usd - kept.usd as usd, was.tokens - kept.tokens as tokens
), returned as (
    select budget_id, sum(usd) as usd, sum(tokens) as tokens
    from (select * from expired union all select * from settled) as back
    group by budget_id
), free as (
    select
        held.tenant_id, held.budget_id, held.agent_id, held.limit_usd, held.limit_tokens,
        held.budget_window as "window", held.next_reset_time as reset_time, held.level as old_level, held.version,
        held.ended or returned.budget_id is not null as moved,
        held.ended,
        case when held.ended then 0 else held.spent_usd end as spent_usd,
        case when held.ended then 0 else held.spent_tokens end as spent_tokens,
        case when held.ended then 0 else held.unpriced_calls end as unpriced_calls,
        held.reserved_usd - coalesce(returned.usd, 0) as reserved_usd,
        held.reserved_tokens - coalesce(returned.tokens, 0) as reserved_tokens
    from held left join returned using (budget_id)
), judged as (
    select
        *,
        coalesce(spent_tokens + reserved_tokens + %(tokens)s::bigint > limit_tokens, false)
            or limit_usd is not null and (
                %(usd)s::numeric is null or %(usd)s > 0 and spent_usd + reserved_usd + %(usd)s > limit_usd
            ) as refuses
    from free
), verdict as (
    select coalesce(bool_or(refuses), false) as refused from judged
), written as (
    update budgets
    set spent_usd = judged.spent_usd, spent_tokens = judged.spent_tokens, unpriced_calls = judged.unpriced_calls,
        reset_time = judged.reset_time,
        reserved_usd = least(judged.reserved_usd + case when refused then 0 else coalesce(%(usd)s, 0) end, 999999999),
        reserved_tokens = judged.reserved_tokens + case when refused then 0 else %(tokens)s end
    from judged, verdict
    where budgets.tenant_id = judged.tenant_id and budgets.budget_id = judged.budget_id and (moved or not refused)
    returning budgets.budget_id, budgets.level
), noted as (
    insert into budget_reservations (tenant_id, budget_id, reservation_id, usd, tokens, expire_time)
    select
        tenant_id, budget_id, %(reservation_id)s::uuid, coalesce(%(usd)s, 0), %(tokens)s,
        now() + %(seconds)s * interval '1 second'
    from judged, verdict
    where not refused
)
select judged.*, coalesce(written.level, old_level) as level
from judged left join written using (budget_id)

-- name: charge
with held as materialized (
    select *, reset_time <= now() as ended, window_end(reset_time, budget_window) as next_reset_time
    from budgets
    where tenant_id = %(tenant_id)s and agent_id in ('', %(agent_id)s)
      -- What was called before the window began, as history that is imported, is not its affair and waits for nobody.
      and (
          %(reservation_id)s::uuid is not null
          or coalesce(%(create_time)s::timestamptz >= window_end(reset_time, budget_window) - budget_window, true)
      )
    order by budget_id
    for update
), released as (
    delete from budget_reservations as kept using held
    where kept.tenant_id = held.tenant_id and kept.budget_id = held.budget_id
      and kept.reservation_id = %(reservation_id)s
    returning kept.budget_id, kept.usd, kept.tokens
), due as (
    select
        held.tenant_id, held.budget_id, held.agent_id, held.ended, held.next_reset_time, held.level as old_level,
        coalesce(%(create_time)s >= held.next_reset_time - held.budget_window, true) as counts,
        released.budget_id is not null as was_reserved,
        coalesce(released.usd, 0) as released_usd,
        coalesce(released.tokens, 0) as released_tokens
    from held left join released using (budget_id)
)
update budgets
set spent_usd = least(
        greatest(
            case when ended then 0 else spent_usd end + case when counts then %(usd)s::numeric else 0 end, 0
        ),
        999999999
    ),
    spent_tokens = greatest(
        case when ended then 0 else spent_tokens end + case when counts then %(tokens)s::bigint else 0 end, 0
    ),
    unpriced_calls = greatest(
        case when ended then 0 else unpriced_calls end + case when counts then %(unpriced_calls)s::int else 0 end, 0
    ),
    reserved_usd = reserved_usd - released_usd,
    reserved_tokens = reserved_tokens - released_tokens,
    reset_time = next_reset_time
from due
where budgets.tenant_id = due.tenant_id and budgets.budget_id = due.budget_id and (counts or ended or was_reserved)
returning budgets.agent_id, budgets.tenant_id, ended, old_level, level

-- name: lead
select pg_try_advisory_xact_lock(hashtextextended('imrs.budgets', 0))

-- name: renew
-- Windows that ended while Route keeps to what was spent in them, and what calls held that nobody ended.
with due as (
    (select tenant_id, budget_id from budgets where level <> 'WITHIN' and reset_time <= now() limit %(most)s)
    union
    (select tenant_id, budget_id from budget_reservations where expire_time <= now() limit %(most)s)
), held as materialized (
    select
        budgets.*, reset_time <= now() as ended, window_end(reset_time, budget_window) as next_reset_time
    from budgets join due using (tenant_id, budget_id)
    order by tenant_id, budget_id
    for update of budgets
), expired as (
    delete from budget_reservations as kept using held
    where kept.tenant_id = held.tenant_id and kept.budget_id = held.budget_id and kept.expire_time <= now()
    returning kept.tenant_id, kept.budget_id, kept.usd, kept.tokens
), returned as (
    select tenant_id, budget_id, sum(usd) as usd, sum(tokens) as tokens from expired group by tenant_id, budget_id
)
update budgets
set spent_usd = case when ended then 0 else budgets.spent_usd end,
    spent_tokens = case when ended then 0 else budgets.spent_tokens end,
    unpriced_calls = case when ended then 0 else budgets.unpriced_calls end,
    reset_time = next_reset_time,
    reserved_usd = budgets.reserved_usd - coalesce(returned.usd, 0),
    reserved_tokens = budgets.reserved_tokens - coalesce(returned.tokens, 0)
from held left join returned using (tenant_id, budget_id)
where budgets.tenant_id = held.tenant_id and budgets.budget_id = held.budget_id
returning budgets.agent_id, budgets.tenant_id, ended, held.level as old_level, budgets.level

-- name: of
select *, budget_window as "window"
from budgets
where tenant_id = %(tenant_id)s and agent_id in ('', %(agent_id)s)

-- name: lock_tenant
-- Of two who set a first budget at once, the second finds that of the first.
select pg_advisory_xact_lock(hashtextextended('imrs.budgets.' || %(tenant_id)s, 0))

-- name: lock
select *, budget_window as "window" from budgets
where tenant_id = %(tenant_id)s and budget_id = %(budget_id)s
for update

-- name: same
select *, budget_window as "window" from budgets
where tenant_id = %(tenant_id)s and agent_id = %(agent_id)s and budget_window = %(window)s

-- name: lock_same
select *, budget_window as "window" from budgets
where tenant_id = %(tenant_id)s and agent_id = %(agent_id)s and budget_window = %(window)s
for update

-- name: put
insert into budgets (tenant_id, budget_id, agent_id, limit_usd, limit_tokens, budget_window, reset_time)
values (
    %(tenant_id)s, %(budget_id)s, %(agent_id)s, %(limit_usd)s, %(limit_tokens)s, %(window)s::interval,
    now() + %(window)s::interval
)
on conflict (tenant_id, budget_id) do update
set limit_usd = excluded.limit_usd,
    limit_tokens = excluded.limit_tokens,
    budget_window = excluded.budget_window,
    (reset_time, spent_usd, spent_tokens, unpriced_calls) = (
        select
            case when other then excluded.reset_time else window_end(budgets.reset_time, budgets.budget_window) end,
            case when other or ended then 0 else budgets.spent_usd end,
            case when other or ended then 0 else budgets.spent_tokens end,
            case when other or ended then 0 else budgets.unpriced_calls end
        from (
            select budgets.budget_window <> excluded.budget_window as other, budgets.reset_time <= now() as ended
        ) as changed
    ),
    update_time = now(),
    version = budgets.version + 1
returning *, budget_window as "window"

-- name: delete
delete from budgets where tenant_id = %(tenant_id)s and budget_id = %(budget_id)s

-- name: list
select
    *, budget_window as "window"
from (
    select
        tenant_id, budget_id, agent_id, limit_usd, limit_tokens, budget_window, reserved_usd, reserved_tokens, version,
        window_end(reset_time, budget_window) as reset_time,
        case when reset_time > now() then spent_usd else 0 end as spent_usd,
        case when reset_time > now() then spent_tokens else 0 end as spent_tokens,
        case when reset_time > now() then unpriced_calls else 0 end as unpriced_calls,
        case
            when reset_time > now() then level
            when limit_tokens = 0 then 'EXHAUSTED'
            when limit_usd = 0 then 'SPENT'
            else 'WITHIN'
        end as level
    from budgets
) as as_of_now
where (%(tenant_id)s::uuid is null or tenant_id = %(tenant_id)s)
  and (%(agent_id)s = '' or agent_id = %(agent_id)s)
  /* page */
