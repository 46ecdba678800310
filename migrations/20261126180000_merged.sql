-- Events and their routes of a range, side by side. A plan that is kept was made when today's partitions were small, and one
-- made anew guesses how many rows have come since they were analyzed: from either, PostgreSQL compares each event of the range
-- with each route, which took seconds for ten thousand of each. Both have an index in the order of the id, so they are merged:
-- the cost grows with the range, whatever was guessed.

create function unrouted_events(lowest text, below text, most bigint) returns setof text
    language sql
    stable
    set enable_nestloop = off
    set enable_hashjoin = off
    set enable_seqscan = off
as $$
    select e.event_id
    from public.domain_events e
    where e.event_id >= lowest and e.event_id < below
        and not exists (
            select from public.routed_events r
            where r.event_id = e.event_id and r.event_id >= lowest and r.event_id < below)
    order by e.event_id
    limit most;
$$;

comment on function unrouted_events is
    'Events from one id until before another that nobody has routed: the oldest ones, so many of them, or all for null.';

create function routes_of_events(lowest text, below text)
    returns table (event_id text, occurred_at timestamptz, fan_out integer, delivery_ids text[])
    language sql
    stable
    set enable_nestloop = off
    set enable_hashjoin = off
    set enable_seqscan = off
as $$
    select e.event_id, e.occurred_at, r.fan_out, r.delivery_ids
    from public.domain_events e
    left join public.routed_events r on r.event_id = e.event_id and r.event_id >= lowest and r.event_id < below
    where e.event_id >= lowest and e.event_id < below;
$$;

comment on function routes_of_events is
    'Events from one id until before another, each with its route; null where nobody has routed it.';
