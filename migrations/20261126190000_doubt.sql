-- Where the latest only is wanted, a delivery gives way to a later one of its object. Not while a POST of it may still arrive.

alter table deliveries add column doubt_until timestamptz;

comment on column deliveries.doubt_until is
    'Two minutes after an attempt was closed as unknown: by then its POST is over, for no time-out is longer than one.';
