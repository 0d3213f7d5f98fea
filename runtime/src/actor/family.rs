//! Parents and children.

use std::sync::Arc;

use super::{Actor, Command, Parent, Scheduler, lock};
use crate::address::{ActorId, Address};
use crate::mailbox::Message;
use crate::reason::Reason;
use crate::wasm::effects::Family;
use crate::wasm::table::Held;

impl Scheduler {
    pub(super) fn change_family(&self, actor: &Arc<Actor>, change: Family) {
        match change {
            Family::Spawn { id, grant, grants, token } => {
                if let Err(why) = self.spawn_child(actor, id, &grant, grants, token) {
                    actor.journal.write(format!("no child under {grant:?}: {why}"));
                    self.router.remove(id, Reason::Refused);
                    actor.mailbox.signal(Message::Down { token, reason: Reason::Refused });
                }
            }
            Family::Stop(address) => self.stop_as(actor, &address),
            Family::Monitor { whom, token } => self.router.monitor(&actor.mailbox, &whom, token),
        }
    }

    /// Stops the children of an actor that stopped, or whose incarnation failed: the next one
    /// does not know them.
    pub(super) fn stop_children(&self, parent: &Actor) {
        for child in self.children(parent) {
            self.command(&child, Command::Stop { done: None });
        }
    }

    fn spawn_child(
        &self,
        parent: &Arc<Actor>,
        id: ActorId,
        grant: &str,
        given: Vec<(String, Address)>,
        token: u64,
    ) -> Result<(), String> {
        let child = parent.spec.children.get(grant).ok_or("its manifest entry grants none")?;
        let siblings = self.children(parent);
        let of_this = |other: &&Arc<Actor>| {
            other.spec.parent.as_ref().is_some_and(|parent| parent.grant == grant)
        };
        if siblings.iter().filter(of_this).count() >= child.most {
            return Err(format!("{} live already: raise its `max`", child.most));
        }
        if self.alive() >= self.limits.actors {
            return Err(format!("{} actors live on this node: raise `actors`", self.limits.actors));
        }
        if self.quarantined(&child.spec.code.cid) {
            return Err(format!("{} is in quarantine on this node", child.spec.code.cid));
        }
        let mut spec = (*child.spec).clone();
        let number = crate::address::hex(&id.0[..4]);
        spec.name = format!("{}/{grant}-{number}", parent.spec.name);
        let held = |(name, address)| (name, Held::Actor(address));
        spec.grants.extend(given.into_iter().map(held));
        let mailbox = parent.mailbox.clone();
        spec.parent = Some(Parent { id: parent.id, grant: grant.into(), mailbox, token });
        self.spawn(id, spec);
        lock(&parent.children).push(id);
        Ok(())
    }

    /// An actor may stop its children, and itself.
    fn stop_as(&self, actor: &Arc<Actor>, address: &Address) {
        let Some(other) = self.find(address.id) else { return };
        let own_child = other.spec.parent.as_ref().is_some_and(|parent| parent.id == actor.id);
        if other.id == actor.id {
            self.command(&other, Command::End);
        } else if own_child {
            self.command(&other, Command::Stop { done: None });
        } else {
            actor.journal.write(format!("may not stop {}: not its child", other.spec.name));
        }
    }

    /// Who holds a pin that an actor claimed: itself, or the child that it is granted to.
    pub fn holder(&self, owner: ActorId, pin: u64) -> Option<Arc<Actor>> {
        let holds = |actor: &Arc<Actor>| actor.pins().any(|held| held == pin);
        let owner = self.find(owner)?;
        if holds(&owner) { Some(owner) } else { self.children(&owner).into_iter().find(holds) }
    }

    fn children(&self, parent: &Actor) -> Vec<Arc<Actor>> {
        let mut children = lock(&parent.children);
        let living: Vec<_> = children.iter().filter_map(|id| self.find(*id)).collect();
        *children = living.iter().map(|child| child.id).collect();
        living
    }
}
