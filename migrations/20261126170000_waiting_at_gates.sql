-- Thousands may wait at the gate of an endpoint that is slow or down. Each that came back by itself only to wait on would cost
-- as much as a delivery: they stay on the ledger until a success there, or the reconciler, lets them in.

alter table deliveries
    add column at_gate boolean not null default false,
    add constraint deliveries_at_gate_pending check (not at_gate or (state = 'pending' and begun_at is null));

comment on column deliveries.at_gate is
    'It waits at the gate of its endpoint, and nobody comes back for it by himself: it is to be let in.';

create index deliveries_at_gate on deliveries (endpoint_id, delivery_id) where at_gate;

alter table gates
    add column kept_out_at timestamptz,
    add column let_in_at timestamptz;

comment on column gates.kept_out_at is 'When the last delivery was told to stay; null once nobody is there any more.';
comment on column gates.let_in_at is 'When somebody was let in last, or was looked for.';

create index gates_kept_out on gates (kept_out_at) where kept_out_at is not null;
