//! What a scenario is played on.

use std::time::Duration;

use crate::tally::Told;

/// What came of a round, and who missed what: sender and node.
pub type Finished = (Told, Vec<(usize, usize)>);

/// How a node's clock is wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Clock {
    /// Parts per million that it goes too fast.
    pub drift: i32,
    /// Nanoseconds that it is ahead when the node comes.
    pub skew: i64,
}

/// Nodes that a scenario happens to: those of the simulator, or real ones. Nodes are counted from
/// 0 in the order in which they came. What can't be done is a fault, never left out in silence.
pub trait Stage {
    /// Why something can't be done.
    type Fault;

    /// Where this is: it stands in the report.
    fn name(&self) -> &'static str;

    /// How many nodes there are or ever were.
    fn count(&self) -> usize;

    /// Whether a node is up.
    fn is_up(&self, node: usize) -> bool;

    /// Time since the first node came.
    fn now(&self) -> Duration;

    /// A node comes, with a clock that is wrong. It knows these.
    fn add(&mut self, contacts: &[usize], clock: Clock) -> Result<(), Self::Fault>;

    /// All nodes of the beginning were added.
    fn begun(&mut self) -> Result<(), Self::Fault> {
        Ok(())
    }

    /// Time passes.
    fn wait(&mut self, time: Duration) -> Result<(), Self::Fault>;

    /// A round begins: each of these publishes a body of so many bytes, which all that are up are
    /// to have.
    fn begin(&mut self, senders: &[usize], bytes: usize) -> Result<(), Self::Fault>;

    /// Time passes up to `end`, or until the round's messages are everywhere.
    fn until(&mut self, end: Duration) -> Result<(), Self::Fault>;

    /// What came of the round, and of all that was under way since the last one was finished.
    fn finish(&mut self) -> Result<Finished, Self::Fault>;

    /// After how long a round is given up, if it was to be after `timeout`.
    fn patience(&self, timeout: Duration) -> Duration {
        timeout
    }

    /// A node crashes; nothing is expected of it any more.
    fn crash(&mut self, node: usize) -> Result<(), Self::Fault>;

    /// It starts again; `fresh`: without its durable state.
    fn restart(&mut self, node: usize, fresh: bool) -> Result<(), Self::Fault>;

    /// A node's protocol stops, and then the node.
    fn leave(&mut self, node: usize) -> Result<(), Self::Fault>;

    /// A node stands still from now on, for so long.
    fn pause(&mut self, node: usize, time: Duration) -> Result<(), Self::Fault>;

    /// Only nodes of the same side reach each other.
    fn split(&mut self, sides: &[u32]) -> Result<(), Self::Fault>;

    /// All reach each other again.
    fn heal(&mut self) -> Result<(), Self::Fault>;

    /// A link is cut.
    fn cut(&mut self, a: usize, b: usize) -> Result<(), Self::Fault>;

    /// A link is cut in one direction.
    fn cut_one_way(&mut self, from: usize, to: usize) -> Result<(), Self::Fault>;

    /// A link that was cut is mended.
    fn mend(&mut self, a: usize, b: usize) -> Result<(), Self::Fault>;

    /// The nodes that each node's protocol has links to.
    fn neighbours(&mut self) -> Result<Vec<Vec<usize>>, Self::Fault>;

    /// Whether two nodes reach each other, as far as the scenario goes.
    fn connected(&self, a: usize, b: usize) -> bool;

    /// Nanoseconds from node to node and back.
    fn rtt(&self, a: usize, b: usize) -> u64;

    /// The way of the last message: from whom to whom it came first. Empty where nobody knows.
    fn tree(&self) -> Vec<(usize, usize)> {
        Vec::new()
    }

    /// Turns that all actors took.
    fn turns(&self) -> u64 {
        0
    }

    /// What is otherwise here than the scenario says, for people.
    fn otherwise(&self) -> Vec<String> {
        Vec::new()
    }

    /// Whether one of [`METRICS`](super::METRICS) is measured here.
    fn measures(&self, _metric: &str) -> bool {
        true
    }
}
