//! The best open-source senders, measured on the same kind of machine with the same work.
//!
//! 2026-11-23, two cores shared by sender, databases and load generator, 24 GiB; svix-server 1.100.0, Outpost f67ae01
//! (concurrency 100), Convoy 26.6.6, built natively; PostgreSQL 15 with fsync on, Redis 7 (append-only file synced
//! every second), RabbitMQ 3.10. One endpoint for each tenant, bodies of about 545 bytes; the same rate, connections
//! and counts as here, from the start of the API call to the fully received request. Quiet machine.

/// What was measured of one of them.
pub(super) struct Peer {
    pub(super) name: &'static str,
    /// API call to arrival at 20 a second: p50, p95, p99, p99.9, in ms.
    pub(super) unloaded_ms: [f64; 4],
    /// The same at full load.
    pub(super) loaded_ms: [f64; 4],
    /// Delivered a second until all were in, with one tenant.
    pub(super) per_second: f64,
    /// With twenty.
    pub(super) per_second_20: f64,
    /// CPU milliseconds for each delivery at full load, of all processes but the load generator.
    pub(super) cpu_ms: f64,
    /// The same at 20 a second, idling included.
    pub(super) cpu_ms_unloaded: f64,
}

pub(super) const PEERS: [Peer; 3] = [
    Peer {
        name: "svix-server",
        unloaded_ms: [4.8, 6.8, 9.4, 15.6],
        loaded_ms: [37.5, 55.6, 74.2, 167.0],
        per_second: 601.0,
        per_second_20: 656.0,
        cpu_ms: 2.97,
        cpu_ms_unloaded: 6.45,
    },
    Peer {
        name: "Outpost",
        unloaded_ms: [25.1, 53.2, 55.6, 58.2],
        loaded_ms: [56.8, 99.3, 120.9, 145.0],
        per_second: 1043.0,
        per_second_20: 927.0,
        cpu_ms: 1.52,
        cpu_ms_unloaded: 8.58,
    },
    Peer {
        name: "Convoy",
        unloaded_ms: [792.0, 1509.0, 1709.0, 1887.0],
        loaded_ms: [10_415.0, 10_869.0, 10_949.0, 11_025.0],
        per_second: 144.0,
        per_second_20: 114.0,
        cpu_ms: 12.36,
        cpu_ms_unloaded: 14.4,
    },
];
