//! What a turn asked for happens, once the turn has ended well.

use crate::event::{Cargo, Event};
use crate::simulation::{Actor, Ask, Role, Simulation, Timer};
use crate::{ActorKey, Desk, Effect, Handle, Reason, Thing};

/// An effect with what its handles stood for in its turn.
pub(crate) struct Deed {
    effect: Effect,
    target: Option<Thing>,
    things: Vec<Thing>,
}

impl Simulation {
    pub(crate) fn perform_all(&mut self, key: ActorKey, deeds: Vec<Deed>, fresh: u64) {
        let mut child = ActorKey { node: key.node, number: fresh };
        for deed in deeds {
            self.trace.note(&deed.effect);
            let spawns = matches!(deed.effect, Effect::Spawn { .. });
            self.perform(key, deed, child);
            child.number += u64::from(spawns);
        }
    }

    fn perform(&mut self, key: ActorKey, deed: Deed, child: ActorKey) {
        let Deed { effect, target, things } = deed;
        match (effect, target) {
            (Effect::Send { body, token, .. }, Some(Thing::Actor(to))) => {
                self.travel(key, to, Cargo::Letter { body, carried: things, reply: None, token });
            }
            (Effect::Send { body, .. }, Some(reply @ Thing::Reply(..))) => {
                self.settle(key, reply, Ok((body, things)));
            }
            (Effect::Send { body, .. }, Some(Thing::Topic(topic))) => {
                self.publish(key, &topic, body);
            }
            (Effect::Ask { body, token, deadline, .. }, Some(to)) => {
                self.ask(key, to, (body, things), token, deadline);
            }
            (Effect::Arm { key: timer, body, after, every }, _) => {
                self.next_ask += 1;
                let generation = self.next_ask;
                if let Some(actor) = self.actors.get_mut(&key) {
                    actor.timers.insert(timer, Timer { body, every, generation });
                }
                let after = self.nodes[key.node].span(after);
                self.local(key, Cargo::Timer { key: timer, generation }, after.max(1));
            }
            (Effect::Disarm { key: timer }, _) => {
                if let Some(actor) = self.actors.get_mut(&key) {
                    actor.timers.remove(&timer);
                }
            }
            (Effect::Spawn { grants, token, .. }, Some(Thing::Child(name))) => {
                let names = grants.into_iter().map(|(name, _)| name);
                self.spawn(key, child, &name, names.zip(things).collect(), token);
            }
            (Effect::Stop { .. }, Some(Thing::Actor(to))) => self.stop(key, to),
            (Effect::Monitor { token, .. }, Some(Thing::Actor(to))) => {
                self.travel(key, to, Cargo::Watch { token });
            }
            (Effect::Log { line }, _) => self.note_line(key, line),
            (effect, None) => self.perform_link(key, effect),
            // A target that the desk has refused already.
            _ => {}
        }
    }

    fn perform_link(&mut self, key: ActorKey, effect: Effect) {
        match effect {
            Effect::Connect { node } => self.connect(key, &node),
            Effect::Disconnect { link } => self.disconnect(key, link),
            Effect::Transmit { link, class, body } => self.transmit(key, link, class, body),
            Effect::Deliver { topic, body } => self.deliver(key, &topic, body),
            // Nothing beyond the desk.
            _ => {}
        }
    }

    /// Sends an answer, or the reason there is none, to where a reply is awaited.
    pub(crate) fn settle(
        &mut self,
        from: ActorKey,
        reply: Thing,
        outcome: Result<(Vec<u8>, Vec<Thing>), Reason>,
    ) {
        if let Thing::Reply(to, ask) = reply {
            self.travel(from, to, Cargo::Settle { ask, outcome });
        }
    }

    fn ask(
        &mut self,
        key: ActorKey,
        to: Thing,
        (body, carried): (Vec<u8>, Vec<Thing>),
        token: u64,
        deadline: u64,
    ) {
        let Thing::Actor(to) = to else { return };
        self.next_ask += 1;
        let ask = self.next_ask;
        if let Some(actor) = self.actors.get_mut(&key) {
            actor.asks.insert(ask, Ask { token, node: to.node });
        }
        self.local(key, Cargo::Settle { ask, outcome: Err(Reason::Deadline) }, deadline.max(1));
        let reply = Some(Thing::Reply(key, ask));
        self.travel(key, to, Cargo::Letter { body, carried, reply, token });
    }

    fn spawn(
        &mut self,
        parent: ActorKey,
        child: ActorKey,
        name: &str,
        grants: Vec<(String, Thing)>,
        token: u64,
    ) {
        let Some((world, component)) = self.components.get(name).cloned() else {
            return self.local(parent, Cargo::Gone { token, reason: Reason::Refused }, 1);
        };
        let grants = grants.into_iter().collect();
        let role = Role { name: name.to_owned(), world, component, grants, open: false };
        self.add(child, role, Some((parent, token)));
        let life = self.nodes[child.node].life;
        self.schedule(self.now + 1, Event::Start { actor: child, life });
    }

    fn stop(&mut self, key: ActorKey, to: ActorKey) {
        let child = self.actors.get(&to).and_then(|actor| actor.parent);
        if key == to || child.is_some_and(|(parent, _)| parent == key) {
            self.gone(to, Reason::Stopped);
        } else {
            let line = "stop refused: only a parent stops its children, and an actor itself";
            self.note_line(key, line.to_owned());
        }
    }

    /// An actor is gone for good, its children with it.
    pub(crate) fn gone(&mut self, key: ActorKey, reason: Reason) {
        let Some(actor) = self.actors.remove(&key) else {
            return;
        };
        self.nodes[key.node].actors.retain(|_, named| *named != key);
        self.drop_links(key);
        let own = actor.parent.into_iter();
        for (watcher, token) in own.chain(actor.watchers) {
            self.travel(key, watcher, Cargo::Gone { token, reason });
        }
        for parcel in actor.waiting {
            self.bounce(parcel, reason);
        }
        let of = |actor: &Actor| actor.parent.is_some_and(|(parent, _)| parent == key);
        let children: Vec<_> =
            self.actors.iter().filter(|(_, actor)| of(actor)).map(|(key, _)| *key).collect();
        for child in children {
            self.gone(child, Reason::Stopped);
        }
    }
}

/// Looks the effects' handles up while they are good.
pub(crate) fn resolve(desk: &Desk, effects: Vec<Effect>) -> Vec<Deed> {
    let thing = |handle: &Handle| desk.named(*handle).cloned();
    let deed = |effect: Effect| {
        let (target, things) = match &effect {
            Effect::Send { to, carried, .. } | Effect::Ask { to, carried, .. } => {
                (thing(to), carried.iter().filter_map(thing).collect())
            }
            Effect::Spawn { child, grants, .. } => {
                (thing(child), grants.iter().filter_map(|(_, handle)| thing(handle)).collect())
            }
            Effect::Stop { actor } | Effect::Monitor { actor, .. } => (thing(actor), Vec::new()),
            _ => (None, Vec::new()),
        };
        Deed { effect, target, things }
    };
    effects.into_iter().map(deed).collect()
}
