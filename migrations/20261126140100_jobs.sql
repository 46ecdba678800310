-- What somebody asks for may concern a hundred thousand deliveries, and must be done once though any process dies on the
-- way. So it is a job: each step of it moves some deliveries, and the job's place behind them, in one transaction.

create table jobs (
    job_id text collate "C" primary key,
    merchant_id text collate "C" not null,
    endpoint_id text collate "C" not null,
    kind text not null,
    made_by text not null,
    parked text,
    states text[],
    lowest_id text collate "C" not null,
    below_id text collate "C" not null,
    state text not null default 'running',
    last_id text collate "C" not null default '',
    total bigint,
    done bigint not null default 0,
    skipped bigint not null default 0,
    created_at timestamptz not null default clock_timestamp(),
    stepped_at timestamptz,
    ended_at timestamptz,
    constraint jobs_endpoint_exists foreign key (endpoint_id) references endpoints,
    constraint jobs_job_id_form check (job_id ~ '^job_[0-9a-f]{32}$'),
    constraint jobs_kind_known check (kind in ('resend', 'recover', 'enable')),
    constraint jobs_state_known check (state in ('running', 'done', 'cancelled')),
    constraint jobs_ended_with_moment check ((state = 'running') = (ended_at is null)),
    constraint jobs_parked_known check (parked in ('all', 'latest_per_object', 'none')),
    constraint jobs_parked_of_enable check ((kind = 'enable') = (parked is not null)),
    constraint jobs_states_of_recover check ((kind = 'recover') = (states is not null))
);

comment on table jobs is 'Deliveries of one endpoint to be sent once more, or to be settled when it is enabled again.';
comment on column jobs.made_by is 'operator, or the merchant.';
comment on column jobs.parked is 'What was chosen for the deliveries that were parked while the endpoint was not enabled.';
comment on column jobs.lowest_id is 'It is about deliveries from this id on, and below below_id.';
comment on column jobs.last_id is 'All of them up to this one are done or skipped.';
comment on column jobs.total is 'How many it was about when it began; none if that is not counted yet, or if it is too many.';
comment on column jobs.skipped is 'Those that could not be moved any more when their turn came.';

create index jobs_running on jobs (stepped_at nulls first, job_id) where state = 'running';
create index jobs_of_endpoint on jobs (endpoint_id, job_id);
create index jobs_merchant on jobs (merchant_id, job_id);

alter table deliveries
    add column schedule_from integer not null default 0,
    add column accepted_at timestamptz;

comment on column deliveries.schedule_from is 'How many attempts it had when it was last resent: the schedule counts from there.';
comment on column deliveries.accepted_at is 'When it was delivered before it was resent; none if it was not.';

grant select, update (last_id, total, done, skipped, stepped_at, state, ended_at) on jobs to everhook_data;
grant select, insert on jobs to everhook_portal;
grant update (state, ended_at) on jobs to everhook_portal;
