//! What we are after, held against what was measured.

use super::Report;
use super::peers::PEERS;
use super::table::Table;
use crate::hops::ms;

/// One goal.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub(super) struct Goal {
    /// What is measured.
    what: &'static str,
    /// Who wants it.
    from: &'static str,
    wanted: String,
    measured: String,
    met: bool,
}

const NEEDED: &str = "needed";
const DESIGN: &str = "aimed at";
const BEYOND: &str = "beyond that";

pub(super) fn goals(report: &Report) -> Vec<Goal> {
    let unloaded = &report.unloaded.hops;
    let (commit, api) = (unloaded.commit_to_arrival, unloaded.api_to_arrival);
    let full = &report.one_merchant;
    let cpu_ms = full.cpu_ms_each(full.cost.delivering_cpu_s());
    let best =
        PEERS.iter().map(|peer| peer.unloaded_ms).reduce(|best, other| if other[0] < best[0] { other } else { best });
    let best = best.unwrap_or_default();
    let [commit_p50, commit_p99] = ["unloaded, commit → arrival, p50", "unloaded, commit → arrival, p99"];
    let [api_p50, api_p99] = ["unloaded, API call → arrival, p50", "unloaded, API call → arrival, p99"];
    let mut goals = vec![
        at_most_ms(commit_p50, NEEDED, 20.0, commit.p50_ms),
        at_least_per_second(NEEDED, 500.0, full.delivered_per_second),
        at_most_ms(commit_p50, DESIGN, 8.0, commit.p50_ms),
        at_most_ms(commit_p99, DESIGN, 16.0, commit.p99_ms),
        at_least_per_second(DESIGN, 1_050.0, full.delivered_per_second),
        Goal {
            what: "full load, CPU for each delivery",
            from: DESIGN,
            wanted: "at most 1.6 ms".to_owned(),
            measured: format!("{cpu_ms:.2} ms"),
            met: cpu_ms <= 1.6,
        },
        at_most_ms(api_p50, BEYOND, best[0], api.p50_ms),
        at_most_ms(api_p99, BEYOND, best[2], api.p99_ms),
    ];
    goals.extend(report.neighbours.as_ref().map(|neighbours| {
        let moved = neighbours.p99_moved();
        Goal {
            what: "beside a silent endpoint, commit → arrival, p99",
            from: NEEDED,
            wanted: "less than 20 % more".to_owned(),
            measured: moved.map_or_else(|| "not measured".to_owned(), |moved| format!("{:+.0} %", moved * 100.0)),
            met: moved.is_some_and(|moved| moved < 0.2),
        }
    }));
    let of_those_without = |what, share: f64| Goal {
        what,
        from: NEEDED,
        wanted: "at least 90 % of those without".to_owned(),
        measured: format!("{:.0} %", share * 100.0),
        met: share >= 0.9,
    };
    goals.extend(report.traced.iter().flat_map(|traced| {
        [
            of_those_without("with every trace kept, deliveries a second", traced.share()),
            of_those_without("with spans that nobody takes, deliveries a second", traced.share_stuck()),
        ]
    }));
    goals
}

pub(super) fn table(goals: &[Goal]) -> Table {
    let mut table = Table::new(&["goal", "", "wanted", "measured", "met"]);
    for goal in goals {
        let met = if goal.met { "yes" } else { "no" };
        table.row([goal.what, goal.from, &goal.wanted, &goal.measured, met].map(str::to_owned));
    }
    table
}

fn at_most_ms(what: &'static str, from: &'static str, most: f64, measured: Option<f64>) -> Goal {
    let met = measured.is_some_and(|measured| measured <= most);
    Goal { what, from, wanted: format!("at most {most:.1} ms"), measured: format!("{} ms", ms(measured)), met }
}

fn at_least_per_second(from: &'static str, least: f64, measured: f64) -> Goal {
    Goal {
        what: "full load, deliveries",
        from,
        wanted: format!("at least {least:.0}/s"),
        measured: format!("{measured:.0}/s"),
        met: measured >= least,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_goal_is_met_at_its_very_edge_and_not_without_a_measurement() {
        assert!(at_most_ms("x", NEEDED, 8.0, Some(8.0)).met);
        assert!(!at_most_ms("x", NEEDED, 8.0, Some(8.1)).met);
        assert!(!at_most_ms("x", NEEDED, 8.0, None).met);
        assert!(at_least_per_second(NEEDED, 500.0, 500.0).met && !at_least_per_second(NEEDED, 500.0, 499.9).met);
    }
}
