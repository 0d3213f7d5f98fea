//! Parents and children.

use std::sync::Arc;

use super::{Actor, Parent, Scheduler, Spawner, Wish, lock};
use crate::address::{ActorId, Address};
use crate::mailbox::Message;
use crate::reason::Reason;
use crate::wasm::effects::Family;

impl Scheduler {
    pub(super) fn change_family(&self, actor: &Arc<Actor>, change: Family) {
        match change {
            Family::Spawn { id, grant, grants, token } => {
                if let Err(why) = self.spawn_child(actor, id, &grant, grants, token) {
                    actor.journal().write(format!("no child under {grant:?}: {why}"));
                    self.router.remove(id, Reason::Refused);
                    actor.inlet().signal(Message::Down { token, reason: Reason::Refused });
                }
            }
            Family::Stop(address) => self.stop_as(actor, &address),
            Family::Monitor { whom, token } => self.router.monitor(&actor.inlet(), &whom, token),
        }
    }

    /// Stops the children of an actor that stopped, or whose incarnation failed: the next one
    /// does not know them.
    pub(super) fn stop_children(&self, parent: &Actor) {
        for child in self.children(parent) {
            self.wish(&child, Wish::Stop);
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
        let (grant, child) =
            parent.spec.children.get_key_value(grant).ok_or("its manifest entry grants none")?;
        self.room_for_one().map_err(|full| full.to_string())?;
        if self.quarantined(&child.spec.code.cid) {
            return Err(format!("{} is in quarantine on this node", child.spec.code.cid));
        }
        {
            let mut children = lock(&parent.aside().children);
            let siblings = children.entry(grant.clone()).or_default();
            if siblings.len() >= child.most {
                return Err(format!("{} live already: raise its `max`", child.most));
            }
            siblings.insert(id);
        }
        let given = given.into_iter().map(|(name, address)| (name.into(), address)).collect();
        let family = Parent { actor: parent.clone(), grant: grant.clone(), token, given };
        self.spawn(id, Spawner::Actor(Box::new(family)), child.spec.clone());
        Ok(())
    }

    /// An actor may stop its children, and itself.
    fn stop_as(&self, actor: &Arc<Actor>, address: &Address) {
        let Some(other) = self.find(address.id) else { return };
        let own_child = other.parent().is_some_and(|family| family.actor.id() == actor.id());
        if other.id() == actor.id() {
            self.wish(&other, Wish::End);
        } else if own_child {
            self.wish(&other, Wish::Stop);
        } else {
            actor.journal().write(format!("may not stop {}: not its child", other.name()));
        }
    }

    /// Who holds a pin that an actor claimed: itself, or the child that it is granted to.
    pub fn holder(&self, owner: ActorId, pin: u64) -> Option<Arc<Actor>> {
        let holds = |actor: &Arc<Actor>| actor.pins().any(|held| held == pin);
        let owner = self.find(owner)?;
        if holds(&owner) { Some(owner) } else { self.children(&owner).into_iter().find(holds) }
    }

    /// A child is gone for good: its parent may have another one.
    pub(super) fn leave_family(&self, child: &Actor, reason: Reason) {
        let Some(family) = child.parent() else { return };
        let parent = &family.actor;
        if let Some(siblings) = lock(&parent.aside().children).get_mut(&family.grant) {
            siblings.remove(&child.id());
        }
        parent.inlet().signal(Message::Down { token: family.token, reason });
    }

    fn children(&self, parent: &Actor) -> Vec<Arc<Actor>> {
        let Some(aside) = parent.aside.get() else { return Vec::new() };
        let children = lock(&aside.children);
        children.values().flatten().filter_map(|id| self.find(*id)).collect()
    }
}
