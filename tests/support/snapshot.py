"""What a database consists of, as text that can be compared."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import psycopg

_PARTS = """
select format('%s %s %s %s', relkind, relname, reloptions, pg_get_partkeydef(oid))
from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p', 'S', 'v', 'm')
union all
select format('row-level security %s %s %s', relname, relrowsecurity, relforcerowsecurity)
from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
union all
select format('partition %s %s', relname, pg_get_expr(relpartbound, oid))
from pg_class where relnamespace = 'public'::regnamespace and relispartition
union all
select format(
    'column %s.%s %s %s %s %s %s', attrelid::regclass, attname, format_type(atttypid, atttypmod), attnotnull,
    attcollation::regcollation, attgenerated, pg_get_expr(adbin, adrelid)
)
from pg_attribute
join pg_class on pg_class.oid = attrelid
left join pg_attrdef on adrelid = attrelid and adnum = attnum
where relnamespace = 'public'::regnamespace and relkind in ('r', 'p') and attnum > 0 and not attisdropped
union all
select format('constraint %s %s %s', conrelid::regclass, conname, pg_get_constraintdef(oid))
from pg_constraint where connamespace = 'public'::regnamespace
union all
select indexdef from pg_indexes where schemaname = 'public'
union all
select format('policy %s', pg_policies) from pg_policies where schemaname = 'public'
union all
select pg_get_functiondef(oid) from pg_proc where pronamespace = 'public'::regnamespace
union all
select format('trigger %s', pg_get_triggerdef(oid)) from pg_trigger where not tgisinternal
union all
select format('grant %s %s %s', relname, grantee::regrole, privilege_type)
from pg_class, aclexplode(coalesce(relacl, acldefault('r', relowner)))
where relnamespace = 'public'::regnamespace and relkind in ('r', 'p')
union all
select format('grant %s %s %s', pg_proc.oid::regprocedure, grantee::regrole, privilege_type)
from pg_proc, aclexplode(coalesce(proacl, acldefault('f', proowner)))
where pronamespace = 'public'::regnamespace
union all
select format('grant %s %s %s', nspname, grantee::regrole, privilege_type)
from pg_namespace, aclexplode(nspacl)
where nspname = 'public'
"""


def snapshot(connection: psycopg.Connection) -> set[str]:
    """Every table, column, constraint, index, policy, function, trigger and grant, each as one text."""
    return {text for (text,) in connection.execute(_PARTS)}
