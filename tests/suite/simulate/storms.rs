//! What goes wrong at once is mended without a storm of joins and evictions.

use sim::{Report, Row, Run, Scenario};
use tests::guests::repository;

/// Enough that not each is a neighbour of each.
const NODES: usize = 40;

/// Plays a scenario that ships, small; each message reaches all nodes.
fn play(name: &str) -> Report {
    let file = repository().join(format!("tests/scenarios/{name}.toml"));
    let text = std::fs::read_to_string(file).unwrap();
    let scenario = Scenario { nodes: NODES, ..Scenario::read(&text).unwrap() };
    let seed = std::env::var("SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(7);
    println!("SEED={seed}");
    let gossip = guest_sdk::native::<gossip::Gossip>();
    let report = Run::new(scenario, seed, gossip, gossip::kind).play(&mut |_, _| {});
    assert_eq!((report.failures, report.metric("delivery")), (0, Some(1.0)));
    report
}

/// Joins and evictions for each node in some steps.
fn each(rows: &[Row]) -> (f64, f64) {
    let sum = |of: fn(&Row) -> u64| rows.iter().map(of).sum::<u64>() as f64 / NODES as f64;
    (sum(|row| row.joins), sum(|row| row.evictions))
}

/// All nodes are one overlay at the end.
fn assert_one(report: &Report) {
    let overlay = report.rows.last().and_then(|row| row.overlay.clone()).unwrap();
    assert_eq!((overlay.nodes, overlay.components), (NODES, 1), "seed {}", report.seed);
}

#[test]
fn after_a_heal_each_node_joins_and_lets_go_a_few_times() {
    let report = play("split");
    let heals = report.rows.iter().enumerate().filter(|(_, row)| row.step == "heal");
    let heals: Vec<usize> = heals.map(|(at, _)| at).collect();
    assert_eq!(heals.len(), 2);
    for heal in heals {
        // The heal, five seconds, and twenty rounds.
        let after = &report.rows[heal..heal + 3];
        let (joins, evictions) = each(after);
        assert!(joins <= 10.0 && evictions <= 4.0, "{joins} joins, {evictions} evictions");
    }
    assert_one(&report);
}

#[test]
fn links_that_flap_break_and_are_replaced() {
    let report = play("flap");
    for row in report.rows.iter().filter(|row| row.step.starts_with("flap")) {
        assert!(row.given_up as usize >= NODES / 2, "no link broke: {row:?}");
    }
    let (joins, evictions) = each(&report.rows[1..]);
    assert!(joins <= 40.0 && evictions <= 16.0, "{joins} joins, {evictions} evictions");
    assert_one(&report);
}

#[test]
fn nodes_that_stood_still_until_their_connections_broke_are_taken_back() {
    let report = play("pause-long");
    assert!(
        report.rows.iter().map(|row| row.given_up).sum::<u64>() >= NODES as u64,
        "no connection broke"
    );
    let (joins, evictions) = each(&report.rows[2..]);
    assert!(joins <= 40.0 && evictions <= 16.0, "{joins} joins, {evictions} evictions");
    assert_one(&report);
}
