//! What a node does after neighbours were lost without a word.

use std::collections::BTreeSet;
use std::ops::Range;
use std::time::Duration;

use gossip::{Core, Counts, Entry, Id, Input, Output, Stream, Want, What, Why, Wire, limits};

const SECOND: Duration = Duration::from_secs(1);
/// Between two nodes and back.
const ROUND_TRIP: Duration = Duration::from_millis(100);

fn node(number: usize) -> [u8; 32] {
    [number as u8; 32]
}

fn hear(core: &mut Core, now: Duration, link: usize, wire: &Wire) -> Vec<Output> {
    core.handle(now, Input::Data(link as u32, wire.encode()))
}

/// A node asks to be a neighbour; its link has its number.
fn join(core: &mut Core, now: Duration, number: usize) {
    core.handle(now, Input::Up(number as u32, node(number)));
    core.handle(now, Input::Rtt(number as u32, ROUND_TRIP));
    let origin = number as u64;
    hear(core, now, number, &Wire::Hello { want: Want::Join, origin, you: node(0) });
}

/// All that a node does until then.
fn pass(core: &mut Core, until: Duration) -> Vec<Output> {
    let mut out = Vec::new();
    while core.wake() <= until {
        out.extend(core.handle(core.wake(), Input::Tick));
    }
    out
}

/// The names among these that a node asks for links to.
fn tried(out: &[Output], names: Range<usize>) -> BTreeSet<usize> {
    let asked = |number: &usize| out.contains(&Output::Connect(node(*number)));
    names.filter(asked).collect()
}

/// Names that the node knows besides its neighbours.
const NAMES: Range<usize> = 100..100 + 3 * limits::PEERS;

/// A node with so many neighbours, the first of which has told it these names; and what it did.
fn node_with_names(neighbours: usize, names: Range<usize>) -> (Core, Vec<Output>) {
    let mut core = Core::new(1, 1);
    (1..=neighbours).for_each(|number| join(&mut core, SECOND, number));
    let names: Vec<Entry> = names.map(|it| Entry { node: node(it), age: 0 }).collect();
    let told = names.chunks(limits::PEERS).flat_map(|peers| {
        hear(&mut core, SECOND, 1, &Wire::Shuffled { token: 9, peers: peers.to_vec() })
    });
    let out = told.collect();
    (core, out)
}

/// Its neighbours are lost.
fn lose_all(core: &mut Core) -> Vec<Output> {
    let lost = (1..=limits::ACTIVE).map(|it| Input::Down(it as u32, node(it), false));
    lost.flat_map(|down| core.handle(SECOND, down)).collect()
}

#[test]
fn who_has_lost_all_neighbours_tries_all_names_though_none_answers() {
    let (mut core, out) = node_with_names(limits::ACTIVE, NAMES);
    assert_eq!(tried(&out, NAMES).len(), 0);
    let mut out = lose_all(&mut core);
    assert_eq!(tried(&out, NAMES).len(), limits::ACTIVE, "so many at once");
    out.extend(pass(&mut core, SECOND * 3));
    assert_eq!(tried(&out, NAMES), NAMES.collect());
}

#[test]
fn names_that_made_room_for_others_are_tried_when_those_are_gone() {
    // As many as it keeps besides those of the neighbours.
    let names = 100..100 + limits::PASSIVE + limits::FORMER - limits::ACTIVE;
    let (mut core, _) = node_with_names(limits::ACTIVE, names.clone());
    let (mut now, mut out) = (SECOND, lose_all(&mut core));
    let mut asked = BTreeSet::new();
    while now < SECOND * 2 {
        let found = tried(&out, names.clone());
        // Those that are there no more, the host says so at once.
        let down = |number: &usize| Input::Down(99, node(*number), false);
        out = found.iter().flat_map(|number| core.handle(now, down(number))).collect();
        asked.extend(found);
        now += Duration::from_millis(10);
        out.extend(core.handle(now, Input::Tick));
    }
    assert_eq!(asked, names.collect());
}

#[test]
fn who_has_lost_nobody_waits_for_those_that_were_asked() {
    let (mut core, mut out) = node_with_names(1, NAMES);
    out.extend(pass(&mut core, SECOND * 3));
    assert_eq!(tried(&out, NAMES).len(), limits::ACTIVE - 1);
}

#[test]
fn who_answers_when_enough_others_have_is_let_go_of_at_once() {
    let (mut core, _) = node_with_names(limits::ACTIVE, NAMES);
    lose_all(&mut core);
    let mut now = SECOND * 3;
    pass(&mut core, now);
    let mut asked = 0;
    for number in NAMES {
        now += Duration::from_millis(1);
        let link = number as u32;
        let out = core.handle(now, Input::Up(link, node(number)));
        if asked == limits::ACTIVE {
            assert_eq!(out, [Output::Disconnect(link)]);
            continue;
        }
        asked += 1;
        assert!(matches!(out[..], [Output::Transmit(..)]), "it says what it wants: {out:?}");
        let welcome = Wire::Welcome { accepted: true, origin: 5, you: node(0), peers: Vec::new() };
        hear(&mut core, now, number, &welcome);
    }
    assert_eq!(core.neighbours().len(), limits::ACTIVE);
}

/// When a node asks for a message that a new neighbour names, and one that it names after that,
/// having lost another neighbour or not.
fn asks(lost: bool) -> [Duration; 2] {
    let mut core = Core::new(1, 1);
    [1, 2].into_iter().for_each(|number| join(&mut core, SECOND, number));
    if lost {
        core.handle(SECOND, Input::Down(1, node(1), false));
    }
    join(&mut core, SECOND, 3);
    [1, 2].map(|seq| {
        let id = Id { stream: Stream { origin: 9, epoch: 9 }, seq };
        let named = SECOND * seq as u32;
        pass(&mut core, named);
        hear(&mut core, named, 3, &Wire::Have(vec![id]));
        let get = Wire::Get(vec![id]).encode();
        let asks =
            |output: &Output| matches!(output, Output::Transmit(3, _, frame) if **frame == get[..]);
        loop {
            let now = core.wake();
            assert!(now < named + SECOND, "it is never asked for");
            if core.handle(now, Input::Tick).iter().any(asks) {
                return now - named;
            }
        }
    })
}

#[test]
fn after_a_loss_what_a_new_neighbour_had_already_is_not_waited_for() {
    let [first, second] = asks(true);
    assert!(first < ROUND_TRIP && second >= ROUND_TRIP * 2, "{first:?}, {second:?}");
    assert!(asks(false)[0] >= ROUND_TRIP * 2, "it may be on its way");
}

/// What a node with two neighbours does after this came of the first: when it tries that one again,
/// what for each time within a minute, and what it has counted at first.
fn after(input: Input) -> (Duration, Vec<Want>, Counts) {
    let mut core = Core::new(1, 1);
    [1, 2].into_iter().for_each(|number| join(&mut core, SECOND, number));
    let (mut now, mut out) = (SECOND, core.handle(SECOND, input));
    let (counts, mut first, mut wants) = (core.counts().clone(), None, Vec::new());
    while now < SECOND * 60 {
        if out.contains(&Output::Connect(node(1))) {
            first.get_or_insert(now - SECOND);
            let said = core.handle(now, Input::Up(9, node(1)));
            let [Output::Transmit(9, _, hello)] = &said[..] else { panic!("{said:?}") };
            let Ok(Wire::Hello { want, .. }) = Wire::decode(hello) else { panic!("{said:?}") };
            wants.push(want);
            core.handle(now, Input::Down(9, node(1), false));
        }
        now = core.wake().max(now);
        out = core.handle(now, Input::Tick);
    }
    (first.expect("it is tried again"), wants, counts)
}

#[test]
fn what_follows_the_end_of_a_neighbourhood_is_decided_by_its_cause() {
    let none = Counts::default();
    // It is looked for, to be a neighbour again as before.
    let (_, wants, counts) = after(Input::Down(1, node(1), false));
    assert_eq!(counts, Counts { lost: 1, ..none.clone() });
    assert!(wants.contains(&Want::Again), "{wants:?}");
    // It is as any other, and not tried at once.
    let leave = |why| Input::Data(1, Wire::Leave { why, instead: None }.encode());
    for (end, expected) in [
        (Input::Down(1, node(1), true), Counts { closed: 1, ..none.clone() }),
        (leave(Why::Replaced), Counts { replaced: 1, ..none.clone() }),
        (leave(Why::Surplus), Counts { surplus: 1, ..none.clone() }),
        (leave(Why::Farther), Counts { farther: 1, ..none.clone() }),
        (leave(Why::Full), Counts { full: 1, ..none.clone() }),
    ] {
        let (wait, wants, counts) = after(end);
        assert_eq!(counts, expected);
        assert!(wait > SECOND / 4 && !wants.contains(&Want::Again), "{wait:?}, {wants:?}");
    }
}

#[test]
fn who_lets_a_neighbour_go_counts_why() {
    let mut core = Core::new(1, 1);
    (1..=limits::MESH + 3).for_each(|number| join(&mut core, SECOND, number));
    let out = hear(&mut core, SECOND, 1, &Wire::Shed);
    let leave = Wire::Leave { why: Why::Surplus, instead: None }.encode().into();
    assert!(out.contains(&Output::Transmit(1, What::Control, leave)), "{out:?}");
    assert_eq!((core.counts().surplus, core.counts().lost), (1, 0));
}

/// How long a node waits for one that does not answer, having stood still for this time first; how
/// often it has noticed that it did; and how long it waits for the next one.
fn patience(stands_still: Duration) -> (Duration, u64, Duration) {
    let mut core = Core::new(1, 1);
    let mut now = SECOND;
    let mut waits = Vec::new();
    pass(&mut core, now);
    for link in [1, 2] {
        core.handle(now, Input::Reachable(node(link)));
        let hello = core.handle(now, Input::Up(link as u32, node(link)));
        assert!(matches!(hello[..], [Output::Transmit(..)]));
        let asked = now;
        if link == 1 {
            now += stands_still;
        }
        while !core.handle(now, Input::Tick).contains(&Output::Disconnect(link as u32)) {
            assert!(now < asked + SECOND * 60, "it waits for ever");
            now = core.wake().max(now);
        }
        waits.push(now - asked);
    }
    (waits[0], core.counts().stalls, waits[1])
}

#[test]
fn a_node_that_was_late_itself_waits_longer_before_it_gives_another_up() {
    let usual = limits::PATIENCE..limits::PATIENCE + limits::TICK * 2;
    let (wait, stalls, next) = patience(Duration::ZERO);
    assert!(usual.contains(&wait) && usual.contains(&next), "{wait:?}, {next:?}");
    assert_eq!(stalls, 0);
    // It missed four ticks, and only when it has made as many again is it as hasty as before.
    let (wait, stalls, next) = patience(SECOND * 4);
    assert!(wait >= SECOND * 8, "{wait:?}");
    assert_eq!(stalls, 1);
    assert!(usual.contains(&next), "{next:?}");
    // However long it stood still, it does not wait for ever.
    let (wait, stalls, _) = patience(SECOND * 4000);
    assert!(wait <= SECOND * 4000 + limits::PATIENCE * 8, "{wait:?}");
    assert_eq!(stalls, 1);
}
