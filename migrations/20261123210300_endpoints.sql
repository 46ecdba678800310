-- Where merchants want their events. Secrets are stored as ciphertext from the first day.

create table endpoints (
    endpoint_id text collate "C" primary key,
    merchant_id text collate "C" not null,
    url text not null,
    description text,
    event_types text[] not null default '{*}',
    schedule_ms bigint[],
    timeout_ms integer not null default 15000,
    state text not null default 'enabled',
    disabled_reason text,
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp(),
    constraint endpoints_merchant_exists foreign key (merchant_id) references merchants,
    constraint endpoints_endpoint_id_form check (endpoint_id ~ '^ep_[0-9a-f]{32}$'),
    constraint endpoints_event_types_some check (cardinality(event_types) between 1 and 100),
    constraint endpoints_timeout_range check (timeout_ms between 100 and 60000),
    constraint endpoints_state_known check (state in ('enabled', 'disabled')),
    constraint endpoints_reason_when_disabled check ((state = 'disabled') = (disabled_reason is not null))
);

create index endpoints_merchant_id on endpoints (merchant_id, endpoint_id);

create table endpoint_secrets (
    secret_id text collate "C" primary key,
    endpoint_id text collate "C" not null,
    key_id text not null,
    ciphertext bytea not null,
    created_at timestamptz not null default clock_timestamp(),
    expires_at timestamptz,
    constraint endpoint_secrets_endpoint_exists foreign key (endpoint_id) references endpoints on delete cascade
);

create index endpoint_secrets_endpoint_id on endpoint_secrets (endpoint_id);
