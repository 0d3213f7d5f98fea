//! Actors in the seeded simulator: several nodes, virtual time.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;
use std::rc::Rc;
use std::time::Duration;

use sim::{ActorKey, Component, Role, Simulation, Thing, World};

use crate::native::Native;
use crate::{Actor, codec};

pub use sim::{Failure, Network};

/// Nodes that each run an actor of type `A`, and perhaps others.
///
/// The same seed gives the same run ([`trace`](Sim::trace)). Nodes boot at times of their own
/// within the first second.
pub struct Sim<A> {
    inner: Simulation,
    actor: PhantomData<fn() -> A>,
}

/// What an actor in a simulation is granted.
#[derive(Clone, Debug)]
pub enum Grant {
    /// The actor of this name on the same node.
    Actor(&'static str),
    /// An actor on another node: its index, and the actor's name.
    On(usize, &'static str),
    /// A topic, by name. Granted is subscribed.
    Topic(&'static str),
    /// A pin, by name.
    Pin(&'static str),
    /// A sensor, by name. `topic:NAME` reads what is published on a topic, as on a host.
    Sensor(&'static str),
    /// The right to spawn [`Builder::component`]s of this name.
    Child(&'static str),
}

/// Describes the nodes of a [`Sim`].
pub struct Builder<A> {
    seed: u64,
    network: Network,
    readings: Vec<Option<f64>>,
    roles: Vec<(Role, Vec<(&'static str, Grant)>)>,
    components: Vec<(&'static str, World, Component)>,
    peers: Option<fn(usize) -> Vec<usize>>,
    actor: PhantomData<fn() -> A>,
}

/// The seed that `SEED=` names, or a new one; it is printed, so that a failed test can be run
/// again.
pub fn seed() -> u64 {
    let given = std::env::var("SEED").ok().and_then(|text| text.parse().ok());
    let seed = given.unwrap_or_else(|| {
        use std::hash::{BuildHasher, RandomState};
        RandomState::new().hash_one(std::process::id())
    });
    println!("SEED={seed}");
    seed
}

impl<A: Actor> Sim<A> {
    /// A node for each reading, which all its sensors give. Each runs one `A`, which is granted
    /// what it asks for; all publications reach all of them.
    pub fn new(seed: u64, readings: &[f64]) -> Self {
        let mut builder = Self::builder(seed);
        builder.readings = readings.iter().copied().map(Some).collect();
        builder.role::<A>("actor", World::Actor, true, &[]).build()
    }

    /// For more than one actor per node, or a network of one's own.
    pub fn builder(seed: u64) -> Builder<A> {
        Builder {
            seed,
            network: Network::default(),
            readings: Vec::new(),
            roles: Vec::new(),
            components: Vec::new(),
            peers: None,
            actor: PhantomData,
        }
    }

    /// A node's `A`. Panics if it is not running just now, or there is none.
    pub fn actor(&self, node: usize) -> &A {
        let native = |key| self.native(key)?.0.as_ref();
        let found = self.inner.on(node).into_iter().find_map(native);
        &found.unwrap_or_else(|| panic!("node {node} runs no such actor now")).actor
    }

    /// Sends a node's `A` a letter, as an administrator does.
    pub fn send(&mut self, node: usize, message: A::Message) {
        let body = codec::encode(&message).unwrap_or_else(|error| panic!("{error}"));
        let key = self.key(node);
        self.inner.post(key, body);
    }

    /// Lets virtual time pass.
    pub fn run_for(&mut self, time: Duration) {
        self.inner.run_for(time);
    }

    /// Virtual time.
    pub fn now(&self) -> Duration {
        self.inner.now()
    }

    /// Cuts the road between two nodes.
    pub fn cut(&mut self, a: usize, b: usize) {
        self.inner.cut(a, b);
    }

    /// Heals all cuts.
    pub fn heal(&mut self) {
        self.inner.heal();
    }

    /// Switches a node off: only its durable values stay.
    pub fn crash(&mut self, node: usize) {
        self.inner.crash(node);
    }

    /// Switches a node on again.
    pub fn restart(&mut self, node: usize) {
        self.inner.restart(node);
    }

    /// The level of a node's pin.
    pub fn pin(&self, node: usize, name: &str) -> bool {
        self.inner.pin(node, name)
    }

    /// A new reading of one of a node's sensors.
    pub fn reading(&mut self, node: usize, sensor: &str, value: f64) {
        self.inner.reading(node, sensor, value);
    }

    /// A hash of all that happened.
    pub fn trace(&self) -> String {
        self.inner.trace()
    }

    /// Turns that ended in an error. Most tests want none.
    pub fn failures(&self) -> &[Failure] {
        self.inner.failures()
    }

    /// The simulation beneath, for what is not offered here.
    pub fn inner(&mut self) -> &mut Simulation {
        &mut self.inner
    }

    /// The key of a node's `A`.
    pub fn key(&self, node: usize) -> ActorKey {
        let found = self.inner.on(node).into_iter().find(|key| self.native(*key).is_some());
        found.unwrap_or_else(|| panic!("node {node} has no such actor"))
    }

    fn native(&self, key: ActorKey) -> Option<&Native<A>> {
        let machine: &dyn Any = self.inner.machine(key)?;
        machine.downcast_ref()
    }
}

impl<A: Actor> Builder<A> {
    /// This many nodes, without readings.
    pub fn nodes(mut self, nodes: usize) -> Self {
        self.readings.resize(nodes, None);
        self
    }

    /// The network between all of them.
    pub fn network(mut self, network: Network) -> Self {
        self.network = network;
        self
    }

    /// Which nodes a node's protocols are told of when it boots; without this, all others.
    pub fn peers(mut self, peers: fn(usize) -> Vec<usize>) -> Self {
        self.peers = Some(peers);
        self
    }

    /// An actor on every node, under a name, with these grants and no others.
    pub fn actor<B: Actor>(self, name: &str, grants: &[(&'static str, Grant)]) -> Self {
        self.role::<B>(name, World::Actor, false, grants)
    }

    /// A driver on every node.
    pub fn driver<B: Actor>(self, name: &str, grants: &[(&'static str, Grant)]) -> Self {
        self.role::<B>(name, World::Driver, false, grants)
    }

    /// A protocol on every node: publications are its affair then.
    pub fn protocol<B: Actor>(self, name: &str, grants: &[(&'static str, Grant)]) -> Self {
        self.role::<B>(name, World::Protocol, false, grants)
    }

    /// What a [`Grant::Child`] of this name spawns.
    pub fn component<B: Actor>(mut self, name: &'static str) -> Self {
        self.components.push((name, World::Actor, native::<B>()));
        self
    }

    /// The nodes, about to boot.
    pub fn build(self) -> Sim<A> {
        let mut inner = Simulation::new(self.seed, self.network);
        inner.read(reading);
        for (name, world, component) in self.components {
            inner.component(name, world, component);
        }
        for reading in &self.readings {
            inner.node(*reading);
        }
        for node in 0..self.readings.len() {
            if let Some(peers) = self.peers {
                inner.peers(node, &peers(node));
            }
            for (role, grants) in &self.roles {
                let mut role = role.clone();
                let grant = |(name, grant): &(&str, Grant)| {
                    ((*name).to_owned(), thing(&mut inner, node, grant))
                };
                role.grants = grants.iter().map(grant).collect();
                inner.place(node, role);
            }
        }
        Sim { inner, actor: PhantomData }
    }

    fn role<B: Actor>(
        mut self,
        name: &str,
        world: World,
        open: bool,
        grants: &[(&'static str, Grant)],
    ) -> Self {
        let (name, component) = (name.to_owned(), native::<B>());
        let role = Role { name, world, component, grants: BTreeMap::new(), open };
        self.roles.push((role, grants.to_vec()));
        self
    }
}

/// The value of a published reading: what a host looks for in a body, too.
fn reading(body: &[u8]) -> Option<f64> {
    #[derive(serde::Deserialize)]
    enum Published {
        Reading(Value),
    }
    #[derive(serde::Deserialize)]
    struct Value {
        value: f64,
    }
    let Published::Reading(Value { value }) = codec::decode(body).ok()?;
    Some(value)
}

/// Any actor as a component of the simulator, natively compiled.
pub fn native<B: Actor>() -> Component {
    Rc::new(|| Box::new(Native::<B>(None)))
}

fn thing(inner: &mut Simulation, node: usize, grant: &Grant) -> Thing {
    match *grant {
        Grant::Actor(name) => Thing::Actor(inner.key(node, name)),
        Grant::On(node, name) => Thing::Actor(inner.key(node, name)),
        Grant::Topic(name) => Thing::Topic(name.to_owned()),
        Grant::Pin(name) => Thing::Pin(name.to_owned()),
        Grant::Sensor(name) => Thing::Sensor(name.to_owned()),
        Grant::Child(name) => Thing::Child(name.to_owned()),
    }
}

impl<A> fmt::Debug for Sim<A> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sim").field("now", &self.inner.now()).finish_non_exhaustive()
    }
}
