//! The contract's functions as the benchmarks' actors import them, doing as little as they can.

use wasmtime::error::Context;
use wasmtime::{Caller, Linker, Memory, Result};

use super::Letters;

const READS: &str = "edge:actor/reads@0.1.0";
const EFFECTS: &str = "edge:actor/effects@0.1.0";
/// The place of `address` and `child` among the cases of what a grant gives.
const ADDRESS: u32 = 0;
const CHILD: u32 = 5;
/// The handle that every granted name has.
const GRANTED: u32 = 1;

/// What the imports see.
pub struct Host {
    /// Where lists lie.
    pub(super) memory: Option<Memory>,
    /// Letters sent since the last call.
    pub(super) sent: Letters,
    /// What was asked in it.
    pub(super) asked: Option<Asked>,
    /// Why a turn failed.
    pub(super) why: String,
    /// Every name is granted: `source` as the right to spawn, others as an address.
    grants: bool,
    /// The handle of the last child.
    spawned: u32,
}

/// A question; its body is among the letters that were sent.
#[derive(Clone, Copy, Debug)]
pub struct Asked {
    /// What its answer is known by.
    pub token: u64,
}

impl Host {
    /// Handles of children come after this one, one by one.
    pub const SPAWNED: u32 = 99;

    pub(super) fn new(grants: bool) -> Self {
        Self {
            memory: None,
            sent: Letters::default(),
            asked: None,
            why: String::new(),
            grants,
            spawned: Self::SPAWNED,
        }
    }
}

type Call<'a> = Caller<'a, Host>;

/// The guest's memory and the host, apart.
fn open<'a>(caller: &'a mut Call<'_>) -> Result<(&'a mut [u8], &'a mut Host)> {
    let memory = caller.data().memory.context("it has no memory yet")?;
    Ok(memory.data_and_store_mut(caller))
}

fn list(memory: &[u8], at: u32, length: u32) -> Result<&[u8]> {
    let list = memory.get(at as usize..).and_then(|rest| rest.get(..length as usize));
    list.context("a list outside its memory")
}

/// Writes words of four bytes; a case's number before a field of four bytes is one, too.
fn put<const N: usize>(memory: &mut [u8], to: u32, words: [u32; N]) -> Result<()> {
    let places = memory.get_mut(to as usize..).and_then(|rest| rest.get_mut(..4 * N));
    let (places, _) = places.context("a place outside its memory")?.as_chunks_mut();
    places.iter_mut().zip(words).for_each(|(place, word)| *place = word.to_le_bytes());
    Ok(())
}

/// Writes a `result<_, refusal>` that is no refusal.
fn well(memory: &mut [u8], to: u32) -> Result<()> {
    *memory.get_mut(to as usize).context("a place outside its memory")? = 0;
    Ok(())
}

/// Defines them.
pub fn define(linker: &mut Linker<Host>) -> anyhow::Result<()> {
    linker.func_wrap(READS, "grant", grant)?;
    linker.func_wrap(READS, "me", || 0u32)?;
    linker.func_wrap(
        EFFECTS,
        "send",
        |caller: Call<'_>, whom: u32, body: u32, length: u32, _: u32, _: u32, _: u64, to: u32| {
            send(caller, whom, (body, length), to)
        },
    )?;
    linker.func_wrap(
        EFFECTS,
        "ask",
        |mut caller: Call<'_>,
         whom: u32,
         body: u32,
         length: u32,
         _carried: u32,
         _count: u32,
         token: u64,
         _deadline: u64,
         to: u32| {
            caller.data_mut().asked = Some(Asked { token });
            send(caller, whom, (body, length), to)
        },
    )?;
    linker.func_wrap(EFFECTS, "keep", |mut caller: Call<'_>, address: u32, to: u32| {
        put(open(&mut caller)?.0, to, [0, address])
    })?;
    linker.func_wrap(EFFECTS, "stop", |mut caller: Call<'_>, _: u32, to: u32| {
        well(open(&mut caller)?.0, to)
    })?;
    linker.func_wrap(EFFECTS, "spawn", spawn)?;
    linker.func_wrap(EFFECTS, "put", durable)?;
    linker.func_wrap(EFFECTS, "log", |_: u32, _: u32| {})?;
    linker.func_wrap(EFFECTS, "fail", |mut caller: Call<'_>, at: u32, length: u32| {
        let (memory, host) = open(&mut caller)?;
        host.why = String::from_utf8_lossy(list(memory, at, length)?).into_owned();
        Ok(())
    })?;
    Ok(())
}

fn grant(mut caller: Call<'_>, at: u32, length: u32, to: u32) -> Result<()> {
    let (memory, host) = open(&mut caller)?;
    let case = if list(memory, at, length)? == b"source" { CHILD } else { ADDRESS };
    put(memory, to, [u32::from(host.grants), case, GRANTED])
}

fn send(mut caller: Call<'_>, whom: u32, (body, length): (u32, u32), to: u32) -> Result<()> {
    let (memory, host) = open(&mut caller)?;
    host.sent.push(whom, list(memory, body, length)?);
    well(memory, to)
}

fn spawn(
    mut caller: Call<'_>,
    _child: u32,
    _grants: u32,
    _count: u32,
    _token: u64,
    to: u32,
) -> Result<()> {
    let (memory, host) = open(&mut caller)?;
    host.spawned += 1;
    put(memory, to, [0, host.spawned])
}

fn durable(
    mut caller: Call<'_>,
    _key: u32,
    _key_length: u32,
    _value: u32,
    _length: u32,
    to: u32,
) -> Result<()> {
    well(open(&mut caller)?.0, to)
}
