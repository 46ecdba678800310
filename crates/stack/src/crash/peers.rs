//! The same crash of the best open-source senders, measured on the same kind of machine with the same work.
//!
//! 2026-11-23, as in `bench/peers.rs`: killed with -9 under full load after 1,500 arrivals of 3,000 to 5,000, the restart
//! commanded 2 s later, clients repeating each 100 ms with the same id. Several figures are of several runs.

/// What was measured of one of them.
pub(super) struct Peer {
    pub(super) name: &'static str,
    /// Events that a client thought accepted, and that never came.
    pub(super) lost: &'static str,
    pub(super) repeated: &'static str,
    /// From the restart to the first arrival.
    pub(super) first_s: &'static str,
    /// From the kill until everything accepted before it had arrived.
    pub(super) all_s: &'static str,
}

pub(super) const PEERS: [Peer; 3] = [
    Peer { name: "svix-server", lost: "9, 13; 0 ¹", repeated: "20–24", first_s: "0.15–0.54", all_s: "45.3, 45.5" },
    Peer { name: "Outpost", lost: "13; 0 ²", repeated: "34–79", first_s: "0.18–0.32", all_s: "2.5, 7.2" },
    Peer { name: "Convoy", lost: "0", repeated: "2", first_s: "0.15", all_s: "109" },
];

/// What ¹ and ² say.
pub(super) const NOTES: &str = "\
¹ With `eventId`, where 409 is taken for accepted; 0 with the header `idempotency-key`, and 6 events under a second id.
² Where 409 is taken for accepted; 0 where it is asked again.";
