//! Nodes that are there, but whose protocol is not: they are tried again, less and less often.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::event::Node;
use crate::limits::{ABSENT, AGAIN_FIRST, AGAIN_LAST};

/// Bounded; where there is no room a node is left to connect by itself.
#[derive(Debug, Default, Serialize, Deserialize)]
pub struct Absent(Vec<Again>);

#[derive(Debug, Serialize, Deserialize)]
struct Again {
    node: Node,
    at: Duration,
    wait: Duration,
}

impl Absent {
    /// A link to the node went down, or did not come up.
    pub fn note(&mut self, now: Duration, node: Node) {
        if let Some(again) = self.0.iter_mut().find(|again| again.node == node) {
            again.wait = (again.wait * 2).min(AGAIN_LAST);
            again.at = now + again.wait;
        } else if self.0.len() < ABSENT {
            self.0.push(Again { node, at: now + AGAIN_FIRST, wait: AGAIN_FIRST });
        }
    }

    /// A link to the node is up.
    pub fn forget(&mut self, node: &Node) {
        self.0.retain(|again| again.node != *node);
    }

    /// The nodes to try now. Each is tried once, until it is noted again.
    pub fn due(&mut self, now: Duration) -> Vec<Node> {
        let due = self.0.iter_mut().filter(|again| again.at <= now);
        due.map(|again| {
            again.at = Duration::MAX;
            again.node
        })
        .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_is_tried_less_and_less_often_until_its_link_is_up() {
        let (mut absent, node, mut now) = (Absent::default(), [7; 32], Duration::ZERO);
        let mut waits = Vec::new();
        for _ in 0..6 {
            absent.note(now, node);
            let since = now;
            while absent.due(now).is_empty() {
                now += Duration::from_secs(1);
            }
            assert!(absent.due(now + AGAIN_LAST).is_empty(), "once");
            waits.push((now - since).as_secs());
        }
        assert_eq!(waits, [2, 4, 8, 16, 32, 60]);
        absent.note(now, node);
        absent.forget(&node);
        assert!(absent.due(Duration::MAX).is_empty());
    }

    #[test]
    fn absent_nodes_are_bounded() {
        let mut absent = Absent::default();
        for number in 0..=255 {
            absent.note(Duration::ZERO, [number; 32]);
        }
        assert_eq!(absent.due(AGAIN_FIRST).len(), ABSENT);
    }
}
