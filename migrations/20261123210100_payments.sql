-- The platform's own data: merchants and their payments. Whoever changes a payment, its version rises.

create table merchants (
    merchant_id text collate "C" primary key,
    name text not null,
    created_at timestamptz not null default clock_timestamp(),
    constraint merchants_merchant_id_form check (merchant_id ~ '^mer_[0-9a-f]{32}$')
);

create table payments (
    payment_id text collate "C" primary key,
    merchant_id text collate "C" not null,
    amount bigint not null,
    currency text not null,
    status text not null default 'pending',
    version bigint not null default 1,
    reference text,
    description text,
    created_at timestamptz not null default clock_timestamp(),
    updated_at timestamptz not null default clock_timestamp(),
    constraint payments_merchant_exists foreign key (merchant_id) references merchants,
    -- Written without a regular expression: PostgreSQL would compile it anew for each payment.
    constraint payments_payment_id_form check (
        length(payment_id) = 36 and starts_with(payment_id, 'pay_')
        and translate(substr(payment_id, 5), '0123456789abcdef', '') = ''),
    constraint payments_amount_positive check (amount > 0),
    constraint payments_currency_form check (currency ~ '^[A-Z]{3}$'),
    constraint payments_status_known check (status in (
        'pending', 'requires_action', 'processing', 'succeeded', 'failed', 'canceled', 'disputed', 'refunded'))
);

create index payments_merchant_id on payments (merchant_id, payment_id);

create function payments_raise_version() returns trigger
    language plpgsql
    set search_path = ''
as $$
begin
    if tg_op = 'INSERT' then
        new.version := 1;
    else
        new.version := old.version + 1;
        new.updated_at := pg_catalog.clock_timestamp();
    end if;
    return new;
end;
$$;

create trigger payments_version_on_insert before insert on payments
    for each row execute function payments_raise_version();
create trigger payments_version_on_update before update on payments
    for each row when (old.* is distinct from new.*) execute function payments_raise_version();
alter table payments enable always trigger payments_version_on_insert;
alter table payments enable always trigger payments_version_on_update;

create table idempotency_keys (
    key text collate "C" primary key,
    fingerprint bytea not null,
    status smallint not null,
    response text not null,
    created_at timestamptz not null default clock_timestamp()
);

create index idempotency_keys_created_at on idempotency_keys using brin (created_at);

comment on table idempotency_keys is
    'The first answer to each Idempotency-Key, kept in the transaction that it answers for.';
