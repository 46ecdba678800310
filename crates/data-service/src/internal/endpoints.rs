//! What the portal asks about one endpoint.

pub mod secret;
