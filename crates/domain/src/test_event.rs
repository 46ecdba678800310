//! Test events: somebody asks for one, and it goes to one endpoint, whatever that wants, the way of all events.

use crate::ids::{DeliveryId, EventId};

/// The type of all of them.
pub const EVENT_TYPE: &str = "everhook.test";

/// The type of their objects. The object is the endpoint that is tested.
pub const OBJECT_TYPE: &str = "test";

/// The one delivery of a test event, so that whoever asked knows it before it is routed.
#[must_use]
pub const fn delivery_id(event_id: EventId) -> DeliveryId {
    DeliveryId::from_uuid(event_id.uuid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delivery_has_the_digits_of_its_event() {
        let event_id = "evt_019a0b1c2d3e7f00a1b2c3d4e5f60718".parse().unwrap();
        assert_eq!(delivery_id(event_id).to_string(), "dlv_019a0b1c2d3e7f00a1b2c3d4e5f60718");
    }
}
