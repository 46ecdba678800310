-- The operator makes and renames merchants at the portal, and what it makes is made once for each Idempotency-Key.

grant insert, update (name) on merchants to everhook_portal;
grant select, insert on idempotency_keys to everhook_portal;
