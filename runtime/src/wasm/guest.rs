//! Components ready to be instantiated, and instances, whether they are plain or not.

use wasmtime::Store;

use super::ahead::Places;
use super::bindings::edge::actor::types as wit;
use super::bindings::{Protocol, ProtocolPre};
use super::plain::{self, Batch, Spacious};

/// A component linked to its world.
pub enum Linked<T: 'static> {
    /// Its one module, without wasmtime's component layer.
    Plain(plain::Linked<T>),
    /// Any other, of however many modules.
    Layered(ProtocolPre<T>),
}

/// An instance of one. Whoever calls it asks for one thing at a time, and for none after a trap.
pub enum Guest {
    /// Of a plain component.
    Plain(plain::Guest),
    /// Of any other.
    Layered(Protocol),
}

impl<T> Clone for Linked<T> {
    fn clone(&self) -> Self {
        match self {
            Self::Plain(linked) => Self::Plain(linked.clone()),
            Self::Layered(linked) => Self::Layered(linked.clone()),
        }
    }
}

impl<T: Spacious> Linked<T> {
    /// A new instance.
    pub fn instantiate(&self, store: &mut Store<T>) -> wasmtime::Result<Guest> {
        Ok(match self {
            Self::Plain(linked) => Guest::Plain(linked.instantiate(store)?),
            Self::Layered(linked) => Guest::Layered(linked.instantiate(store)?),
        })
    }
}

impl Guest {
    /// What each call touches, if that can be told; until its memory grows.
    pub fn places<T: Spacious>(&self, store: &mut Store<T>) -> Option<Places> {
        match self {
            Self::Plain(guest) => Some(guest.places(store)),
            Self::Layered(_) => None,
        }
    }

    /// `start` of the behaviour.
    pub fn start<T: Spacious>(
        &self,
        store: &mut Store<T>,
        now: wit::Now,
    ) -> wasmtime::Result<Result<(), String>> {
        match self {
            Self::Plain(guest) => guest.start(store, now),
            Self::Layered(guest) => guest.edge_actor_behaviour().call_start(store, now),
        }
    }

    /// `handle` of the behaviour.
    pub fn handle<T: Spacious>(
        &self,
        store: &mut Store<T>,
        now: wit::Now,
        batch: &Batch<'_>,
    ) -> wasmtime::Result<Result<(), ()>> {
        match self {
            Self::Plain(guest) => guest.handle(store, now, batch),
            Self::Layered(guest) => {
                let Batch { sole, letters, events, handles, bytes } = *batch;
                let behaviour = guest.edge_actor_behaviour();
                behaviour.call_handle(store, now, sole, letters, events, handles, bytes)
            }
        }
    }

    /// `save` of the behaviour, of so many bytes at most.
    pub fn save<T: Spacious>(
        &self,
        store: &mut Store<T>,
        most: usize,
    ) -> wasmtime::Result<Result<Vec<u8>, String>> {
        match self {
            Self::Plain(guest) => guest.save(store, most),
            Self::Layered(guest) => {
                let saved = guest.edge_actor_behaviour().call_save(store)?;
                Ok(saved.and_then(|state| match plain::too_large(state.len(), most) {
                    None => Ok(state),
                    Some(why) => Err(why),
                }))
            }
        }
    }

    /// `restore` of the behaviour.
    pub fn restore<T: Spacious>(
        &self,
        store: &mut Store<T>,
        now: wit::Now,
        state: &[u8],
        writer: &str,
    ) -> wasmtime::Result<Result<(), String>> {
        match self {
            Self::Plain(guest) => guest.restore(store, now, state, writer),
            Self::Layered(guest) => {
                guest.edge_actor_behaviour().call_restore(store, now, state, writer)
            }
        }
    }
}
