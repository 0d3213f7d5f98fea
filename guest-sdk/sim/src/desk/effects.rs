//! Which effects a desk takes, and why not the others: as the host does.

use super::{Desk, World};
use crate::{ActorKey, Effect, Handle, Refusal, Thing};

// As in the host's `limits.rs`: a simulated actor meets the same ends.
pub(super) const EFFECTS: usize = 4096;
pub(super) const LETTER_BYTES: usize = 256 << 10;
pub(super) const CARRIED: usize = 16;
pub(super) const KEY_BYTES: usize = 512;
pub(super) const VALUE_BYTES: usize = 256 << 10;
pub(super) const STORAGE_BYTES: usize = 4 << 20;
pub(super) const RANGE_ENTRIES: usize = 1024;
pub(super) const TRANSFER_BYTES: usize = 8 << 10;

impl Desk {
    pub(super) fn check(&mut self, effect: &Effect) -> Result<Handle, Refusal> {
        let table = matches!(
            effect,
            Effect::Send { .. }
                | Effect::Keep { .. }
                | Effect::Release { .. }
                | Effect::Spawn { .. }
        );
        if table {
            self.before_table();
        }
        match effect {
            Effect::Send { to, body, carried, .. } => self.letter(*to, body, carried, true)?,
            Effect::Ask { to, body, carried, .. } => self.letter(*to, body, carried, false)?,
            Effect::Keep { address } => {
                self.address(*address)?;
                self.table.keep(*address);
                return Ok(*address);
            }
            Effect::Release { address } => {
                self.address(*address)?;
                self.table.let_go(*address);
            }
            Effect::Put { key, value } => {
                let stored: usize = self.store.iter().map(|(k, v)| k.len() + v.len()).sum();
                let written =
                    self.writes.iter().map(|(k, v)| k.len() + v.as_ref().map_or(0, Vec::len));
                let sum = stored + written.sum::<usize>() + key.len() + value.len();
                limit(key.len(), KEY_BYTES)?;
                limit(value.len(), VALUE_BYTES)?;
                limit(sum, STORAGE_BYTES).map_err(|_| Refusal::OverQuota)?;
                self.writes.insert(key.clone(), Some(value.clone()));
            }
            Effect::Delete { key } => {
                self.writes.insert(key.clone(), None);
            }
            Effect::Drive { pin, high } => match self.table.held(*pin) {
                Some(Thing::Pin(name)) => {
                    if self.before.pins.is_none() {
                        self.before.pins = Some(self.pins.clone());
                    }
                    self.pins.insert(name.clone(), *high);
                }
                _ => return Err(Refusal::BadHandle),
            },
            Effect::Spawn { child, grants, .. } => return self.spawn(*child, grants),
            Effect::Stop { actor } | Effect::Monitor { actor, .. } => match self.table.held(*actor)
            {
                Some(Thing::Actor(_)) => {}
                _ => return Err(Refusal::BadHandle),
            },
            Effect::Arm { body, .. } => limit(body.len(), LETTER_BYTES)?,
            Effect::Disarm { .. } | Effect::Log { .. } => {}
            Effect::Connect { node } if node.len() == 32 => self.protocol()?,
            Effect::Connect { .. } => return Err(Refusal::BadHandle),
            Effect::Disconnect { link } => {
                self.protocol()?;
                let room = self.links.remove(link).ok_or(Refusal::BadHandle)?;
                self.before.links.push((*link, room));
            }
            Effect::Transmit { link, class, body } => {
                self.protocol()?;
                let room = *self.links.get(link).ok_or(Refusal::BadHandle)?;
                let queued = self.queued.entry((*link, *class)).or_default();
                limit(*queued + body.len(), room)?;
                *queued += body.len();
                self.before.queued.push((*link, *class, body.len()));
            }
            Effect::Deliver { body, .. } => {
                self.protocol()?;
                limit(body.len(), LETTER_BYTES)?;
            }
        }
        Ok(0)
    }

    fn letter(
        &mut self,
        to: Handle,
        body: &[u8],
        carried: &[Handle],
        topics: bool,
    ) -> Result<(), Refusal> {
        limit(body.len(), LETTER_BYTES)?;
        limit(carried.len(), CARRIED)?;
        for handle in carried {
            self.address(*handle)?;
        }
        match self.table.held(to).ok_or(Refusal::BadHandle)? {
            Thing::Actor(_) => {}
            Thing::Reply(..) => {
                self.table.let_go(to);
            }
            Thing::Topic(_) if topics && carried.is_empty() => {}
            Thing::Topic(_) => return Err(Refusal::Denied),
            _ => return Err(Refusal::BadHandle),
        }
        Ok(())
    }

    fn address(&self, handle: Handle) -> Result<(), Refusal> {
        match self.table.held(handle) {
            Some(Thing::Actor(_) | Thing::Reply(..)) => Ok(()),
            _ => Err(Refusal::BadHandle),
        }
    }

    fn spawn(&mut self, child: Handle, grants: &[(String, Handle)]) -> Result<Handle, Refusal> {
        let Some(Thing::Child(_)) = self.table.held(child) else {
            return Err(Refusal::BadHandle);
        };
        for (_, handle) in grants {
            self.table.held(*handle).ok_or(Refusal::BadHandle)?;
        }
        let key = ActorKey { node: self.me.node, number: self.next_number };
        let handle = self.table.insert(Thing::Actor(key), true).ok_or(Refusal::OverLimit)?;
        self.next_number += 1;
        Ok(handle)
    }

    fn protocol(&self) -> Result<(), Refusal> {
        if self.world == World::Protocol { Ok(()) } else { Err(Refusal::Denied) }
    }
}

fn limit(size: usize, most: usize) -> Result<(), Refusal> {
    if size > most { Err(Refusal::OverLimit) } else { Ok(()) }
}
