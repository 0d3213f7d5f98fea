//! The network's promises, with machines that are closures over bytes.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use crate::*;

mod actors;
mod effects;

type Turn = dyn Fn(&mut Desk, Option<Message>) -> Result<(), String>;

/// A machine without state of its own.
struct Script(Rc<Turn>);

impl Machine for Script {
    fn start(&mut self, _: Now, desk: &mut Desk) -> Result<(), String> {
        (self.0)(desk, None)
    }

    fn turn(&mut self, _: Now, message: Message, desk: &mut Desk) -> Result<(), String> {
        (self.0)(desk, Some(message))
    }

    fn save(&mut self) -> Result<Vec<u8>, String> {
        Ok(Vec::new())
    }

    fn restore(&mut self, _: Now, _: &[u8], _: &mut Desk) -> Result<(), String> {
        Ok(())
    }
}

/// What the actors of a test saw, in order: on which node, and what.
type Seen = Rc<RefCell<Vec<(usize, Message)>>>;

fn role(
    name: &str,
    world: World,
    grants: &[(&str, Thing)],
    turn: impl Fn(&mut Desk, Option<Message>) -> Result<(), String> + 'static,
) -> Role {
    let turn: Rc<Turn> = Rc::new(turn);
    let component: Component = Rc::new(move || Box::new(Script(turn.clone())));
    let grants: BTreeMap<_, _> =
        grants.iter().map(|(name, thing)| ((*name).to_owned(), thing.clone())).collect();
    Role { name: name.to_owned(), world, component, grants, open: false }
}

/// An actor that only notes what reaches it.
fn listener(name: &str, grants: &[(&str, Thing)], seen: &Seen) -> Role {
    let seen = seen.clone();
    role(name, World::Actor, grants, move |desk, message| {
        seen.borrow_mut().extend(message.map(|message| (desk.me.node, message)));
        Ok(())
    })
}

fn address(desk: &mut Desk, name: &str) -> Handle {
    match desk.grant(name) {
        Some(Granted::Address(handle) | Granted::Topic(handle)) => handle,
        other => panic!("{name}: {other:?}"),
    }
}

fn send(desk: &mut Desk, to: Handle, body: &[u8], token: u64) {
    desk.apply(Effect::Send { to, body: body.to_vec(), carried: vec![], token }).unwrap();
}

fn tick(desk: &mut Desk, every: u64) {
    desk.apply(Effect::Arm { key: 1, body: vec![], after: every, every }).unwrap();
}

fn rough() -> Network {
    Network { loss: 0.2, duplicate: 0.2, reorder: 0.5, ..Network::default() }
}

fn seed() -> u64 {
    let given = std::env::var("SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| std::process::id().into());
    println!("SEED={seed}");
    seed
}

const SECOND: Duration = Duration::from_secs(1);

/// Two nodes: `talker` on node 0 counts up to a listener on node 1, ten a second.
fn talk(seed: u64, network: Network) -> (Simulation, Seen) {
    let (mut sim, seen) = (Simulation::new(seed, network), Seen::default());
    sim.node(None);
    sim.node(None);
    let to = sim.key(1, "listener");
    sim.place(1, listener("listener", &[], &seen));
    let (count, notices) = (RefCell::new(0u32), seen.clone());
    let talker = role("talker", World::Actor, &[("to", Thing::Actor(to))], move |desk, message| {
        match message {
            None => tick(desk, 100_000_000),
            Some(Message::Timer(_)) => {
                *count.borrow_mut() += 1;
                let (to, number) = (address(desk, "to"), *count.borrow());
                send(desk, to, &number.to_be_bytes(), number.into());
            }
            Some(other) => notices.borrow_mut().push((0, other)),
        }
        Ok(())
    });
    sim.place(0, talker);
    (sim, seen)
}

fn letters(seen: &Seen) -> Vec<u32> {
    let number = |(_, message): &(usize, Message)| match message {
        Message::Letter(letter) => letter.body.clone().try_into().ok().map(u32::from_be_bytes),
        _ => None,
    };
    seen.borrow().iter().filter_map(number).collect()
}

#[test]
fn letters_arrive_once_and_in_order_on_a_rough_network() {
    let (mut sim, seen) = talk(seed(), rough());
    sim.run_for(SECOND * 60);
    let numbers = letters(&seen);
    assert!(numbers.len() > 500, "{}", numbers.len());
    assert!(numbers.iter().copied().eq(1..=numbers.len() as u32));
    let Datagrams { lost, doubled, late } = sim.datagrams();
    assert!(lost > 50 && doubled > 50 && late > 50, "{lost}, {doubled}, {late}");
}

#[test]
fn publications_meet_the_rough_network_as_it_is() {
    let (mut sim, seen) = (Simulation::new(seed(), rough()), Seen::default());
    let topic = [("topic", Thing::Topic("t".into()))];
    for _ in 0..2 {
        sim.node(None);
    }
    sim.place(1, listener("listener", &topic, &seen));
    let count = RefCell::new(0u32);
    sim.place(
        0,
        role("talker", World::Actor, &topic, move |desk, message| {
            match message {
                None => tick(desk, 1_000_000),
                Some(_) => {
                    *count.borrow_mut() += 1;
                    let topic = address(desk, "topic");
                    send(desk, topic, &count.borrow().to_be_bytes(), 0);
                }
            }
            Ok(())
        }),
    );
    sim.run_for(SECOND * 5);
    let numbers = letters(&seen);
    let mut distinct = numbers.clone();
    distinct.sort_unstable();
    distinct.dedup();
    assert!(distinct.len() < numbers.len(), "none came twice");
    assert!(distinct.len() < 4000, "none was lost");
    assert!(!numbers.is_sorted(), "none overtook another");
}

#[test]
fn the_same_seed_gives_the_same_trace() {
    let trace = |seed| {
        let (mut sim, _) = talk(seed, rough());
        sim.run_for(SECOND * 5);
        sim.cut(0, 1);
        sim.run_for(SECOND * 20);
        sim.heal();
        sim.crash(1);
        sim.run_for(SECOND);
        sim.restart(1);
        sim.run_for(SECOND * 5);
        sim.trace()
    };
    let seed = seed();
    assert_eq!(trace(seed), trace(seed));
    assert_ne!(trace(seed), trace(seed + 1));
}

#[test]
fn a_short_cut_delays_letters_and_loses_none() {
    let (mut sim, seen) = talk(seed(), Network::default());
    sim.run_for(SECOND * 2);
    sim.cut(0, 1);
    sim.run_for(SECOND * 5);
    let before = letters(&seen).len();
    sim.run_for(SECOND);
    assert_eq!(letters(&seen).len(), before, "a letter crossed the cut");
    sim.heal();
    sim.run_for(SECOND);
    let numbers = letters(&seen);
    assert!(numbers.len() > 60 && numbers.iter().copied().eq(1..=numbers.len() as u32));
}

#[test]
fn a_long_cut_gives_each_letter_its_reason() {
    let (mut sim, seen) = talk(seed(), Network::default());
    sim.run_for(SECOND * 2);
    sim.cut(0, 1);
    sim.run_for(SECOND * 15);
    let reasons = |reason| {
        let undelivered = |(_, message): &&(usize, Message)| match message {
            Message::Undelivered(notice) => notice.reason == reason,
            _ => false,
        };
        seen.borrow().iter().filter(undelivered).count()
    };
    // Those sent before the connection was taken for broken may have arrived; later ones did not.
    assert!(reasons(Reason::Unknown) >= 99, "{}", reasons(Reason::Unknown));
    assert!(reasons(Reason::Unreachable) >= 48, "{}", reasons(Reason::Unreachable));
    sim.heal();
    let before = letters(&seen).len();
    sim.run_for(SECOND);
    assert!(letters(&seen).len() > before);
}
