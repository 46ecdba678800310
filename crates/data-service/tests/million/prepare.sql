-- Partitions of thirty days, merchants with two endpoints each, and the moments of the events. The product makes the
-- partitions of days past where it finds rows of them.

insert into attempts (attempt_id, delivery_id, claim, number, began_at, outcome)
select new_id('att_', now() - make_interval(days => d)), '', 1, 1, now(), '' from generate_series(1, 30) as d;

insert into deliveries (delivery_id, event_id, endpoint_id, state, claim, attempts, due_at)
select new_id('dlv_', now() - make_interval(days => d)), '', '', 'pending', 1, 1, now() from generate_series(1, 30) as d;

insert into routed_events (event_id, invocation_id, from_cdc, fan_out, delivery_ids, handled_at)
select new_id('evt_', now() - make_interval(days => d)), '', true, 0, '{}', now() from generate_series(1, 30) as d;

insert into domain_events
    (event_id, event_type, object_type, object_id, object_version, merchant_id, occurred_at, xid)
select new_id('evt_', now() - make_interval(days => d)), 'x', '', '', 1, '', now(), '3' from generate_series(1, 30) as d;

select ensure_partitions(60);

delete from attempts where delivery_id = '';

delete from deliveries where event_id = '';

delete from routed_events where invocation_id = '';

delete from domain_events where event_type = 'x';

insert into merchants (merchant_id, name) select new_id('mer_', now()), 'Bakery' from generate_series(1, 49);

insert into endpoints (endpoint_id, merchant_id, url, state, disabled_reason)
select new_id('ep_', now()), merchant_id, 'https://example.com', case when side = 1 then 'disabled' else 'enabled' end,
    case when side = 1 then 'by the test' end
from merchants, generate_series(0, 1) as side
where not exists (select from endpoints p where p.merchant_id = merchants.merchant_id);

create table old as
select n, at,
    lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || '70008' || lpad(to_hex(n), 15, '0') as id,
    (select array_agg(merchant_id order by merchant_id) from merchants)[n / 4 % 50 + 1] as merchant_id
from (select n, now() - interval '30 days' + n * (interval '30 days' - interval '1 hour') / :events as at
    from generate_series(1, :events) as n) as moments;

create table old_endpoints as
select merchant_id, side, endpoint_id
from (select merchant_id, array_agg(endpoint_id order by endpoint_id) as ids from endpoints group by 1) as of,
    generate_series(0, 1) as side, lateral (select ids[least(side + 1, cardinality(ids))] as endpoint_id) as one;

analyze old, old_endpoints;
