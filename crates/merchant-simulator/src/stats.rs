//! `GET /stats`: what became of all requests, in total and by account.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::Simulator;
use crate::account::{Account, Counts};

#[derive(Serialize)]
pub(crate) struct Stats {
    totals: Totals,
    accounts: BTreeMap<String, Line>,
}

#[derive(Serialize)]
struct Totals {
    #[serde(flatten)]
    line: Line,
    /// Webhooks for endpoints without an account; they belong to no line.
    unknown_account: u64,
}

#[derive(Serialize, Default)]
struct Line {
    #[serde(flatten)]
    counts: Counts,
    /// Requests that a slow endpoint has still to answer, or whose sender went away before it did.
    unanswered: u64,
}

pub(crate) async fn get(State(simulator): State<Arc<Simulator>>) -> Json<Stats> {
    let book = simulator.book();
    let mut totals = Totals { line: Line::default(), unknown_account: book.unknown_account };
    let accounts: BTreeMap<_, _> = book.accounts.iter().map(|(id, account)| (id.clone(), line(account))).collect();
    for line in accounts.values() {
        totals.line.add(line);
    }
    Json(Stats { totals, accounts })
}

fn line(account: &Account) -> Line {
    let counts = account.counts();
    let answered = counts.accepted_unique + counts.repeats + counts.rejected_signature + counts.refused_by_mood;
    Line { counts, unanswered: counts.requests - answered }
}

impl Line {
    fn add(&mut self, other: &Self) {
        self.counts.requests += other.counts.requests;
        self.counts.accepted_unique += other.counts.accepted_unique;
        self.counts.repeats += other.counts.repeats;
        self.counts.rejected_signature += other.counts.rejected_signature;
        self.counts.refused_by_mood += other.counts.refused_by_mood;
        self.unanswered += other.unanswered;
    }
}
