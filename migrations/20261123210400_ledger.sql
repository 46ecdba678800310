-- What became of every event. Tables are partitioned by their time-ordered ids, so that age costs nothing.

create table routed_events (
    event_id text collate "C" not null,
    invocation_id text not null,
    from_cdc boolean not null,
    fan_out integer not null,
    delivery_ids text[] not null,
    committed_at timestamptz,
    captured_at timestamptz,
    handled_at timestamptz not null,
    routed_at timestamptz not null default clock_timestamp(),
    primary key (event_id),
    constraint routed_events_fan_out_counts check (fan_out = cardinality(delivery_ids))
) partition by range (event_id);

create table routed_events_default partition of routed_events default;

comment on column routed_events.fan_out is 'How many deliveries the event has; 0 means filtered: nobody wants it.';
comment on column routed_events.invocation_id is 'Kept only so that a replay of open gets its own answer.';

create table deliveries (
    delivery_id text collate "C" not null,
    event_id text collate "C" not null,
    endpoint_id text collate "C" not null,
    state text not null,
    reason text,
    claim integer not null,
    attempts integer not null,
    unknowns integer not null default 0,
    due_at timestamptz not null,
    owner text,
    begun_at timestamptz,
    lease_until timestamptz,
    ended_at timestamptz,
    primary key (delivery_id),
    constraint deliveries_state_known check (state in (
        'pending', 'held', 'delivered', 'parked', 'exhausted', 'superseded')),
    constraint deliveries_in_flight_whole check (
        (begun_at is null) = (lease_until is null) and (begun_at is null) = (owner is null)),
    constraint deliveries_reason_when_stopped check ((state in ('parked', 'exhausted')) = (reason is not null))
) partition by range (delivery_id);

create table deliveries_default partition of deliveries default;

create index deliveries_due on deliveries (due_at) where state = 'pending';
create index deliveries_parked on deliveries (endpoint_id) where state = 'parked';

comment on column deliveries.begun_at is 'Set while an attempt is begun and unrecorded; owner is the invocation that makes it.';

create table attempts (
    attempt_id text collate "C" not null,
    delivery_id text collate "C" not null,
    claim integer not null,
    number integer not null,
    began_at timestamptz not null,
    duration_ms bigint,
    outcome text not null,
    status smallint,
    detail text,
    recorded_at timestamptz not null default clock_timestamp(),
    primary key (attempt_id)
) partition by range (attempt_id);

create table attempts_default partition of attempts default;

create index attempts_delivery_id on attempts (delivery_id);

comment on table attempts is 'Attempts that have ended: recorded, or closed as unknown because whoever began them died.';

create table parked_records (
    parked_id text collate "C" primary key,
    reason text not null,
    detail text,
    topic text,
    kafka_partition integer,
    kafka_offset bigint,
    key bytea,
    value bytea not null,
    event_id text collate "C",
    parked_at timestamptz not null default clock_timestamp(),
    resolved_at timestamptz,
    constraint parked_records_reason_known check (reason in ('unreadable', 'unknown_event', 'before_horizon'))
);

-- A replayed invocation parks the same record again: once is enough.
create unique index parked_records_position
    on parked_records (topic, kafka_partition, kafka_offset, sha256(value)) nulls not distinct;
create index parked_records_unknown on parked_records (event_id) where reason = 'unknown_event' and resolved_at is null;

create table horizon (
    single boolean primary key default true,
    event_id text collate "C" not null,
    constraint horizon_single check (single)
);

comment on table horizon is 'One row: below this event the sweep looks at nothing, and a record is parked as before_horizon.';

insert into horizon (event_id) values (lowest_id('evt_', 'epoch'));

create table sweep (
    single boolean primary key default true,
    routed_through text collate "C" not null,
    candidate_at timestamptz not null default clock_timestamp(),
    candidate_xid xid8 not null default pg_snapshot_xmax(pg_current_snapshot()),
    constraint sweep_single check (single)
);

comment on table sweep is
    'One row: every event below routed_through is routed. It moves up to candidate_at once no transaction from before candidate_xid can still commit, and everything below is routed.';

insert into sweep (routed_through) values (lowest_id('evt_', 'epoch'));

create table leases (
    name text primary key,
    holder text not null,
    until timestamptz not null
);
