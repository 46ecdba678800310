-- An endpoint that is slow, failing, or wants no more than so many webhooks a second must cost the others nothing, and be
-- spared: what it lets through is kept in one place, for all consumers.

alter table endpoints
    add column rate_limit integer,
    add constraint endpoints_rate_limit_range check (rate_limit between 1 and 1000);

comment on column endpoints.rate_limit is 'Attempts a second; null is without limit.';

create table gates (
    endpoint_id text collate "C" primary key,
    rate_limit integer,
    free_slot_at timestamptz not null default '-infinity',
    failures integer not null default 0,
    failing_since timestamptz,
    disable_at timestamptz,
    probe_at timestamptz,
    probes integer not null default 0,
    constraint gates_failing_whole check ((failing_since is null) = (failures = 0)),
    constraint gates_open_when_failing check (probe_at is null or failures > 0)
);

comment on table gates is
    'Of each endpoint that has failed or has a rate limit. One that is missing lets everything through.';
comment on column gates.rate_limit is 'For which the slots were given; with another one they are void.';
comment on column gates.free_slot_at is 'The first moment to come back at that nobody has.';
comment on column gates.failures is 'Failed attempts without a success between them.';
comment on column gates.disable_at is 'A failure after this moment, without a success before it, disables the endpoint.';
comment on column gates.probe_at is 'Set while the circuit is open: before it, nothing is sent; then one attempt tries.';

alter table deliveries
    add column slot_at timestamptz,
    add column slot_rate integer,
    add constraint deliveries_slot_whole check ((slot_at is null) = (slot_rate is null));

comment on column deliveries.slot_at is
    'When its next POST leaves, if it waits for that in the rate of its endpoint; it is due a moment before.';

grant select, insert, update on gates to everhook_data;
grant select on gates to everhook_portal;

-- Whoever enables an endpoint again has done something about it: what failed before must not disable it at once.
create function endpoints_forget_failures() returns trigger
    language plpgsql
    security definer
    set search_path = pg_catalog, public, pg_temp
as $$
begin
    update gates
    set failures = 0, failing_since = null, disable_at = null, probe_at = null, probes = 0
    where endpoint_id = new.endpoint_id and failures > 0;
    return null;
end;
$$;

revoke execute on function endpoints_forget_failures from public;

create trigger endpoints_forget_failures
    after update of state on endpoints
    for each row when (new.state = 'enabled' and old.state <> 'enabled')
    execute function endpoints_forget_failures();
