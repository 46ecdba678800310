-- Days that are older than they are kept for are dropped, and never one of which something is still to be done. Whoever
-- drops partitions locks their table, so it is one day at a time, and given up at once where somebody stands in the way.

create function move_horizon(keep interval) returns boolean
    language plpgsql
    strict
    security definer
    set search_path = pg_catalog, public, pg_temp
    -- Whoever reads the horizon queues behind whoever waits for the lock.
    set lock_timeout = '400ms'
as $$
declare
    -- Midnight, UTC: whole days are dropped.
    wanted constant text := lowest_id('evt_', date_trunc('day', now() - keep, 'UTC'));
begin
    if keep < interval '7 days' then
        raise exception 'events are kept for 7 days at least: Kafka may bring each of them again';
    end if;
    if not exists (select from horizon h, sweep s where h.event_id < least(wanted, s.routed_through)) then
        return false;
    end if;
    -- Whoever resends an old delivery has looked at the horizon and is not done yet: its event must stay.
    lock table public.horizon in access exclusive mode;
    -- Invariant: no event below the horizon is unrouted, since none below routed_through is.
    update horizon h
    set event_id = least(wanted, s.routed_through)
    from sweep s
    where h.event_id < least(wanted, s.routed_through);
    return found;
end;
$$;

comment on function move_horizon is
    'Moves the horizon up to the first day that is kept, but to no event that may be unrouted; answers whether it moved.';

create function drop_day(parent text, day date, keep interval) returns text
    language plpgsql
    strict
    security definer
    set search_path = pg_catalog, public, pg_temp
    -- Payments queue behind whoever waits for the lock of domain_events.
    set lock_timeout = '400ms'
as $$
declare
    prefix constant text := case parent when 'domain_events' then 'evt_' when 'routed_events' then 'evt_'
        when 'deliveries' then 'dlv_' when 'attempts' then 'att_' end;
    name constant text := parent || '_' || to_char(day, 'YYYYMMDD');
    low constant text := lowest_id(prefix, day::timestamp at time zone 'UTC');
    high constant text := lowest_id(prefix, (day + 1)::timestamp at time zone 'UTC');
    -- An event's deliveries are made at any later time, by a clock that may differ by a day.
    first_delivery constant text := lowest_id('dlv_', (day - 1)::timestamp at time zone 'UTC');
    after_last_delivery constant text := lowest_id('dlv_', (day + 2)::timestamp at time zone 'UTC');
    -- A branch for each state, since each has an index of its own, with its very condition. What is parked at a deleted
    -- endpoint, or declined, does not go on by itself.
    unfinished constant text := $sql$select exists (
        select from public.%1$I d where d.state = 'pending' and %2$s
        union all
        select from public.%1$I d where d.state = 'held' and %2$s
        union all
        select from public.%1$I d
        join public.endpoints p on p.endpoint_id = d.endpoint_id and p.deleted_at is null
        where d.state = 'parked' and d.reason <> 'declined' and %2$s)$sql$;
    is_kept boolean;
begin
    if prefix is null then
        raise exception '% has no days', parent;
    end if;
    if keep < interval '7 days' or (day + 1)::timestamp at time zone 'UTC' > now() - keep then
        return 'young';
    end if;
    -- Whoever makes partitions locks the same tables.
    perform pg_advisory_xact_lock(hashtextextended('everhook.ensure_partitions', 0));
    if not exists (
        select from pg_inherits
        where inhrelid = to_regclass('public.' || quote_ident(name))
            and inhparent = to_regclass('public.' || quote_ident(parent)))
    then
        return 'gone';
    end if;
    case parent
        when 'domain_events' then
            if (select event_id < high from horizon) then
                return 'above_horizon';
            end if;
            -- It should not be, but a clock that was set back makes such events.
            execute format('select exists (
                select from public.%I e where not exists (
                    select from public.routed_events r where r.event_id = e.event_id and r.event_id >= %L and r.event_id < %L))',
                name, low, high) into is_kept;
            if is_kept then
                return 'unrouted';
            end if;
        when 'routed_events' then
            if to_regclass('public.domain_events_' || to_char(day, 'YYYYMMDD')) is not null then
                return 'events_kept';
            end if;
        when 'deliveries' then
            -- Made around midnight, an event and its deliveries are of different days.
            if exists (
                select from generate_series(day - 1, day + 1, '1 day') as near
                where to_regclass('public.routed_events_' || to_char(near, 'YYYYMMDD')) is not null)
            then
                return 'events_kept';
            end if;
        when 'attempts' then
            if to_regclass('public.deliveries_' || to_char(day, 'YYYYMMDD')) is not null then
                return 'deliveries_kept';
            end if;
    end case;
    if parent in ('domain_events', 'routed_events') then
        execute format(unfinished, 'deliveries', format('d.delivery_id >= %L and d.event_id >= %L and d.event_id < %L',
            first_delivery, low, high)) into is_kept;
    elsif parent = 'attempts' then
        execute format(unfinished, 'deliveries', format(
            'd.delivery_id < %L and exists (select from public.%I a where a.delivery_id = d.delivery_id)',
            after_last_delivery, name)) into is_kept;
    else
        is_kept := false;
    end if;
    if is_kept then
        return 'unfinished';
    end if;
    execute format('lock table only public.%I in access exclusive mode', parent);
    -- Whoever waits for these would keep everybody waiting.
    execute format('lock table only public.%I, only public.%I in access exclusive mode nowait', name, parent || '_default');
    if parent = 'deliveries' then
        -- Only now, when nobody can take one of them up again. The indexes of the unfinished are short.
        execute format(unfinished, name, 'true') into is_kept;
        if is_kept then
            return 'unfinished';
        end if;
    end if;
    execute format('drop table public.%I', name);
    return 'dropped';
end;
$$;

comment on function drop_day is
    'Drops the partition of a day that is older than keep and of which nothing is to be done; answers dropped, or why not.';

revoke execute on function move_horizon, drop_day from public;
grant execute on function move_horizon, drop_day to everhook_data;
