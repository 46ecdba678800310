-- An endpoint may want the events of an object in the order of its versions, or the latest of them only. The order comes
-- from the ledger.

alter table endpoints
    add column delivery_order text not null default 'any',
    add constraint endpoints_delivery_order_known check (delivery_order in ('any', 'per_object', 'latest_only'));

alter table deliveries
    add column object_id text collate "C",
    add column object_version bigint,
    add constraint deliveries_in_line_whole check ((object_id is null) = (object_version is null));

comment on column deliveries.object_id is
    'Set where the endpoint wanted order when the delivery was made: then it stands in the line of its object.';

create index deliveries_held on deliveries (due_at) where state = 'held';

create table lines (
    endpoint_id text collate "C" not null,
    object_id text collate "C" not null,
    delivery_ids text[] not null default '{}',
    primary key (endpoint_id, object_id)
);

comment on table lines is
    'The unfinished deliveries of one object to one endpoint that wants order, lowest version first. Whoever makes, ends or resumes one of them locks the row. It goes with the last of them.';

grant select, insert, update, delete on lines to everhook_data;
