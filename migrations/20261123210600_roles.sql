-- Group roles with the least that each service needs. Login roles and passwords belong to the deployment.

do $$
declare
    role_name text;
begin
    foreach role_name in array array['everhook_payments', 'everhook_data', 'everhook_portal', 'everhook_relay'] loop
        begin
            execute format('create role %I nologin', role_name);
        exception when duplicate_object or unique_violation then
            -- Roles belong to the whole cluster: another database's migration may have made it.
            null;
        end;
    end loop;
end;
$$;

grant usage on schema public to everhook_payments, everhook_data, everhook_portal, everhook_relay;

grant select, insert on merchants to everhook_payments;
grant select, insert, update on payments to everhook_payments;
grant select, insert, delete on idempotency_keys to everhook_payments;

grant select on merchants, payments, domain_events, endpoints, endpoint_secrets, horizon to everhook_data;
grant update (state, disabled_reason, updated_at) on endpoints to everhook_data;
grant select, insert, update on routed_events, deliveries, attempts, parked_records, leases to everhook_data;
grant select, update on sweep to everhook_data;
grant execute on function ensure_partitions to everhook_data;

grant select on merchants, payments, domain_events, routed_events, deliveries, attempts, parked_records, horizon, sweep
    to everhook_portal;
grant select, insert, update on endpoints to everhook_portal;
grant insert on endpoint_secrets to everhook_portal;

grant select on domain_events to everhook_relay;
