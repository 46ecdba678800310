-- Lists are read newest first, of one merchant or of one endpoint: their cost must not grow with what the others have.

create index domain_events_merchant on domain_events (merchant_id, event_id);
create index deliveries_endpoint on deliveries (endpoint_id, delivery_id);

create function id_made_at(id text) returns timestamptz
    language sql immutable parallel safe
    return to_timestamp(('x' || left(right(id, 32), 12))::bit(48)::bigint / 1000.0);

comment on function id_made_at is 'The moment that a time-ordered id carries, in milliseconds.';
