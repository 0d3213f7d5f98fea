//! Letters in one buffer, and how they lie in a guest's memory.

use anyhow::Context;

use crate::raw::{self, NO_REPLY};

/// Bytes of a `letter`: five words.
const LETTER: usize = 20;

/// Letters, their bodies in one buffer.
#[derive(Debug, Default)]
pub struct Letters {
    bodies: Vec<u8>,
    /// To whom each goes, and where its body ends.
    each: Vec<(u32, u32)>,
}

impl raw::Letters for Letters {
    fn of(body: &[u8], count: usize) -> Self {
        let mut letters = Self::default();
        (0..count).for_each(|_| letters.push(0, body));
        letters
    }

    fn count(&self) -> usize {
        self.len()
    }
}

impl Letters {
    /// One more.
    pub fn push(&mut self, whom: u32, body: &[u8]) {
        self.bodies.extend_from_slice(body);
        self.each.push((whom, self.bodies.len() as u32));
    }

    /// To whom each goes, and its body.
    pub fn iter(&self) -> impl Iterator<Item = (u32, &[u8])> {
        let mut start = 0;
        self.each.iter().map(move |(whom, end)| {
            let body = &self.bodies[start..*end as usize];
            start = *end as usize;
            (*whom, body)
        })
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.each.len()
    }

    /// Forgets them; the buffers stay.
    pub fn clear(&mut self) {
        self.bodies.clear();
        self.each.clear();
    }

    /// Bytes of all bodies.
    pub fn bytes(&self) -> anyhow::Result<u32> {
        Ok(u32::try_from(self.bodies.len())?)
    }

    /// Bytes of the list of letters.
    pub fn lowered_size(&self) -> anyhow::Result<u32> {
        Ok(u32::try_from(self.len() * LETTER)?)
    }

    /// Writes the list of them into a guest's memory at this place.
    pub fn lower(&self, memory: &mut [u8], list: u32, reply: Option<u32>) -> anyhow::Result<()> {
        let places = memory.get_mut(list as usize..).and_then(|rest| {
            let (places, _) = rest.get_mut(..self.len() * LETTER)?.as_chunks_mut::<LETTER>();
            Some(places)
        });
        let mut start = 0;
        for (place, (_, end)) in places.context("outside its memory")?.iter_mut().zip(&self.each) {
            *place = letter((start, *end), reply);
            start = *end;
        }
        Ok(())
    }

    /// Writes their bodies, at this place.
    pub fn lower_bodies(&self, memory: &mut [u8], at: u32) -> anyhow::Result<()> {
        let area = memory.get_mut(at as usize..).and_then(|rest| rest.get_mut(..self.bodies.len()));
        area.context("outside its memory")?.copy_from_slice(&self.bodies);
        Ok(())
    }
}

/// A letter that carries no addresses: its body's span, an empty one, and where an answer goes.
fn letter((start, end): (u32, u32), reply: Option<u32>) -> [u8; LETTER] {
    let mut letter = [0; LETTER];
    let (words, _) = letter.as_chunks_mut::<4>();
    for (place, word) in words.iter_mut().zip([start, end, 0, 0, reply.unwrap_or(NO_REPLY)]) {
        *place = word.to_le_bytes();
    }
    letter
}
