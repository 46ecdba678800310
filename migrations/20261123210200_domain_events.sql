-- An event exists if and only if its payment change committed: the trigger writes it in the same transaction.

create table domain_events (
    event_id text collate "C" not null,
    event_type text not null,
    object_type text not null,
    object_id text collate "C" not null,
    object_version bigint not null,
    merchant_id text collate "C" not null,
    occurred_at timestamptz not null,
    traceparent text,
    snapshot jsonb,
    xid xid8 not null,
    primary key (event_id),
    constraint domain_events_event_type_form check (
        event_type <> '' and translate(event_type, 'abcdefghijklmnopqrstuvwxyz0123456789_.', '') = '')
) partition by range (event_id);

create table domain_events_default partition of domain_events default;

create index domain_events_object on domain_events (object_id, object_version);

create function payments_write_event() returns trigger
    language plpgsql
    security definer
    set search_path = ''
as $$
declare
    moment constant timestamptz := pg_catalog.clock_timestamp();
    object jsonb := pg_catalog.to_jsonb(new);
    trace text := pg_catalog.current_setting('everhook.traceparent', true);
    kind constant text := case when tg_op = 'INSERT' then 'created' else new.status end;
begin
    -- A malformed traceparent must never fail a payment. Its form is checked without a regular expression, which
    -- PostgreSQL would compile anew for each payment.
    if pg_catalog.length(trace) <> 55
        or pg_catalog.translate(trace, '123456789abcdef', '000000000000000')
            <> '00-00000000000000000000000000000000-0000000000000000-00'
        or pg_catalog.substr(trace, 1, 3) <> '00-'
        or pg_catalog.substr(trace, 4, 32) = '00000000000000000000000000000000'
        or pg_catalog.substr(trace, 37, 16) = '0000000000000000' then
        trace := null;
    end if;
    -- A record over Kafka's limit would stop the relay.
    if pg_catalog.pg_column_size(object) > 65536 then
        object := null;
    end if;
    insert into public.domain_events
        (event_id, event_type, object_type, object_id, object_version, merchant_id, occurred_at, traceparent, snapshot, xid)
    values
        (public.new_id('evt_', moment), 'payment.' || kind, 'payment', new.payment_id, new.version, new.merchant_id,
         moment, trace, object, pg_catalog.pg_current_xact_id());
    return null;
end;
$$;

create trigger payments_event_on_insert after insert on payments
    for each row execute function payments_write_event();
create trigger payments_event_on_status after update on payments
    for each row when (old.status is distinct from new.status) execute function payments_write_event();
alter table payments enable always trigger payments_event_on_insert;
alter table payments enable always trigger payments_event_on_status;

create publication everhook_events for table domain_events
    with (publish = 'insert', publish_via_partition_root = true);
