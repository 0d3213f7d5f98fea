//! Whatever a scenario can say of the network and of nodes has an effect.

use super::*;

/// What a flood among five nodes shows of these lines of a scenario's head, and of its steps.
fn flood(head: &str, steps: &str) -> Report {
    let text = format!("nodes = 5\n{head}\nsteps = [{{ wait = '5s' }}, {steps}]\n");
    let scenario = Scenario::read(&text).unwrap();
    Run::baseline(scenario, 3, Baseline::Flood { hops: 7 }).play(&mut |_, _| {})
}

fn last(head: &str) -> f64 {
    flood(head, "{ rounds = 20, timeout = '60s' }").metric("ldt_ms").unwrap()
}

#[test]
fn a_narrow_line_takes_its_time_and_a_doubled_packet_takes_it_twice() {
    let (wide, narrow) = (last(""), last("bandwidth = 20000"));
    // A frame of 1.1 kB takes 55 ms, and three or four go out.
    assert!(narrow > wide + 100.0, "{wide}, {narrow}");
    let doubled = last("bandwidth = 20000\nduplicate = 1.0");
    assert!(doubled > narrow + 50.0, "{narrow}, {doubled}");
    let report = flood("duplicate = 1.0", "{ rounds = 20 }");
    assert!(report.datagrams.doubled > 100, "{:?}", report.datagrams);
}

#[test]
fn late_and_lost_packets_have_those_behind_them_wait() {
    let usual = last("");
    assert!(last("reorder = 0.5") > usual + 20.0);
    assert!(last("loss = 0.3") > usual + 20.0);
    assert!(flood("reorder = 0.5", "{ rounds = 20 }").datagrams.late > 50);
}

/// Two nodes; when their link is up, the first one transmits these. Gives the bodies' first bytes
/// as they came, and how many were refused.
fn transmitted(network: Network, bodies: &[(Class, u8, usize)]) -> (Vec<u8>, usize) {
    let (mut sim, seen) = (Simulation::new(seed(), network), Seen::default());
    let refused = Rc::new(RefCell::new(0));
    for node in 0..2 {
        sim.node(None);
        let (seen, refused, bodies) = (seen.clone(), refused.clone(), bodies.to_vec());
        let protocol = role("gossip", World::Protocol, &[], move |desk, message| {
            match message {
                Some(Message::Link(LinkEvent::Reachable(node))) if desk.me.node == 0 => {
                    desk.apply(Effect::Connect { node }).unwrap();
                }
                Some(Message::Link(LinkEvent::Up { link, .. })) if desk.me.node == 0 => {
                    for &(class, first, length) in &bodies {
                        let body = vec![first; length];
                        let done = desk.apply(Effect::Transmit { link, class, body });
                        *refused.borrow_mut() += usize::from(done.is_err());
                    }
                }
                Some(message) => seen.borrow_mut().push((node, message)),
                None => {}
            }
            Ok(())
        });
        sim.place(node, protocol);
    }
    sim.run_for(SECOND * 60);
    let first = |(_, message): &(usize, Message)| match message {
        Message::Link(LinkEvent::Data { body, .. }) => body.first().copied(),
        _ => None,
    };
    let came = seen.borrow().iter().filter_map(first).collect();
    let refused = *refused.borrow();
    (came, refused)
}

#[test]
fn on_a_narrow_line_control_overtakes_bulk() {
    let (bulk, control) = (Class::Bulk, Class::Control);
    let bodies = [(bulk, 1, 5000), (bulk, 2, 5000), (control, 3, 50), (Class::State, 4, 50)];
    let narrow = Network { bandwidth: 10_000, ..Network::default() };
    assert_eq!(transmitted(narrow, &bodies), (vec![1, 3, 4, 2], 0));
    assert_eq!(transmitted(Network::default(), &bodies), (vec![1, 2, 3, 4], 0));
}

#[test]
fn a_full_queue_of_one_class_refuses_no_other() {
    let (bulk, most) = (Class::Bulk, 256 << 10);
    let bodies = [(bulk, 1, most), (bulk, 2, 1), (Class::State, 3, most), (Class::Control, 4, 1)];
    assert_eq!(transmitted(Network::default(), &bodies), (vec![1, 3, 4], 1));
}

#[test]
fn a_clock_that_goes_too_fast_ticks_more_often() {
    let ticks = |parts| {
        let (mut sim, seen) = talk(5, Network::default());
        sim.drift(0, parts);
        sim.run_for(SECOND * 101);
        letters(&seen).len()
    };
    let (slow, right, fast) = (ticks(-100_000), ticks(0), ticks(100_000));
    assert!((985..=1010).contains(&right), "{right}");
    assert!((885..=910).contains(&slow) && (1085..=1110).contains(&fast), "{slow}, {fast}");
}

#[test]
fn a_clock_that_is_ahead_says_so() {
    let mut sim = Simulation::new(seed(), Network::default());
    let told = Rc::new(RefCell::new(Vec::new()));
    struct Reads(Rc<RefCell<Vec<u64>>>);
    impl Machine for Reads {
        fn start(&mut self, now: Now, _: &mut Desk) -> Result<(), String> {
            self.0.borrow_mut().extend(now.wall);
            Ok(())
        }
        fn turn(&mut self, _: Now, _: Message, _: &mut Desk) -> Result<(), String> {
            Ok(())
        }
        fn save(&mut self) -> Result<Vec<u8>, String> {
            Ok(Vec::new())
        }
        fn restore(&mut self, _: Now, _: &[u8], _: &mut Desk) -> Result<(), String> {
            Ok(())
        }
    }
    for node in 0..2 {
        sim.node(None);
        let told = told.clone();
        let component: Component = Rc::new(move || Box::new(Reads(told.clone())));
        let role = Role { component, ..role("it", World::Actor, &[], |_, _| Ok(())) };
        sim.place(node, role);
        sim.skew(node, [0, 60_000_000_000][node]);
    }
    sim.run_for(SECOND * 2);
    let told = told.borrow();
    assert!(told[0].abs_diff(told[1]) > 58_000_000_000, "{told:?}");
}

#[test]
fn a_scenario_s_skew_reaches_the_clocks() {
    let trace = |head| flood(head, "{ rounds = 1 }").trace;
    assert_ne!(trace(""), trace("skew = '2s'"));
    assert_ne!(trace(""), trace("drift = 300"));
}

#[test]
fn a_cut_in_one_direction_stops_that_one_only() {
    let after = |from, to| {
        let (mut sim, seen) = talk(seed(), Network::default());
        sim.run_for(SECOND * 2);
        let before = letters(&seen).len();
        sim.cut_one_way(from, to);
        sim.run_for(SECOND * 5);
        letters(&seen).len() - before
    };
    assert!(after(0, 1) <= 1, "letters crossed the cut");
    assert!(after(1, 0) >= 48, "letters were stopped that go the other way");
}

#[test]
fn what_reaches_a_node_that_stands_still_waits() {
    let (mut sim, seen) = talk(seed(), Network::default());
    sim.run_for(SECOND * 2);
    sim.pause(1, SECOND * 4);
    let before = letters(&seen).len();
    sim.run_for(SECOND * 3);
    assert_eq!(letters(&seen).len(), before);
    sim.run_for(SECOND * 2);
    let numbers = letters(&seen);
    assert!(numbers.len() >= before + 48 && numbers.iter().copied().eq(1..=numbers.len() as u32));
}

#[test]
fn links_break_when_an_outage_outlasts_the_patience_and_not_before() {
    let broken = |step: &str| flood("patience = '1s'", &format!("{step}, {{ wait = '9s' }}")).sum;
    for short in ["{ flap = 1.0, time = '500ms' }", "{ pause = 2, time = '500ms' }"] {
        assert_eq!(broken(short).evictions, 0, "{short}");
    }
    let steps = [
        "{ flap = 1.0, time = '2s' }",
        "{ pause = 2, time = '2s' }",
        "{ cut-one-way = 1.0 }",
        "{ split = [[0, 1]] }",
    ];
    for long in steps {
        assert!(broken(long).evictions > 5, "{long}: {:?}", broken(long));
    }
}
