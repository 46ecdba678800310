-- Ids carry their time, so that tables can be partitioned and swept by id; PostgreSQL makes them only from 18 on.

create function new_id(prefix text, at timestamptz) returns text
    language sql volatile parallel safe
    return prefix || encode(
        set_bit(set_bit(
            overlay(uuid_send(gen_random_uuid())
                placing substring(int8send((extract(epoch from at) * 1000)::bigint) from 3) from 1 for 6),
            52, 1), 53, 1),
        'hex');

comment on function new_id is 'A UUIDv7 of that moment as 32 hex digits after the prefix.';

create function lowest_id(prefix text, at timestamptz) returns text
    language sql immutable parallel safe
    return prefix || lpad(to_hex((extract(epoch from at) * 1000)::bigint), 12, '0') || repeat('0', 20);

comment on function lowest_id is 'No id made at that moment or later sorts below it.';
