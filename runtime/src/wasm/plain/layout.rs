//! A guest's memory during a call: lists read from it, and places written to, each checked.

use wasmtime::{StoreContextMut, bail};

use super::Spacious;
use crate::wasm::COPY_BYTES;

/// A guest's memory, as long as no function of it runs.
pub struct Bytes<'a> {
    bytes: &'a mut [u8],
    /// What may still be copied in this call.
    left: usize,
}

/// The host's part of a store and the guest's memory, apart.
pub fn open<'a, T: Spacious>(
    store: impl Into<StoreContextMut<'a, T>>,
) -> wasmtime::Result<(&'a mut T, Bytes<'a>)> {
    let mut store = store.into();
    let Some(space) = store.data_mut().space() else {
        bail!("it calls an import while it is instantiated");
    };
    if space.shut {
        bail!("it calls an import where it may only make room in its memory");
    }
    let memory = space.memory;
    let (bytes, host) = memory.data_and_store_mut(store);
    Ok((host, Bytes { bytes, left: COPY_BYTES }))
}

/// A list's length as a guest has it.
pub fn length(length: usize) -> wasmtime::Result<u32> {
    u32::try_from(length).map_err(|_| wasmtime::format_err!("{length} items are too many"))
}

impl Bytes<'_> {
    /// The bytes of a list.
    pub fn list(&mut self, at: u32, length: u32) -> wasmtime::Result<&[u8]> {
        let (at, length) = (at as usize, length as usize);
        let Some(left) = self.left.checked_sub(length) else {
            bail!("it has more than {COPY_BYTES} bytes copied in one call");
        };
        self.left = left;
        match self.bytes.get(at..).and_then(|rest| rest.get(..length)) {
            Some(list) => Ok(list),
            None => bail!("a list of {length} bytes at {at} is outside its memory"),
        }
    }

    /// The same, copied.
    pub fn copy(&mut self, at: u32, length: u32) -> wasmtime::Result<Vec<u8>> {
        self.list(at, length).map(<[u8]>::to_vec)
    }

    /// A string.
    pub fn string(&mut self, at: u32, length: u32) -> wasmtime::Result<String> {
        Ok(std::str::from_utf8(self.list(at, length)?)?.to_string())
    }

    /// A list of records of `N` words of four bytes.
    pub fn records<const N: usize>(
        &mut self,
        at: u32,
        count: u32,
    ) -> wasmtime::Result<impl ExactSizeIterator<Item = [u32; N]> + use<'_, N>> {
        aligned(at, 4)?;
        let Some(length) = count.checked_mul(4 * N as u32) else {
            bail!("a list of {count} items at {at} is outside its memory");
        };
        let (words, _) = self.list(at, length)?.as_chunks::<4>();
        let (records, _) = words.as_chunks::<N>();
        Ok(records.iter().map(|record| record.map(u32::from_le_bytes)))
    }

    /// `N` words of four bytes.
    pub fn words<const N: usize>(&mut self, at: u32) -> wasmtime::Result<[u32; N]> {
        Ok(self.records(at, 1)?.next().unwrap_or([0; N]))
    }

    /// A place of `N` bytes to be written.
    pub fn place<const N: usize>(
        &mut self,
        at: u32,
        alignment: u32,
    ) -> wasmtime::Result<&mut [u8; N]> {
        aligned(at, alignment)?;
        match self.bytes.get_mut(at as usize..).and_then(<[u8]>::first_chunk_mut) {
            Some(place) => Ok(place),
            None => bail!("a place of {N} bytes at {at} is outside its memory"),
        }
    }

    /// A place of so many bytes to be written, whatever its alignment.
    pub fn area(&mut self, at: u32, length: usize) -> wasmtime::Result<&mut [u8]> {
        match self.bytes.get_mut(at as usize..).and_then(|rest| rest.get_mut(..length)) {
            Some(area) => Ok(area),
            None => bail!("a place of {length} bytes at {at} is outside its memory"),
        }
    }
}

/// Refuses a pointer that is not a multiple of its type's alignment.
pub fn aligned(at: u32, alignment: u32) -> wasmtime::Result<()> {
    if !at.is_multiple_of(alignment) {
        bail!("a pointer, {at}, is no multiple of {alignment}");
    }
    Ok(())
}
