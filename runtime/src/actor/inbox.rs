//! What an actor has to do: messages taken from its mailbox and not handled yet.

use std::cell::Cell;
use std::collections::VecDeque;

use crate::mailbox::Message;

/// An empty buffer with room for more messages than this is not kept for the next activation.
const KEPT: usize = 1024;

/// See the module. Between activations most actors have none, and take no more than a word for it:
/// their worker's buffer goes from one to the next, and stays in the processor's cache.
#[derive(Debug, Default)]
pub(super) struct Inbox(Option<Box<Buffer>>);

type Buffer = VecDeque<Message>;

thread_local! {
    static SPARE: Cell<Option<Box<Buffer>>> = const { Cell::new(None) };
}

impl Inbox {
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    pub fn len(&self) -> usize {
        self.0.as_ref().map_or(0, |buffer| buffer.len())
    }

    /// The first so many messages.
    pub fn first(&mut self, count: usize) -> &[Message] {
        match &mut self.0 {
            Some(buffer) => &buffer.make_contiguous()[..count],
            None => &[],
        }
    }

    pub fn push(&mut self, message: Message) {
        self.buffer().push_back(message);
    }

    /// Messages that were taken out wait once more, before the others.
    pub fn put_back(&mut self, messages: Vec<Message>) {
        for message in messages.into_iter().rev() {
            self.buffer().push_front(message);
        }
    }

    pub fn pop(&mut self) -> Option<Message> {
        self.0.as_mut()?.pop_front()
    }

    /// The first so many messages are done with.
    pub fn drain(&mut self, count: usize) -> impl Iterator<Item = Message> {
        self.0.iter_mut().flat_map(move |buffer| buffer.drain(..count))
    }

    /// The same, and nobody wants them.
    pub fn done(&mut self, count: usize) {
        match &mut self.0 {
            Some(buffer) if buffer.len() == count => buffer.clear(),
            Some(buffer) => drop(buffer.drain(..count)),
            None => {}
        }
    }

    /// An activation ends: an empty buffer is the next one's on this thread.
    pub fn rest(&mut self) {
        if let Some(buffer) = self.0.take_if(|buffer| buffer.is_empty())
            && buffer.capacity() <= KEPT
        {
            SPARE.set(Some(buffer));
        }
    }

    fn buffer(&mut self) -> &mut Buffer {
        self.0.get_or_insert_with(|| SPARE.take().unwrap_or_default())
    }
}
