-- A merchant who books each change wants the object as the change left it, not as it is by the time of the attempt.

alter table endpoints
    add column payload text not null default 'fresh',
    add constraint endpoints_payload_known check (payload in ('fresh', 'as_committed'));

comment on column endpoints.payload is
    'fresh: the object as it is at each attempt; as_committed: the snapshot of the event, or fresh where that was too large.';
