-- A candidate's number must be above those of all transactions under way. A snapshot's xmax is not: it is one above the
-- last transaction that has completed, and the sweep passed those that had begun since.

alter table sweep alter column candidate_at set default now();
alter table sweep alter column candidate_xid set default pg_current_xact_id();
update sweep set candidate_at = now(), candidate_xid = pg_current_xact_id();
