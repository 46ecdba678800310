-- A merchant can't change a secret at the moment at which we do: during a rotation the new one and the old ones sign. And
-- who must not be able to sign what they verify gets ed25519 (v1a).

alter table endpoints
    add column signature text not null default 'v1',
    add constraint endpoints_signature_known check (signature in ('v1', 'v1a'));

comment on column endpoints.signature is 'That of the current secret; changed together with it.';

alter table endpoint_secrets
    add column signature text not null default 'v1',
    add column idempotency_key text,
    add column request text,
    add constraint endpoint_secrets_signature_known check (signature in ('v1', 'v1a')),
    add constraint endpoint_secrets_request_of_key check ((idempotency_key is null) = (request is null));

comment on column endpoint_secrets.request is
    'What the rotation under this key was asked for, without the secret: the same again is answered with this one.';

-- Nothing of ours has made a second secret. Who did so by hand has begun a rotation.
update endpoint_secrets s
set expires_at = clock_timestamp() + interval '24 hours'
where s.expires_at is null and exists (
    select from endpoint_secrets newer
    where newer.endpoint_id = s.endpoint_id and newer.secret_id > s.secret_id and newer.expires_at is null);

create unique index endpoint_secrets_one_current on endpoint_secrets (endpoint_id) where expires_at is null;
create index endpoint_secrets_expires_at on endpoint_secrets (expires_at) where expires_at is not null;

grant insert (secret_id, endpoint_id, signature, key_id, ciphertext, idempotency_key, request) on endpoint_secrets
    to everhook_data;
grant update (expires_at), delete on endpoint_secrets to everhook_data;
grant update (signature) on endpoints to everhook_data;
