-- Merchants' gateways ask for headers of their own. Their values are often secrets, so they are stored as ciphertext.

alter table endpoints
    add column shown_headers jsonb not null default '{}',
    add column headers_key_id text,
    add column headers_ciphertext bytea,
    add constraint endpoints_headers_object check (jsonb_typeof(shown_headers) = 'object'),
    add constraint endpoints_headers_whole check (
        (headers_ciphertext is null) = (shown_headers = '{}') and (headers_ciphertext is null) = (headers_key_id is null));

comment on column endpoints.shown_headers is 'Names, with the values that are no secrets; null for the others.';
comment on column endpoints.headers_ciphertext is 'All names and values; only data-service opens it.';
