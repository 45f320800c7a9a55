-- migrate:up

-- imrs_app serves one tenant, under row-level security; imrs_system serves all of them, for what cannot be done
-- tenant by tenant. Roles belong to the whole cluster: another database may have made them already, or may be
-- making them now.
do $$
begin
    begin
        if not exists (select from pg_roles where rolname = 'imrs_app') then
            create role imrs_app nologin;
        end if;
    exception when duplicate_object or unique_violation then null;
    end;
    begin
        if not exists (select from pg_roles where rolname = 'imrs_system') then
            create role imrs_system nologin bypassrls;
        end if;
    exception when duplicate_object or unique_violation then null;
    end;
    begin
        if not pg_has_role(current_user, 'imrs_app', 'set') then
            execute format('grant imrs_app to %I', current_user);
        end if;
        if not pg_has_role(current_user, 'imrs_system', 'set') then
            execute format('grant imrs_system to %I', current_user);
        end if;
    exception when unique_violation then null;
    end;
    if not (select rolbypassrls from pg_roles where rolname = 'imrs_system') then
        raise insufficient_privilege using message = 'role imrs_system may not bypass row-level security';
    end if;
exception when insufficient_privilege then
    raise insufficient_privilege using
        message = format('login %s cannot set up the roles imrs_app and imrs_system: %s', current_user, sqlerrm),
        hint = concat_ws(
            ' ',
            'An administrator must run once:',
            case when to_regrole('imrs_app') is null then 'create role imrs_app nologin;' end,
            case
                when to_regrole('imrs_system') is null then 'create role imrs_system nologin bypassrls;'
                else 'alter role imrs_system bypassrls;'
            end,
            format('grant imrs_app, imrs_system to %I;', current_user)
        );
end
$$;

do $$
begin
    execute format('grant usage on schema %I to imrs_app, imrs_system', current_schema());
end
$$;

grant select on schema_migrations to imrs_app, imrs_system;

-- migrate:down

revoke select on schema_migrations from imrs_app, imrs_system;

-- The roles stay: other databases of this cluster may use them.
do $$
begin
    execute format('revoke usage on schema %I from imrs_app, imrs_system', current_schema());
end
$$;
