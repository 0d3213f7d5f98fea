//! What the host gives a guest: lists in places that the guest's `cabi_realloc` gives for them.

use wasmtime::{AsContextMut, StoreContextMut};

use super::layout::{aligned, length, open};
use super::wit::{Answer, Letter, LinkEvent, Message, Notice, Now, Span};
use super::{Realloc, Spacious};

/// Bytes of a `message`, whose longest case is an answer; its fields stand at multiples of 8.
const MESSAGE: usize = 48;
/// Where the fields of a message's case begin.
const CASE: usize = 8;

/// A point in time as parameters of a function.
pub fn time(now: Now) -> (u64, u32, u64, u64) {
    (now.monotonic, u32::from(now.wall.is_some()), now.wall.unwrap_or(0), now.seed)
}

/// A list of bytes: its place and length.
pub fn bytes<T: Spacious>(
    mut store: impl AsContextMut<Data = T>,
    realloc: &Realloc,
    bytes: &[u8],
) -> wasmtime::Result<(u32, u32)> {
    let at = room(&mut store, realloc, bytes.len(), 1)?;
    open(store.as_context_mut())?.1.area(at, bytes.len())?.copy_from_slice(bytes);
    Ok((at, length(bytes.len())?))
}

/// A list of handles.
fn handles<T: Spacious>(
    mut store: impl AsContextMut<Data = T>,
    realloc: &Realloc,
    handles: &[u32],
) -> wasmtime::Result<(u32, u32)> {
    let at = room(&mut store, realloc, handles.len() * 4, 4)?;
    let (_, mut guest) = open(store.as_context_mut())?;
    let (places, _) = guest.area(at, handles.len() * 4)?.as_chunks_mut::<4>();
    for (place, handle) in places.iter_mut().zip(handles) {
        *place = handle.to_le_bytes();
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

/// A batch of messages and their bodies: the places of both lists.
pub fn messages<T: Spacious>(
    mut store: impl AsContextMut<Data = T>,
    realloc: &Realloc,
    messages: &[Message<'_>],
    bodies: &[u8],
) -> wasmtime::Result<(u32, u32)> {
    let size = messages.len() * MESSAGE;
    let list = room(&mut store, realloc, size, 8)?;
    let mut lists = Vec::new();
    for message in messages {
        match List::of(message) {
            Some(List::Handles(list)) => lists.push(handles(&mut store, realloc, list)?),
            Some(List::Bytes(list)) => lists.push(bytes(&mut store, realloc, list)?),
            None => {}
        }
    }
    let body = room(&mut store, realloc, bodies.len(), 1)?;
    let (_, mut guest) = open(store.as_context_mut())?;
    guest.area(body, bodies.len())?.copy_from_slice(bodies);
    let (places, _) = guest.area(list, size)?.as_chunks_mut::<MESSAGE>();
    let mut lists = lists.into_iter();
    for (place, message) in places.iter_mut().zip(messages) {
        write(&mut Fields(place), message, || lists.next().unwrap_or_default());
    }
    Ok((list, body))
}

/// Room for a list in the guest's memory.
fn room<T: Spacious>(
    mut store: impl AsContextMut<Data = T>,
    realloc: &Realloc,
    size: usize,
    alignment: u32,
) -> wasmtime::Result<u32> {
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

/// The one list that a message has beside its body.
enum List<'a> {
    Handles(&'a [u32]),
    Bytes(&'a [u8]),
}

impl<'a> List<'a> {
    fn of(message: &Message<'a>) -> Option<Self> {
        match message {
            Message::Letter(letter) | Message::Answer(Answer { outcome: Ok(letter), .. }) => {
                letter.carried.map(Self::Handles)
            }
            Message::Link(event) => match event {
                LinkEvent::Reachable(node) => Some(Self::Bytes(node)),
                LinkEvent::Up(up) => Some(Self::Bytes(up.node)),
                LinkEvent::Down(down) => Some(Self::Bytes(down.node)),
                LinkEvent::Published(published) => Some(Self::Bytes(published.topic)),
                LinkEvent::Data(_) | LinkEvent::Rtt(_) | LinkEvent::Writable(_) => None,
            },
            _ => None,
        }
    }
}

/// A message's place, by its fields' offsets.
struct Fields<'a>(&'a mut [u8; MESSAGE]);

impl Fields<'_> {
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

    fn letter(&mut self, at: usize, letter: &Letter<'_>, list: impl FnOnce() -> (u32, u32)) {
        self.span(at, letter.body);
        self.byte(at + 8, u8::from(letter.carried.is_some()));
        if letter.carried.is_some() {
            self.list(at + 12, list());
        }
        self.byte(at + 20, u8::from(letter.reply.is_some()));
        self.word(at + 24, letter.reply.unwrap_or(0));
    }

    fn notice(&mut self, notice: &Notice) {
        self.long(CASE, notice.token);
        self.byte(CASE + 8, notice.reason as u8);
    }
}

/// Writes a message. `list` gives the place of its list.
fn write(fields: &mut Fields<'_>, message: &Message<'_>, list: impl FnOnce() -> (u32, u32)) {
    let case = match message {
        Message::Letter(letter) => {
            fields.letter(CASE, letter, list);
            0
        }
        Message::Answer(answer) => {
            fields.long(CASE, answer.token);
            fields.byte(CASE + 8, u8::from(answer.outcome.is_err()));
            match &answer.outcome {
                Ok(letter) => fields.letter(CASE + 12, letter, list),
                Err(reason) => fields.byte(CASE + 12, *reason as u8),
            }
            1
        }
        Message::Undelivered(notice) => {
            fields.notice(notice);
            2
        }
        Message::Timer(body) => {
            fields.span(CASE, *body);
            3
        }
        Message::Down(notice) => {
            fields.notice(notice);
            4
        }
        Message::Edge(edge) => {
            fields.word(CASE, edge.pin);
            fields.byte(CASE + 4, u8::from(edge.level));
            fields.long(CASE + 8, edge.at);
            fields.long(CASE + 16, edge.sequence);
            fields.long(CASE + 24, edge.dropped);
            5
        }
        Message::Expired(pin) => {
            fields.word(CASE, *pin);
            6
        }
        Message::Link(event) => {
            link(fields, event, list);
            7
        }
    };
    fields.byte(0, case);
}

/// Where the fields of a link event's case begin.
const EVENT: usize = CASE + 8;

fn link(fields: &mut Fields<'_>, event: &LinkEvent<'_>, list: impl FnOnce() -> (u32, u32)) {
    let case = match event {
        LinkEvent::Reachable(_) => {
            fields.list(EVENT, list());
            0
        }
        LinkEvent::Up(up) => {
            fields.word(EVENT, up.link);
            fields.list(EVENT + 4, list());
            1
        }
        LinkEvent::Down(down) => {
            fields.word(EVENT, down.link);
            fields.list(EVENT + 4, list());
            fields.byte(EVENT + 12, down.reason as u8);
            2
        }
        LinkEvent::Data(data) => {
            fields.word(EVENT, data.link);
            fields.span(EVENT + 4, data.body);
            3
        }
        LinkEvent::Rtt(rtt) => {
            fields.word(EVENT, rtt.link);
            fields.long(EVENT + 8, rtt.rtt);
            4
        }
        LinkEvent::Writable(link) => {
            fields.word(EVENT, *link);
            5
        }
        LinkEvent::Published(published) => {
            fields.list(EVENT, list());
            fields.span(EVENT + 8, published.body);
            6
        }
    };
    fields.byte(CASE, case);
}
