//! What the host gives a guest: lists in places that the guest's `cabi_realloc` gives for them.

use wasmtime::{AsContextMut, StoreContextMut};

use super::layout::{aligned, length, open};
use super::wit::{Event, Letter, LinkEvent, Notice, Now, Sole, Span};
use super::{Realloc, Spacious};

/// Messages as `handle` has them.
pub struct Batch<'a> {
    pub sole: Sole,
    pub letters: &'a [Letter],
    /// Each with the number of letters that come before it.
    pub events: &'a [(u32, Event<'a>)],
    pub handles: &'a [u32],
    pub bytes: &'a [u8],
}

/// Where an answer goes if none is wanted: a handle that no table gives.
pub const NO_REPLY: u32 = u32::MAX;

/// Bytes of a `letter`: five words.
const LETTER: usize = 20;
/// Bytes of an event and the number before it; its fields stand at multiples of 8, and its longest
/// cases are an answer and an edge.
const EVENT: usize = 48;
/// Where an event's case is, and where the case's fields begin.
const CASE: usize = 8;
const FIELDS: usize = CASE + 8;

/// A point in time as parameters of a function.
pub fn time(now: Now) -> (u64, u32, u64, u64) {
    (now.monotonic, u32::from(now.wall.is_some()), now.wall.unwrap_or(0), now.seed)
}

/// The one message of a batch: its case, and what that has.
pub fn sole(sole: Sole) -> (u32, u64) {
    match sole {
        Sole::None => (0, 0),
        Sole::Letter(reply) => (1, reply.into()),
        Sole::Answer(token) => (2, token),
    }
}

/// A list of bytes: its place and length.
pub fn bytes<T: Spacious>(
    mut store: impl AsContextMut<Data = T>,
    realloc: &Realloc,
    bytes: &[u8],
) -> wasmtime::Result<(u32, u32)> {
    let at = room(&mut store, realloc, bytes.len(), 1)?;
    if !bytes.is_empty() {
        open(store.as_context_mut())?.1.area(at, bytes.len())?.copy_from_slice(bytes);
    }
    Ok((at, length(bytes.len())?))
}

/// A list of handles.
fn handles<T: Spacious>(
    mut store: impl AsContextMut<Data = T>,
    realloc: &Realloc,
    handles: &[u32],
) -> wasmtime::Result<(u32, u32)> {
    let size = handles.len() * 4;
    let at = room(&mut store, realloc, size, 4)?;
    if size > 0 {
        let (_, mut guest) = open(store.as_context_mut())?;
        let (places, _) = guest.area(at, size)?.as_chunks_mut::<4>();
        for (place, handle) in places.iter_mut().zip(handles) {
            *place = handle.to_le_bytes();
        }
    }
    Ok((at, length(handles.len())?))
}

/// Bytes of a pair of lists.
const PAIR: usize = 16;

/// A list of keys and values.
pub fn pairs<T: Spacious>(
    mut store: impl AsContextMut<Data = T>,
    realloc: &Realloc,
    pairs: &[(Vec<u8>, Vec<u8>)],
) -> wasmtime::Result<(u32, u32)> {
    let size = pairs.len() * PAIR;
    let at = room(&mut store, realloc, size, 4)?;
    let mut lists = Vec::with_capacity(pairs.len());
    for (key, value) in pairs {
        lists.push((bytes(&mut store, realloc, key)?, bytes(&mut store, realloc, value)?));
    }
    let (_, mut guest) = open(store.as_context_mut())?;
    let (places, _) = guest.area(at, size)?.as_chunks_mut::<PAIR>();
    for (place, (key, value)) in places.iter_mut().zip(lists) {
        let (words, _) = place.as_chunks_mut::<4>();
        for (place, word) in words.iter_mut().zip([key.0, key.1, value.0, value.1]) {
            *place = word.to_le_bytes();
        }
    }
    Ok((at, length(pairs.len())?))
}

/// The lists of a batch: place and length of each.
pub fn batch<T: Spacious>(
    mut store: impl AsContextMut<Data = T>,
    realloc: &Realloc,
    batch: &Batch<'_>,
) -> wasmtime::Result<[(u32, u32); 4]> {
    // Most often; an empty list lies where `room` would have it.
    if batch.letters.len() + batch.events.len() + batch.handles.len() == 0 {
        return Ok([(4, 0), (8, 0), (4, 0), bytes(&mut store, realloc, batch.bytes)?]);
    }
    Ok([
        letters(&mut store, realloc, batch.letters)?,
        events(&mut store, realloc, batch.events)?,
        handles(&mut store, realloc, batch.handles)?,
        bytes(&mut store, realloc, batch.bytes)?,
    ])
}

fn letters<T: Spacious>(
    mut store: impl AsContextMut<Data = T>,
    realloc: &Realloc,
    letters: &[Letter],
) -> wasmtime::Result<(u32, u32)> {
    let size = letters.len() * LETTER;
    let list = room(&mut store, realloc, size, 4)?;
    if size > 0 {
        let (_, mut guest) = open(store.as_context_mut())?;
        let (places, _) = guest.area(list, size)?.as_chunks_mut::<LETTER>();
        for (place, letter) in places.iter_mut().zip(letters) {
            Fields(place).letter(0, letter);
        }
    }
    Ok((list, length(letters.len())?))
}

fn events<T: Spacious>(
    mut store: impl AsContextMut<Data = T>,
    realloc: &Realloc,
    events: &[(u32, Event<'_>)],
) -> wasmtime::Result<(u32, u32)> {
    let size = events.len() * EVENT;
    let list = room(&mut store, realloc, size, 8)?;
    if size > 0 {
        let mut ids = Vec::new();
        for (_, event) in events {
            ids.push(id(event).map(|id| bytes(&mut store, realloc, id)).transpose()?);
        }
        let (_, mut guest) = open(store.as_context_mut())?;
        let (places, _) = guest.area(list, size)?.as_chunks_mut::<EVENT>();
        for ((place, (before, event)), id) in places.iter_mut().zip(events).zip(ids) {
            let mut fields = Fields(place);
            fields.word(0, *before);
            write(&mut fields, event, id.unwrap_or_default());
        }
    }
    Ok((list, length(events.len())?))
}

/// Room for a list in the guest's memory. An empty one may lie anywhere: the guest is not asked.
fn room<T: Spacious>(
    mut store: impl AsContextMut<Data = T>,
    realloc: &Realloc,
    size: usize,
    alignment: u32,
) -> wasmtime::Result<u32> {
    if size == 0 {
        return Ok(alignment);
    }
    let size = length(size)?;
    let at = shut(&mut store, |store| realloc.call(store, (0, 0, alignment, size)))?;
    aligned(at, alignment)?;
    Ok(at)
}

/// Calls a guest's function that may call no import.
pub fn shut<T: Spacious, R>(
    mut store: impl AsContextMut<Data = T>,
    call: impl FnOnce(StoreContextMut<'_, T>) -> wasmtime::Result<R>,
) -> wasmtime::Result<R> {
    let mut store = store.as_context_mut();
    set_shut(&mut store, true);
    let called = call(store.as_context_mut());
    set_shut(&mut store, false);
    called
}

fn set_shut<T: Spacious>(store: &mut StoreContextMut<'_, T>, shut: bool) {
    if let Some(space) = store.data_mut().space() {
        space.shut = shut;
    }
}

/// The one list that an event has of its own: a node's id, or a topic's.
fn id<'a>(event: &Event<'a>) -> Option<&'a [u8]> {
    let Event::Link(event) = event else { return None };
    match event {
        LinkEvent::Reachable(node) => Some(node),
        LinkEvent::Up(up) => Some(up.node),
        LinkEvent::Down(down) => Some(down.node),
        LinkEvent::Published(published) => Some(published.topic),
        LinkEvent::Data(_) | LinkEvent::Rtt(_) | LinkEvent::Writable(_) => None,
    }
}

/// A place in the guest's memory, by its fields' offsets.
struct Fields<'a, const N: usize>(&'a mut [u8; N]);

impl<const N: usize> Fields<'_, N> {
    fn byte(&mut self, at: usize, value: u8) {
        self.0[at] = value;
    }

    fn word(&mut self, at: usize, value: u32) {
        self.0[at..at + 4].copy_from_slice(&value.to_le_bytes());
    }

    fn long(&mut self, at: usize, value: u64) {
        self.0[at..at + 8].copy_from_slice(&value.to_le_bytes());
    }

    fn list(&mut self, at: usize, (place, length): (u32, u32)) {
        self.word(at, place);
        self.word(at + 4, length);
    }

    fn span(&mut self, at: usize, span: Span) {
        self.list(at, (span.start, span.end));
    }

    fn letter(&mut self, at: usize, letter: &Letter) {
        self.span(at, letter.body);
        self.span(at + 8, letter.carried);
        self.word(at + 16, letter.reply);
    }

    fn notice(&mut self, notice: &Notice) {
        self.long(FIELDS, notice.token);
        self.byte(FIELDS + 8, notice.reason as u8);
    }
}

/// Writes an event; `id` is the place of its id.
fn write(fields: &mut Fields<'_, EVENT>, event: &Event<'_>, id: (u32, u32)) {
    let case = match event {
        Event::Answer(answer) => {
            fields.long(FIELDS, answer.token);
            fields.byte(FIELDS + 8, u8::from(answer.outcome.is_err()));
            match &answer.outcome {
                Ok(letter) => fields.letter(FIELDS + 12, letter),
                Err(reason) => fields.byte(FIELDS + 12, *reason as u8),
            }
            0
        }
        Event::Undelivered(notice) => {
            fields.notice(notice);
            1
        }
        Event::Timer(body) => {
            fields.span(FIELDS, *body);
            2
        }
        Event::Down(notice) => {
            fields.notice(notice);
            3
        }
        Event::Edge(edge) => {
            fields.word(FIELDS, edge.pin);
            fields.byte(FIELDS + 4, u8::from(edge.level));
            fields.long(FIELDS + 8, edge.at);
            fields.long(FIELDS + 16, edge.sequence);
            fields.long(FIELDS + 24, edge.dropped);
            4
        }
        Event::Expired(pin) => {
            fields.word(FIELDS, *pin);
            5
        }
        Event::Link(event) => {
            link(fields, event, id);
            6
        }
    };
    fields.byte(CASE, case);
}

/// Where the fields of a link event's case begin.
const LINK: usize = FIELDS + 8;

fn link(fields: &mut Fields<'_, EVENT>, event: &LinkEvent<'_>, id: (u32, u32)) {
    let case = match event {
        LinkEvent::Reachable(_) => {
            fields.list(LINK, id);
            0
        }
        LinkEvent::Up(up) => {
            fields.word(LINK, up.link);
            fields.list(LINK + 4, id);
            1
        }
        LinkEvent::Down(down) => {
            fields.word(LINK, down.link);
            fields.list(LINK + 4, id);
            fields.byte(LINK + 12, down.reason as u8);
            2
        }
        LinkEvent::Data(data) => {
            fields.word(LINK, data.link);
            fields.span(LINK + 4, data.body);
            3
        }
        LinkEvent::Rtt(rtt) => {
            fields.word(LINK, rtt.link);
            fields.long(LINK + 8, rtt.rtt);
            4
        }
        LinkEvent::Writable(link) => {
            fields.word(LINK, *link);
            5
        }
        LinkEvent::Published(published) => {
            fields.list(LINK, id);
            fields.span(LINK + 8, published.body);
            6
        }
    };
    fields.byte(FIELDS, case);
}
