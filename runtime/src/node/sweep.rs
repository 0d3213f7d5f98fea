//! What a node that was killed has left of actors that are no more.

use std::collections::BTreeSet;

use super::{IDS, Node};
use crate::actor::aside::SET_ASIDE;
use crate::address::ActorId;
use crate::store::state::{Commit, StateError};

impl Node {
    /// Removes what belongs to no name: children had it, and nobody will have their ids again. What
    /// belongs to a name stays, for an actor may be started under it again.
    pub(super) fn sweep(&self) -> Result<(), StateError> {
        let id = |(_, id): (_, Vec<u8>)| id.try_into().ok().map(ActorId);
        let named: BTreeSet<_> = self.state.records(IDS)?.into_iter().filter_map(id).collect();
        for owner in self.state.owners()? {
            if named.contains(&owner) {
                continue;
            }
            // One actor's values are bounded by its quota, and so is this commit.
            let mut commit = Commit::default();
            self.state.values(owner, b"", b"", |key, _| {
                commit.value(owner, key, None);
                true
            })?;
            self.state.commit(commit)?;
        }
        let mut commit = Commit::default();
        for (name, _) in self.state.records(SET_ASIDE)? {
            let owner = name.first_chunk().copied().map(ActorId);
            if owner.is_none_or(|owner| !named.contains(&owner)) {
                commit.record(SET_ASIDE, &name, None);
            }
        }
        self.state.commit(commit)
    }
}
