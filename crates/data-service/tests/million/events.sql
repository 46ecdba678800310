-- Payments, their events, and how these were routed: each to two endpoints.

alter table payments disable trigger all;

insert into payments (payment_id, merchant_id, amount, currency, status, version, created_at)
select 'pay_' || id, merchant_id, 1000, 'USD', 'succeeded', 4, at from old where n % 4 = 0 order by n;
alter table payments enable always trigger payments_event_on_insert;
alter table payments enable always trigger payments_event_on_status;
alter table payments enable always trigger payments_version_on_insert;
alter table payments enable always trigger payments_version_on_update;

insert into domain_events
    (event_id, event_type, object_type, object_id, object_version, merchant_id, occurred_at, xid)
select 'evt_' || id, 'payment.succeeded', 'payment', 'pay_' || first_value(id) over (partition by n / 4 order by n),
    n % 4 + 1, merchant_id, at, '3'
from old order by n;

insert into routed_events (event_id, invocation_id, from_cdc, fan_out, delivery_ids, handled_at, routed_at)
select 'evt_' || id, 'inv_' || id, true, 2, array['dlv_' || overlay(id placing '0' from 18 for 1),
    'dlv_' || overlay(id placing '1' from 18 for 1)], at, at
from old order by n;
