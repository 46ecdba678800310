-- Daily partitions, made ahead of time. A missing one never fails a payment: the default partition takes the row,
-- and the rows move when the partition is made.

create function ensure_partitions(days_ahead integer) returns integer
    language plpgsql
    security definer
    set search_path = pg_catalog, public, pg_temp
as $$
declare
    parent record;
    day date;
    name text;
    low text;
    high text;
    has_strays boolean;
    made integer := 0;
begin
    for parent in
        select * from (values
            ('domain_events', 'event_id', 'evt_'), ('routed_events', 'event_id', 'evt_'),
            ('deliveries', 'delivery_id', 'dlv_'), ('attempts', 'attempt_id', 'att_')
        ) as parents (table_name, key, prefix)
    loop
        for day in select d::date from generate_series(
            date_trunc('day', now() at time zone 'utc'),
            date_trunc('day', now() at time zone 'utc') + make_interval(days => days_ahead), '1 day') as d
        loop
            name := parent.table_name || '_' || to_char(day, 'YYYYMMDD');
            continue when to_regclass('public.' || name) is not null;
            low := lowest_id(parent.prefix, day::timestamp at time zone 'utc');
            high := lowest_id(parent.prefix, (day + 1)::timestamp at time zone 'utc');
            execute format('lock table public.%I in share row exclusive mode', parent.table_name || '_default');
            execute format('select exists (select from public.%I where %I >= %L and %I < %L)',
                parent.table_name || '_default', parent.key, low, parent.key, high) into has_strays;
            if has_strays then
                execute format('create temporary table strays as select * from public.%I where %I >= %L and %I < %L',
                    parent.table_name || '_default', parent.key, low, parent.key, high);
                execute format('delete from public.%I where %I >= %L and %I < %L',
                    parent.table_name || '_default', parent.key, low, parent.key, high);
            end if;
            execute format('create table public.%I partition of public.%I for values from (%L) to (%L)',
                name, parent.table_name, low, high);
            if has_strays then
                execute format('insert into public.%I select * from pg_temp.strays', parent.table_name);
                drop table pg_temp.strays;
            end if;
            made := made + 1;
        end loop;
    end loop;
    return made;
end;
$$;

revoke execute on function ensure_partitions from public;

select ensure_partitions(1);
