-- A deleted endpoint gets nothing new, and what was on its way to it stays on the ledger: nothing is ever dropped.

alter table endpoints
    add column deleted_at timestamptz,
    add constraint endpoints_deleted_disabled check (deleted_at is null or state = 'disabled');
