//! Turns, questions, children and links.

use super::*;

#[test]
fn a_failed_turn_has_no_effects_and_its_actor_begins_again() {
    let (mut sim, seen) = (Simulation::new(seed(), Network::default()), Seen::default());
    sim.node(None);
    let listener = sim.place(0, listener("listener", &[], &seen));
    let starts = Rc::new(RefCell::new(0));
    let started = starts.clone();
    let grants = [("to", Thing::Actor(listener)), ("pin", Thing::Pin("pin".into()))];
    let actor = sim.place(
        0,
        role("actor", World::Actor, &grants, move |desk, message| {
            let Some(Message::Letter(letter)) = message else {
                *starts.borrow_mut() += 1;
                return Ok(());
            };
            let to = address(desk, "to");
            send(desk, to, &letter.body, 0);
            desk.apply(Effect::Put { key: vec![1], value: letter.body.clone() }).unwrap();
            if let Some(Granted::Pin(pin)) = desk.grant("pin") {
                desk.apply(Effect::Drive { pin, high: true }).unwrap();
            }
            if letter.body[3] == 2 { Err("two is too much".into()) } else { Ok(()) }
        }),
    );
    sim.post(actor, 1u32.to_be_bytes().to_vec());
    sim.run_for(SECOND);
    assert!(sim.pin(0, "pin"));
    sim.post(actor, 2u32.to_be_bytes().to_vec());
    sim.post(actor, 3u32.to_be_bytes().to_vec());
    sim.run_for(Duration::from_millis(1));
    assert!(!sim.pin(0, "pin"), "a pin goes safe with its holder");
    sim.run_for(SECOND);
    assert_eq!(letters(&seen), [1, 3]);
    assert_eq!(*started.borrow(), 2);
    assert_eq!(sim.failures().len(), 1);
}

#[test]
fn each_question_has_one_answer_whatever_happens() {
    let (mut sim, seen) = (Simulation::new(seed(), Network::default()), Seen::default());
    for _ in 0..2 {
        sim.node(None);
    }
    let answerer = sim.key(1, "answerer");
    sim.place(
        1,
        role("answerer", World::Actor, &[], |desk, message| {
            let Some(Message::Letter(letter)) = message else {
                return Ok(());
            };
            let reply = letter.reply.unwrap();
            match letter.body[0] {
                0 => send(desk, reply, &[7], 0),
                1 => {}
                2 => return Err("asked for it".into()),
                _ => drop(desk.apply(Effect::Keep { address: reply }).unwrap()),
            }
            Ok(())
        }),
    );
    let nobody = sim.key(1, "nobody");
    let grants = [("to", Thing::Actor(answerer)), ("nobody", Thing::Actor(nobody))];
    let noted = seen.clone();
    sim.place(
        0,
        role("asker", World::Actor, &grants, move |desk, message| {
            let Some(message) = message else {
                for token in 0..5 {
                    let to = address(desk, if token == 4 { "nobody" } else { "to" });
                    let (body, deadline) = (vec![token as u8], 2_000_000_000);
                    let ask = Effect::Ask { to, body, carried: vec![], token, deadline };
                    desk.apply(ask).unwrap();
                }
                return Ok(());
            };
            noted.borrow_mut().push((0, message));
            Ok(())
        }),
    );
    sim.run_for(SECOND * 5);
    let mut outcomes = BTreeMap::new();
    for (_, message) in seen.borrow().iter() {
        let Message::Answer { token, outcome } = message else { panic!("{message:?}") };
        let outcome = outcome.clone().map(|letter| letter.body);
        assert_eq!(outcomes.insert(*token, outcome), None, "two answers to {token}");
    }
    let reasons = [Reason::NoAnswer, Reason::Trapped, Reason::Deadline, Reason::NoActor];
    assert_eq!(outcomes.remove(&0), Some(Ok(vec![7])));
    assert_eq!(outcomes.into_values().collect::<Vec<_>>(), reasons.map(Err));
}

#[test]
fn a_restarted_node_has_its_durable_values_and_no_more() {
    let mut sim = Simulation::new(seed(), Network::default());
    sim.node(None);
    let got = Rc::new(RefCell::new(Vec::new()));
    let noted = got.clone();
    sim.place(
        0,
        role("actor", World::Actor, &[], move |desk, message| {
            match message {
                None => noted.borrow_mut().push(desk.get(b"key")),
                Some(_) => drop(desk.apply(Effect::Put { key: b"key".to_vec(), value: vec![1] })),
            }
            if desk.get(b"key").is_none() {
                tick(desk, 1_000_000);
            }
            Ok(())
        }),
    );
    sim.run_for(SECOND * 2);
    let turns = sim.turns();
    sim.crash(0);
    sim.run_for(SECOND);
    assert_eq!(sim.turns(), turns, "a node that is off took turns");
    sim.restart(0);
    sim.run_for(SECOND);
    assert_eq!(*got.borrow(), [None, Some(vec![1])]);
    assert_eq!(sim.turns(), turns + 1, "a timer outlived its node");
}

#[test]
fn a_parent_hears_of_its_child_and_watchers_of_both() {
    let (mut sim, seen) = (Simulation::new(seed(), Network::default()), Seen::default());
    for _ in 0..2 {
        sim.node(None);
    }
    let child: Rc<Turn> = Rc::new(|desk, message| {
        if message.is_some() {
            let actor = desk.me();
            desk.apply(Effect::Stop { actor }).unwrap();
        }
        Ok(())
    });
    let component: Component = Rc::new(move || Box::new(Script(child.clone())));
    sim.component("child", World::Actor, component);
    let watcher = sim.place(1, listener("watcher", &[], &seen));
    let noted = seen.clone();
    let grants = [("child", Thing::Child("child".into())), ("watcher", Thing::Actor(watcher))];
    sim.place(
        0,
        role("parent", World::Actor, &grants, move |desk, message| {
            if let Some(message) = message {
                noted.borrow_mut().push((0, message));
                return Ok(());
            }
            let Some(Granted::Child(child)) = desk.grant("child") else { panic!("no child") };
            let spawned = desk.apply(Effect::Spawn { child, grants: vec![], token: 5 }).unwrap();
            send(desk, spawned, b"go", 0);
            Ok(())
        }),
    );
    sim.run_for(SECOND * 2);
    let down = Message::Down(Notice { token: 5, reason: Reason::Stopped });
    assert_eq!(*seen.borrow(), [(0, down)]);
}

#[test]
fn links_carry_what_protocols_send_until_the_road_breaks() {
    let (mut sim, seen) = (Simulation::new(seed(), rough()), Seen::default());
    for _ in 0..2 {
        sim.node(None);
    }
    for node in 0..2 {
        let noted = seen.clone();
        let protocol = role("gossip", World::Protocol, &[], move |desk, message| {
            match message.clone() {
                Some(Message::Link(LinkEvent::Reachable(node))) => {
                    desk.apply(Effect::Connect { node }).unwrap();
                }
                Some(Message::Link(LinkEvent::Published { topic, body })) => {
                    for link in desk.links.keys().copied().collect::<Vec<_>>() {
                        let body = [topic.clone(), body.clone()].concat();
                        let class = Class::State;
                        desk.apply(Effect::Transmit { link, class, body }).unwrap();
                    }
                }
                Some(Message::Link(LinkEvent::Data { body, .. })) => {
                    let (topic, body) = (body[..16].to_vec(), body[16..].to_vec());
                    desk.apply(Effect::Deliver { topic, body }).unwrap();
                }
                _ => {}
            }
            noted.borrow_mut().extend(message.map(|message| (desk.me.node, message)));
            Ok(())
        });
        sim.place(node, protocol);
    }
    let topic = [("topic", Thing::Topic("t".into()))];
    let talker = role("talker", World::Actor, &topic, |desk, message| {
        if message.is_some() {
            let topic = address(desk, "topic");
            send(desk, topic, &9u32.to_be_bytes(), 0);
        }
        Ok(())
    });
    let talker = sim.place(0, talker);
    sim.place(1, listener("listener", &topic, &seen));
    sim.run_for(SECOND * 3);
    let count = |is: fn(&LinkEvent) -> bool| {
        let link =
            |(_, message): &&(usize, Message)| matches!(message, Message::Link(event) if is(event));
        seen.borrow().iter().filter(link).count()
    };
    let up = |event: &LinkEvent| matches!(event, LinkEvent::Up { .. });
    assert_eq!(count(up), 2, "one link, two ends: {:?}", seen.borrow());
    sim.post(talker, vec![]);
    sim.run_for(SECOND);
    assert_eq!(letters(&seen), [9]);
    sim.cut(0, 1);
    sim.run_for(SECOND * 11);
    assert_eq!(count(|event| matches!(event, LinkEvent::Down { .. })), 2);
    sim.heal();
    sim.run_for(SECOND * 2);
    assert_eq!(count(up), 4, "they did not meet again");
    sim.crash(1);
    sim.restart(1);
    sim.run_for(SECOND * 3);
    assert_eq!(count(up), 6, "they did not meet after a crash");
}

#[test]
fn a_link_that_is_asked_for_on_a_broken_road_ends_as_unreachable() {
    let (mut sim, seen) = (Simulation::new(seed(), Network::default()), Seen::default());
    for _ in 0..2 {
        sim.node(None);
    }
    sim.place(1, listener("gossip", &[], &seen));
    let (noted, other) = (seen.clone(), sim.id(1).to_vec());
    let protocol = role("gossip", World::Protocol, &[], move |desk, message| {
        match message {
            None => tick(desk, 2_000_000_000),
            Some(Message::Timer(_)) => {
                desk.apply(Effect::Disarm { key: 1 }).unwrap();
                desk.apply(Effect::Connect { node: other.clone() }).unwrap();
            }
            Some(other) => noted.borrow_mut().push((desk.me.node, other)),
        }
        Ok(())
    });
    sim.place(0, protocol);
    sim.run_for(SECOND * 2);
    sim.crash(1);
    seen.borrow_mut().clear();
    // As hosts do: nobody need know whether the other one ever heard of it.
    sim.run_for(SECOND * 20);
    let reasons: Vec<Option<Reason>> = (seen.borrow().iter())
        .map(|(_, message)| match message {
            Message::Link(LinkEvent::Down { reason, .. }) => Some(*reason),
            _ => None,
        })
        .collect();
    assert_eq!(reasons, [Some(Reason::Unreachable)]);
}
