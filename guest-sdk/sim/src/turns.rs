//! Turns: what reaches an actor becomes a message, and what its turn asked for happens.

use crate::event::{Cargo, Due, Event, Parcel};
use crate::network::Pair;
use crate::simulation::{Actor, Ask, Role, Simulation, Timer};
use crate::{
    ActorKey, Desk, Effect, Handle, Letter, LinkEvent, Message, Notice, Now, Reason, Thing,
};

/// An effect with what its handles stood for in its turn.
struct Deed {
    effect: Effect,
    target: Option<Thing>,
    things: Vec<Thing>,
}

/// Letters that wait for an actor that is not running.
const WAITING: usize = 1024;
/// The first pause before a failed actor begins again; it doubles up to [`BACKOFF_MOST`].
const BACKOFF: u64 = 100_000_000;
const BACKOFF_MOST: u64 = 30_000_000_000;

impl Simulation {
    pub(crate) fn boot(&mut self, node: usize) {
        self.nodes[node].up = true;
        self.nodes[node].booted_at = self.now;
        for key in self.on(node) {
            self.start(key);
        }
        self.booted(node);
    }

    pub(crate) fn start(&mut self, key: ActorKey) {
        let Some(actor) = self.actors.get(&key) else {
            return;
        };
        if actor.running {
            return;
        }
        self.turn(key, None);
        let Some(actor) = self.actors.get_mut(&key).filter(|actor| actor.running) else {
            return;
        };
        for parcel in std::mem::take(&mut actor.waiting) {
            self.arrive(parcel);
        }
    }

    /// Something is at the actor's node now.
    pub(crate) fn arrive(&mut self, parcel: Parcel) {
        let Parcel { from, to, .. } = parcel;
        if from.node != to.node && !self.connected(from.node, to.node) {
            return self.hold(parcel);
        }
        let Some(actor) = self.actors.get_mut(&to) else {
            return self.bounce(parcel, Reason::NoActor);
        };
        if !actor.running {
            if actor.waiting.len() == WAITING {
                return self.bounce(parcel, Reason::MailboxFull);
            }
            return actor.waiting.push_back(parcel);
        }
        let asker = match &parcel.cargo {
            Cargo::Letter { reply, .. } => reply.clone(),
            _ => None,
        };
        if let Some(message) = self.message(parcel) {
            self.turn(to, Some(Due { message, asker }));
        }
    }

    /// What a parcel means to its receiver; `None` if it takes no turn.
    fn message(&mut self, parcel: Parcel) -> Option<Message> {
        let Parcel { from, to, cargo } = parcel;
        let actor = self.actors.get_mut(&to)?;
        let desk = &mut actor.desk;
        Some(match cargo {
            Cargo::Letter { body, carried, reply, .. } => {
                let reply = reply.and_then(|reply| desk.bring(reply));
                Message::Letter(Letter { body, carried: bring(desk, carried), reply })
            }
            Cargo::Publication { body } => Message::Letter(Letter { body, ..Letter::default() }),
            Cargo::Settle { ask, outcome } => {
                let Ask { token, .. } = actor.asks.remove(&ask)?;
                let outcome = outcome.map(|(body, carried)| Letter {
                    body,
                    carried: bring(desk, carried),
                    reply: None,
                });
                Message::Answer { token, outcome }
            }
            Cargo::Failed { token, reason } => Message::Undelivered(Notice { token, reason }),
            Cargo::Gone { token, reason } => Message::Down(Notice { token, reason }),
            Cargo::Watch { token } => {
                actor.watchers.push((from, token));
                return None;
            }
            Cargo::Timer { key, generation } => {
                let timer =
                    actor.timers.get(&key).filter(|timer| timer.generation == generation)?;
                let (body, every) = (timer.body.clone(), timer.every);
                if every > 0 {
                    self.local(to, Cargo::Timer { key, generation }, every);
                } else {
                    actor.timers.remove(&key);
                }
                Message::Timer(body)
            }
            Cargo::Edge { pin, mut edge } => {
                edge.pin = desk.find(&Thing::Pin(pin.clone()))?;
                desk.pins.insert(pin, edge.level);
                Message::Edge(edge)
            }
            Cargo::Expired { pin } => {
                let handle = desk.find(&Thing::Pin(pin.clone()))?;
                desk.pins.insert(pin, false);
                Message::Expired(handle)
            }
            Cargo::Link(event) => Message::Link(event),
            Cargo::Hello { .. }
            | Cargo::Welcome { .. }
            | Cargo::Data { .. }
            | Cargo::Bye { .. } => {
                return self.on_link(from, to, cargo);
            }
        })
    }

    /// One turn: with a message, or the first.
    fn turn(&mut self, key: ActorKey, due: Option<Due>) {
        let seed = self.chance.seed();
        let node = &self.nodes[key.node];
        let monotonic = self.now.saturating_sub(node.booted_at);
        let now = Now { monotonic, wall: node.wall.map(|wall| wall + self.now), seed };
        let (sensors, ambient) = (node.sensors.clone(), node.ambient);
        let Some(actor) = self.actors.get_mut(&key) else {
            return;
        };
        let (message, asker) = match due {
            Some(due) => (Some(due.message), due.asker),
            None => (None, None),
        };
        self.trace.note(&(self.now, key, now, &message));
        let desk = &mut actor.desk;
        (desk.sensors, desk.ambient, desk.next_number) = (sensors, ambient, self.next_number);
        desk.begin();
        let first = message.is_none();
        let outcome = match message {
            None => actor.machine.start(now, desk),
            Some(message) => actor.machine.turn(now, message, desk),
        };
        let fresh = self.next_number;
        self.trace.note(&outcome.is_ok());
        match outcome {
            Ok(()) => {
                if first {
                    actor.running = true;
                } else {
                    actor.crashes = 0;
                }
                self.next_number = actor.desk.next_number;
                let (deeds, unused) = actor.desk.commit(resolve);
                self.perform_all(key, deeds, fresh);
                for reply in unused {
                    self.settle(key, reply, Err(Reason::NoAnswer));
                }
            }
            Err(why) => {
                actor.desk.undo();
                self.fail(key, why);
                if let Some(asker) = asker {
                    self.settle(key, asker, Err(Reason::Trapped));
                }
            }
        }
        self.count_turn();
    }

    fn perform_all(&mut self, key: ActorKey, deeds: Vec<Deed>, fresh: u64) {
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
            (Effect::Connect { node }, _) => self.connect(key, &node),
            (Effect::Disconnect { link }, _) => self.disconnect(key, link),
            (Effect::Transmit { link, body, .. }, _) => self.transmit(key, link, body),
            (Effect::Deliver { topic, body }, _) => self.deliver(key, &topic, body),
            // Nothing beyond the desk; or a target that the desk has refused already.
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

    /// A turn ended badly: a fresh incarnation begins after a pause.
    fn fail(&mut self, key: ActorKey, why: String) {
        self.note_failure(key, why);
        self.drop_links(key);
        let Some(actor) = self.actors.get_mut(&key) else {
            return;
        };
        actor.running = false;
        actor.machine = (actor.role.component)();
        actor.desk.pins.values_mut().for_each(|level| *level = false);
        let pause = (BACKOFF << actor.crashes.min(16)).min(BACKOFF_MOST);
        actor.crashes += 1;
        let life = self.nodes[key.node].life;
        self.schedule(self.now + pause, Event::Start { actor: key, life });
    }

    /// Tells the protocols of two nodes of each other.
    pub(crate) fn tell_reachable(&mut self, (a, b): Pair) {
        if !self.connected(a, b) {
            return;
        }
        for (here, there) in [(a, b), (b, a)] {
            let known = self.nodes[here].peers.as_ref();
            if known.is_some_and(|peers| !peers.contains(&there)) {
                continue;
            }
            let id = self.nodes[there].id.to_vec();
            for key in self.protocols(here) {
                self.local(key, Cargo::Link(LinkEvent::Reachable(id.clone())), 0);
            }
        }
    }
}

fn bring(desk: &mut Desk, things: Vec<Thing>) -> Vec<Handle> {
    things.into_iter().map(|thing| desk.bring(thing).unwrap_or(Handle::MAX)).collect()
}

/// Looks the effects' handles up while they are good.
fn resolve(desk: &Desk, effects: &[Effect]) -> Vec<Deed> {
    let thing = |handle: &Handle| desk.named(*handle).cloned();
    let deed = |effect: &Effect| {
        let (target, things) = match effect {
            Effect::Send { to, carried, .. } | Effect::Ask { to, carried, .. } => {
                (thing(to), carried.iter().filter_map(thing).collect())
            }
            Effect::Spawn { child, grants, .. } => {
                (thing(child), grants.iter().filter_map(|(_, handle)| thing(handle)).collect())
            }
            Effect::Stop { actor } | Effect::Monitor { actor, .. } => (thing(actor), Vec::new()),
            _ => (None, Vec::new()),
        };
        Deed { effect: effect.clone(), target, things }
    };
    effects.iter().map(deed).collect()
}
