-- Whoever may execute a trigger's function can put it on a table of their own: everybody could have written events.

revoke execute on function payments_write_event, payments_raise_version from public;

-- The ledger's history is only ever added to, and data-service needs no merchant.
revoke update on routed_events, attempts, parked_records from everhook_data;
grant update (resolved_at) on parked_records to everhook_data;
revoke select on merchants from everhook_data;
