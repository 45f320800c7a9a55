-- migrate:up

-- Makes the partition of a table for the month of a time, in UTC; says whether it was missing.
--
-- It runs as the owner, because the roles that serve requests own nothing and still must not lose a row for want
-- of a partition. The new table is built aside and attached: that lets inserts go on, where
-- `create table .. partition of` would block them. Nobody is granted anything on it, so its rows are reached
-- through the parent alone, and through the parent's policies. The bounds keep a made-up time inside an id from
-- growing tables for ever.
create function ensure_partition(parent text, month timestamptz) returns bool
language plpgsql
security definer
set search_path from current
set timezone = 'UTC'
set lock_timeout = '2s'
as $$
declare
    home constant text := current_schema();
    first constant timestamptz := date_trunc('month', month);
    child constant text := parent || to_char(first, '_YYYY_MM');
begin
    perform from pg_partitioned_table join pg_class on pg_class.oid = partrelid
    where relname = parent and relnamespace = home::regnamespace;
    if not found then
        raise undefined_table using message = format('%s is not a partitioned table', parent);
    end if;
    if first < '2020-01-01' or first > now() + interval '1 year' then
        raise datetime_field_overflow
            using message = format('%s has no partition for %s: too far from now', parent, to_char(first, 'YYYY-MM'));
    end if;
    perform pg_advisory_xact_lock(hashtextextended('imrs.partition.' || child, 0));
    -- Not by to_regclass, which may not yet see what the caller before us committed.
    perform from pg_class where relname = child and relnamespace = home::regnamespace;
    if found then
        return false;
    end if;
    execute format('create table %1$I.%2$I (like %1$I.%3$I including all)', home, child, parent);
    execute format('alter table %I.%I enable row level security', home, child);
    execute format('alter table %I.%I force row level security', home, child);
    execute format(
        'alter table %1$I.%2$I attach partition %1$I.%3$I for values from (%4$L) to (%5$L)',
        home, parent, child, first, first + interval '1 month'
    );
    return true;
end
$$;
revoke all on function ensure_partition(text, timestamptz) from public;
grant execute on function ensure_partition(text, timestamptz) to imrs_app, imrs_system;

-- migrate:down

drop function ensure_partition(text, timestamptz);
