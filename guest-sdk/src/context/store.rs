//! Durable values: read in the turn (its own writes included), written when it ends well.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Context;
use crate::{Error, Result, codec};

impl<A> Context<'_, A> {
    /// The value under a key, if there is one.
    pub fn get<T: DeserializeOwned>(&mut self, key: impl AsRef<[u8]>) -> Result<Option<T>> {
        match self.host.get(key.as_ref()) {
            Some(value) => codec::decode(&value).map(Some),
            None => Ok(None),
        }
    }

    /// Writes a value.
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl Serialize) -> Result {
        let value = codec::encode(&value)?;
        self.put_raw(key, &value)
    }

    /// Deletes a value, if there is one.
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> Result {
        Ok(self.host.delete(key.as_ref())?)
    }

    /// Keys and values from `first` up to and without `end` (empty: no end), in byte order, at most
    /// `limit` and no more than the node gives in one read.
    pub fn range<T: DeserializeOwned>(
        &mut self,
        first: impl AsRef<[u8]>,
        end: impl AsRef<[u8]>,
        limit: u32,
    ) -> Result<Vec<(Vec<u8>, T)>> {
        let raw = self.range_raw(first, end, limit);
        raw.into_iter().map(|(key, value)| Ok((key, codec::decode(&value)?))).collect()
    }

    /// The bytes under a key.
    pub fn get_raw(&mut self, key: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        self.host.get(key.as_ref())
    }

    /// Writes bytes.
    pub fn put_raw(&mut self, key: impl AsRef<[u8]>, value: &[u8]) -> Result {
        let refused = |refusal| Error::new(format_args!("writing a durable value: {refusal}"));
        self.host.put(key.as_ref(), value).map_err(refused)
    }

    /// As [`range`](Context::range), in bytes.
    pub fn range_raw(
        &mut self,
        first: impl AsRef<[u8]>,
        end: impl AsRef<[u8]>,
        limit: u32,
    ) -> Vec<(Vec<u8>, Vec<u8>)> {
        self.host.range(first.as_ref(), end.as_ref(), limit)
    }
}
