//! A node's line, where its bandwidth is limited: one parcel after the other, what is of a higher
//! class before what is of a lower one, as QUIC sends its streams.

use crate::event::{Event, Parcel};
use crate::network::pair;
use crate::simulation::Simulation;

impl Simulation {
    /// Bytes per second of a parcel's way.
    pub(crate) fn bandwidth(&self, parcel: &Parcel) -> u64 {
        self.roads.of(pair(parcel.from.node, parcel.to.node)).bandwidth
    }

    /// Puts a parcel on its node's line as soon as nothing of its class or a higher one waits.
    pub(crate) fn wait_for_line(&mut self, parcel: Parcel) {
        let node = parcel.from.node;
        let Some(line) = self.roads.lines.get_mut(&node) else {
            self.roads.lines.insert(node, Default::default());
            return self.put_on_line(parcel, false);
        };
        line.entry(parcel.cargo.class()).or_default().push_back(parcel);
    }

    fn put_on_line(&mut self, parcel: Parcel, again: bool) {
        let (node, bandwidth) = (parcel.from.node, self.bandwidth(&parcel).max(1));
        let takes = (parcel.cargo.bytes() as u64).saturating_mul(1_000_000_000) / bandwidth;
        let life = self.nodes[node].life;
        let parcel = Box::new(parcel);
        self.schedule(self.now.saturating_add(takes), Event::Sent { parcel, life, again });
    }

    /// The last byte is on the line: the next parcel's turn.
    pub(crate) fn sent(&mut self, parcel: Parcel, again: bool) {
        let (node, to) = (parcel.from.node, parcel.to.node);
        let duplicate = self.roads.of(pair(node, to)).duplicate;
        if !again && self.chance.happens(duplicate) {
            // The second one is dropped where it arrives, but takes its time here.
            self.roads.doubled += 1;
            self.put_on_line(parcel.clone(), true);
            return self.leave_node(parcel);
        }
        if !again {
            self.leave_node(parcel);
        }
        let Some(line) = self.roads.lines.get_mut(&node) else { return };
        let next = line.values_mut().find_map(std::collections::VecDeque::pop_front);
        match next {
            Some(parcel) => self.put_on_line(parcel, false),
            None => drop(self.roads.lines.remove(&node)),
        }
    }
}
