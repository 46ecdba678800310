-- An endpoint with very many parked deliveries goes on with the oldest ones, without a look at all of them.

drop index deliveries_parked;
create index deliveries_parked on deliveries (endpoint_id, delivery_id) where state = 'parked';
