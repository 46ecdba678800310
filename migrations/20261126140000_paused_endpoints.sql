-- Whoever moves house wants nothing for a while, and all of it afterwards: an endpoint is paused, what comes meanwhile is
-- parked, and what becomes of that is chosen when the endpoint is enabled again.

alter table endpoints
    drop constraint endpoints_state_known,
    add constraint endpoints_state_known check (state in ('enabled', 'paused', 'disabled'));

-- What was declined stays parked until somebody has it resent, so nobody who looks for what may go on looks at it.
drop index deliveries_parked;
create index deliveries_parked on deliveries (endpoint_id, delivery_id) where state = 'parked' and reason <> 'declined';
