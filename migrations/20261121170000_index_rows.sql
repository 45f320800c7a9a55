-- migrate:up

-- Not strict, since only then PostgreSQL expands them where they are called: without that, a call costs more than
-- everything else that is done with a row.

-- A decayed sum as the index holds it: four bytes. What has faded to nothing is 0, for no such float is smaller.
create function evidence_sum(double precision) returns bytea
immutable parallel safe language sql
return float4send((case when abs($1) < 1e-30 then 0 else $1 end)::real);

-- When a sum was made, in seconds since 2026: four bytes reach from 1957 to 2094.
create function evidence_time(timestamptz) returns int
immutable parallel safe language sql
return greatest(least(date_part('epoch', $1 - timestamptz '2026-01-01 00:00:00+00'), 2147483647), -2147483648)::int;

-- migrate:down

drop function evidence_time(timestamptz);
drop function evidence_sum(double precision);
