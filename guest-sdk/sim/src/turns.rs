//! Turns: what reaches an actor becomes a message, and one message is one turn.

use crate::deeds::resolve;
use crate::event::{Cargo, Due, Event, Parcel};
use crate::network::Pair;
use crate::simulation::{Ask, Simulation};
use crate::{ActorKey, Desk, Handle, Letter, LinkEvent, Message, Notice, Now, Reason, Thing};

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
            Cargo::Reading { sensor, value } => {
                self.reading(to.node, &sensor, value);
                return None;
            }
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
                    let every = self.nodes[to.node].span(every).max(1);
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
        let monotonic = node.clock(self.now);
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

    /// Whether a node's protocols are told of another.
    pub(crate) fn knows(&self, here: usize, there: usize) -> bool {
        self.nodes[here].peers.as_ref().is_none_or(|peers| peers.contains(&there))
    }

    /// Tells the protocols of two nodes of each other.
    pub(crate) fn tell_reachable(&mut self, (a, b): Pair) {
        if !self.connected(a, b) {
            return;
        }
        for (here, there) in [(a, b), (b, a)] {
            if !self.knows(here, there) {
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
