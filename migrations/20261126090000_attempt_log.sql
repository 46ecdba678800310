-- A merchant who asks why a webhook failed is shown the answer as it came, so an attempt's row says what was seen on the
-- way, and when the next attempt is due.

alter table attempts
    add column next_at timestamptz,
    add column address text,
    add column connect_ms integer,
    add column first_byte_ms integer,
    add column response_headers text,
    add column response_body bytea;

comment on column attempts.next_at is 'When the next attempt is due; none if there is none to come.';
comment on column attempts.address is 'The IP address that the connection was with, or was to be with.';
comment on column attempts.connect_ms is
    'Look-up, connection and TLS; none where a connection was used again, or none came to stand.';
comment on column attempts.first_byte_ms is 'From the beginning of the attempt to the head of the answer.';
comment on column attempts.response_headers is 'A line for each, as name: value; the first 8 KiB.';
comment on column attempts.response_body is 'The first 16 KiB.';
