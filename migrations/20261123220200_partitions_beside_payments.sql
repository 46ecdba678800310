-- Partitions are made beside payments: one that is created in place locks its table, and would wait for the longest
-- transaction with every payment behind it; one that is attached locks the default partition alone, and not for long.

create or replace function ensure_partitions(days_ahead integer) returns integer
    language plpgsql
    security definer
    set search_path = pg_catalog, public, pg_temp
    -- Whoever reads all partitions queues behind this.
    set lock_timeout = '3s'
as $$
declare
    today constant date := (now() at time zone 'utc')::date;
    parent record;
    day date;
    name text;
    low text;
    high text;
    has_strays boolean;
    oldest_stray date;
    made integer := 0;
begin
    -- Two processes side by side would wait for each other's locks.
    perform pg_advisory_xact_lock(hashtextextended('everhook.ensure_partitions', 0));
    for parent in
        select * from (values
            ('domain_events', 'event_id', 'evt_'), ('routed_events', 'event_id', 'evt_'),
            ('deliveries', 'delivery_id', 'dlv_'), ('attempts', 'attempt_id', 'att_')
        ) as parents (table_name, key, prefix)
    loop
        -- Rows of days past are in the default partition if nobody made partitions then.
        execute format('select (to_timestamp((''x'' || substr(min(%I), %L, 12))::bit(48)::bigint / 1000) at time zone ''utc'')::date
            from public.%I where %I >= %L',
            parent.key, length(parent.prefix) + 1, parent.table_name || '_default',
            parent.key, lowest_id(parent.prefix, (today - 90)::timestamp at time zone 'utc'))
            into oldest_stray;
        for day in select d::date from generate_series(least(today, oldest_stray), today + days_ahead, '1 day') as d
        loop
            name := parent.table_name || '_' || to_char(day, 'YYYYMMDD');
            continue when to_regclass('public.' || name) is not null;
            low := lowest_id(parent.prefix, day::timestamp at time zone 'utc');
            high := lowest_id(parent.prefix, (day + 1)::timestamp at time zone 'utc');
            execute format('lock table public.%I in access exclusive mode', parent.table_name || '_default');
            execute format('select exists (select from public.%I where %I >= %L and %I < %L)',
                parent.table_name || '_default', parent.key, low, parent.key, high) into has_strays;
            continue when day < today and not has_strays;
            execute format('create table public.%I (like public.%I including all)', name, parent.table_name);
            if has_strays then
                -- They were published when they were written.
                execute format('with strays as (delete from public.%I where %I >= %L and %I < %L returning *)
                    insert into public.%I select * from strays',
                    parent.table_name || '_default', parent.key, low, parent.key, high, name);
            end if;
            execute format('alter table public.%I attach partition public.%I for values from (%L) to (%L)',
                parent.table_name, name, low, high);
            made := made + 1;
        end loop;
    end loop;
    return made;
end;
$$;
