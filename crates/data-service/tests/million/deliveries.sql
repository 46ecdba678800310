-- Deliveries and their attempts. Most are delivered; what is unfinished is not older than ten days.

insert into deliveries (delivery_id, event_id, endpoint_id, state, reason, claim, attempts, due_at, ended_at)
select 'dlv_' || overlay(id placing side::text from 18 for 1), 'evt_' || id, endpoint_id, state,
    case state when 'parked' then 'endpoint_disabled' when 'exhausted' then 'schedule' end, 1, 1,
    case when state = 'pending' then now() + n % 1000 * interval '1 minute' + interval '2 hours' else at end,
    case when state in ('delivered', 'exhausted', 'superseded') then at end
from old join old_endpoints using (merchant_id), lateral (
    select case when n % 100 = 7 then 'exhausted' when n % 200 = 9 then 'superseded'
        when n > :events * 2 / 3 and n % 50 = 3 and side = 1 then 'parked'
        when n > :events * 9 / 10 and n % 20 = 1 then 'pending' else 'delivered' end as state
) as s
order by n, side;

insert into attempts (attempt_id, delivery_id, claim, number, began_at, duration_ms, outcome, status, recorded_at)
select 'att_' || overlay(id placing side::text from 18 for 1), 'dlv_' || overlay(id placing side::text from 18 for 1),
    1, 1, at, 12, 'delivered', 204, at
from old cross join generate_series(0, 1) as side
order by n, side;
