//! What a report says: each round and the sum, what never came, and how far a run is.

use super::*;

#[test]
fn each_round_is_told_and_the_sum_of_all_that_happened() {
    let text = "{ wait = '2s' }, { rounds = 12 }, { wait = '5s' }, { rounds = 3, senders = 'all' }";
    let report = play(steps(text).unwrap());
    assert_eq!(report.per_round.len(), 15);
    let rows = |of: fn(&Row) -> u64| report.rows.iter().map(of).sum::<u64>();
    assert_eq!(report.sum.messages, rows(|row| row.messages));
    assert_eq!(report.sum.bytes, rows(|row| row.bytes));
    assert_eq!(report.sum.joins, rows(|row| row.joins));
    let rounds: u64 = report.per_round[..12].iter().map(|round| round.messages).sum();
    assert_eq!(rounds, report.rows[1].messages);
    assert_eq!(report.metric("joins"), Some(report.sum.joins as f64));
    let object = serde_json::to_value(&report).unwrap();
    for name in ["rmr", "ldh", "ldt_ms", "delivery", "messages", "bytes", "joins", "evictions"] {
        assert!(object["sum"][name].is_number() && object["per_round"][14][name].is_number());
    }
}

#[test]
fn neighbours_that_crash_are_evictions_though_nobody_says_so() {
    let report = play(steps("{ wait = '2s' }, { crash = 1 }, { wait = '20s' }").unwrap());
    let lost = report.rows[2].given_up;
    assert!(lost >= 2 && report.metric("evictions") == Some(lost as f64), "{lost}");
}

#[test]
fn where_nobody_is_there_no_delivery_is_expected() {
    let report = play(steps("{ wait = '2s' }, { crash = 1.0 }, { rounds = 3 }").unwrap());
    assert_eq!(report.rows[2].rounds.as_ref().unwrap().expected, 0);
    assert_eq!((report.metric("delivery"), report.metric("delivery_first")), (None, None));
    let object = serde_json::to_value(&report).unwrap();
    assert!(object["rows"][2]["delivery"].is_null());
}

#[test]
fn a_heal_that_fails_says_how_many_overlays_are_left() {
    let text = "nodes = 9\ndelay = ['900ms', '1s']\npatience = '1s'\nsteps = [{ wait = '5s' }, \
                { split = 2 }, { wait = '5s' }, { heal = true, timeout = '200ms' }, \
                { wait = '9s' }, { heal = true }]";
    let report = play(Scenario::read(text).unwrap());
    assert!(report.rows[3].healed_s.is_none(), "{:?}", report.rows[3]);
    assert!(report.rows[3].apart.is_some_and(|parts| parts > 1), "{:?}", report.rows[3]);
    assert!(report.rows[5].healed_s.is_some() && report.rows[5].apart.is_none());
    assert_eq!(report.metric("healed_s"), Some(f64::INFINITY));
}

#[test]
fn cycles_are_counted_from_a_crash_until_something_else_happens() {
    let cycles = |text: &str, baseline| {
        let report = Run::baseline(steps(text).unwrap(), 1, baseline).play(&mut |_, _| {});
        let rows: Vec<_> = report.rows.iter().map(|row| row.heal_cycles).collect();
        (rows, report.metric("heal_cycles"))
    };
    let crash = "{ wait = '2s' }, { crash = 1 }, { wait = '20s' }, ";
    let healed = cycles(&format!("{crash}{{ rounds = 20 }}, {{ rounds = 20 }}"), PUSH);
    assert_eq!(healed, (vec![None, None, None, Some(2), None], Some(2.0)));
    let restarted =
        cycles(&format!("{crash}{{ rounds = 3 }}, {{ restart = true }}, {{ rounds = 20 }}"), PUSH);
    assert_eq!(restarted, (vec![None; 6], None));
    // Whom nobody tells anything hears nothing.
    let never = cycles(&format!("{crash}{{ rounds = 10 }}"), Baseline::Push { fanout: 0 });
    assert_eq!(never, (vec![None; 4], Some(f64::INFINITY)));
}

#[test]
fn the_first_message_after_the_last_crash_is_told_apart() {
    // A message that may take two seconds, and one that may not.
    let text = "{ wait = '2s' }, { rounds = 3 }, { crash = 1 }, { rounds = 1, timeout = '1ms' }, \
                { rounds = 9 }";
    let report = play(steps(text).unwrap());
    assert_eq!(report.metric("delivery_first"), Some(0.0));
    assert!(report.metric("delivery") > Some(0.5));
}

#[test]
fn how_far_a_run_is_is_told_in_waits_too() {
    let mut told = Vec::new();
    let scenario = steps("{ wait = '2500ms' }, { rounds = 2 }").unwrap();
    let report = Run::baseline(scenario, 1, PUSH).watch(&mut |far| told.push(far));
    let seen: Vec<_> = told.iter().map(|far| (far.rounds, far.of, far.done, far.all)).collect();
    assert_eq!(seen, [(0, 2, 1, 5), (0, 2, 2, 5), (0, 2, 3, 5), (1, 2, 4, 5), (2, 2, 5, 5)]);
    assert_eq!(told[2].now.as_millis(), 2500);
    assert_eq!(told[4].now.as_secs_f64(), report.virtual_s);
}
