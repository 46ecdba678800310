-- A merchant wants to try an endpoint before anything has happened: an event for this endpoint alone, which goes the way
-- of all others. Its object is the endpoint, so that neither the table nor the message has a column more.

create function write_test_event(tested text) returns text
    language plpgsql
    security definer
    set search_path = ''
as $$
declare
    -- The sweep relies on it that the transaction's number is older than the id.
    number constant xid8 := pg_catalog.pg_current_xact_id();
    moment constant timestamptz := pg_catalog.clock_timestamp();
    made text;
begin
    insert into public.domain_events
        (event_id, event_type, object_type, object_id, object_version, merchant_id, occurred_at, snapshot, xid)
    select public.new_id('evt_', moment), 'everhook.test', 'test', p.endpoint_id, 1, p.merchant_id, moment,
        pg_catalog.jsonb_build_object('endpoint_id', p.endpoint_id, 'merchant_id', p.merchant_id), number
    from public.endpoints p
    where p.endpoint_id = tested and p.state = 'enabled' and p.deleted_at is null
    returning event_id into made;
    return made;
end;
$$;

comment on function write_test_event is
    'Writes a test event and answers its id; none if the endpoint is not enabled, or there is none.';

revoke execute on function write_test_event from public;
grant execute on function write_test_event to everhook_portal;
