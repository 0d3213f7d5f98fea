//! Letters as bytes, by hand: exactly the DAG-CBOR that serde makes of a [`Letter`], at a tenth of
//! its cost.
//!
//! Reading gives up on anything that this writer would not have written; the general decoder then
//! says what is wrong with it.

use super::wire::{LENGTH, Letter};
use crate::address::{ActorId, Address, Hints, NodeId};

// Major types of CBOR (RFC 8949, 3.1).
const UNSIGNED: u8 = 0;
const BYTES: u8 = 2;
const ARRAY: u8 = 4;

const NULL: u8 = 0xf6;

// DAG-CBOR orders a map's keys by their bytes, length first.
const TO: &[u8] = b"\xa4\x62to\x50";
const BODY: &[u8] = b"\x64body";
const REPLY: &[u8] = b"\x65reply";
const CARRIED: &[u8] = b"\x67carried";

/// What follows the body of a letter that wants no answer and carries nothing: most are such.
const PLAIN: &[u8] = b"\x65reply\xf6\x67carried\x80";

const ADDRESS: &[u8] = b"\xa4\x61v";
const ID: &[u8] = b"\x62id\x50";
const HINTS: &[u8] = b"\x65hints";
const HINT: &[u8] = b"\x58\x20";
const PROOF: &[u8] = b"\x65proof";

/// Bytes of a letter's frame, its length included.
pub fn frame_len(letter: &Letter) -> usize {
    let carried = &letter.carried;
    let fixed = LENGTH + TO.len() + 16 + BODY.len() + REPLY.len() + CARRIED.len();
    fixed
        + head_len(letter.body.len())
        + letter.body.len()
        + letter.reply.as_deref().map_or(1, address_len)
        + head_len(carried.len())
        + carried.iter().map(address_len).sum::<usize>()
}

/// Appends a letter's frame of `size` bytes, as [`frame_len`] gives them.
pub fn write(letter: &Letter, size: usize, out: &mut Vec<u8>) {
    out.reserve(size);
    // Whoever sends has checked it against `frame_bytes`, far below u32.
    out.extend(&((size - LENGTH) as u32).to_be_bytes());
    out.extend(TO);
    out.extend(&letter.to.0);
    out.extend(BODY);
    head(BYTES, letter.body.len(), out);
    out.extend(&letter.body);
    if letter.reply.is_none() && letter.carried.is_empty() {
        return out.extend(PLAIN);
    }
    out.extend(REPLY);
    match &letter.reply {
        Some(reply) => write_address(reply, out),
        None => out.push(NULL),
    }
    out.extend(CARRIED);
    head(ARRAY, letter.carried.len(), out);
    letter.carried.iter().for_each(|address| write_address(address, out));
}

/// The letter in a frame's bytes (the length is off already); `None` unless [`write()`] made them.
pub fn read(bytes: &[u8]) -> Option<Letter> {
    let mut reader = Reader(bytes);
    reader.skip(TO)?;
    let to = ActorId(reader.array()?);
    reader.skip(BODY)?;
    let body = reader.bytes()?.to_vec();
    if reader.0 == PLAIN {
        return Some(Letter { to, body, carried: Vec::new(), reply: None });
    }
    reader.skip(REPLY)?;
    let reply = match reader.0.first()? {
        &NULL => {
            reader.take(1)?;
            None
        }
        _ => Some(Box::new(reader.address()?)),
    };
    reader.skip(CARRIED)?;
    let count = reader.head(ARRAY)?;
    let carried = (0..count).map(|_| reader.address()).collect::<Option<Vec<_>>>()?;
    reader.0.is_empty().then_some(Letter { to, body, carried, reply })
}

fn address_len(address: &Address) -> usize {
    let fixed = ADDRESS.len() + ID.len() + 16 + HINTS.len() + PROOF.len();
    fixed
        + head_len(usize::from(address.version))
        + head_len(address.hints.nodes().len())
        + address.hints.nodes().len() * (HINT.len() + 32)
        + head_len(address.proof.len())
        + address.proof.len()
}

fn write_address(address: &Address, out: &mut Vec<u8>) {
    out.extend(ADDRESS);
    head(UNSIGNED, usize::from(address.version), out);
    out.extend(ID);
    out.extend(&address.id.0);
    out.extend(HINTS);
    let hints = address.hints.nodes();
    head(ARRAY, hints.len(), out);
    for hint in hints {
        out.extend(HINT);
        out.extend(&hint.0);
    }
    out.extend(PROOF);
    head(BYTES, address.proof.len(), out);
    out.extend(&address.proof);
}

fn head_len(argument: usize) -> usize {
    match argument {
        0..24 => 1,
        24..0x100 => 2,
        0x100..0x1_0000 => 3,
        0x1_0000..0x1_0000_0000 => 5,
        _ => 9,
    }
}

/// A type and its argument, as short as can be.
fn head(major: u8, argument: usize, out: &mut Vec<u8>) {
    let major = major << 5;
    match argument {
        0..24 => out.push(major | argument as u8),
        24..0x100 => out.extend([major | 24, argument as u8]),
        0x100..0x1_0000 => {
            out.push(major | 25);
            out.extend((argument as u16).to_be_bytes());
        }
        0x1_0000..0x1_0000_0000 => {
            out.push(major | 26);
            out.extend((argument as u32).to_be_bytes());
        }
        _ => {
            out.push(major | 27);
            out.extend((argument as u64).to_be_bytes());
        }
    }
}

/// What is left to read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(count)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (taken, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*taken)
    }

    fn skip(&mut self, expected: &[u8]) -> Option<()> {
        self.0 = self.0.strip_prefix(expected)?;
        Some(())
    }

    /// The argument of a type, in its shortest form.
    fn head(&mut self, major: u8) -> Option<usize> {
        let [first] = self.array()?;
        let argument = match first.checked_sub(major << 5)? {
            short @ 0..24 => usize::from(short),
            24 => usize::from(u8::from_be_bytes(self.array()?)),
            25 => usize::from(u16::from_be_bytes(self.array()?)),
            26 => usize::try_from(u32::from_be_bytes(self.array()?)).ok()?,
            27 => usize::try_from(u64::from_be_bytes(self.array()?)).ok()?,
            _ => return None,
        };
        let long = match first & 31 {
            0..24 => 1,
            code => 1 + (1 << (code - 24)),
        };
        (head_len(argument) == long).then_some(argument)
    }

    fn bytes(&mut self) -> Option<&'a [u8]> {
        let count = self.head(BYTES)?;
        self.take(count)
    }

    fn address(&mut self) -> Option<Address> {
        self.skip(ADDRESS)?;
        let version = u8::try_from(self.head(UNSIGNED)?).ok()?;
        self.skip(ID)?;
        let id = ActorId(self.array()?);
        self.skip(HINTS)?;
        let count = self.head(ARRAY)?;
        let mut hint = || {
            self.skip(HINT)?;
            self.array().map(NodeId)
        };
        let hints = match count {
            1 => Hints::One(hint()?),
            _ => (0..count).map(|_| hint()).collect::<Option<Vec<_>>>()?.into(),
        };
        self.skip(PROOF)?;
        let proof = self.bytes()?.into();
        Some(Address { version, id, hints, proof })
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::net::wire::{decode, frame};

    fn address() -> impl Strategy<Value = Address> {
        let hints = vec(any::<[u8; 32]>().prop_map(NodeId), 0..30);
        (any::<u8>(), any::<[u8; 16]>(), hints, vec(any::<u8>(), 0..300)).prop_map(
            |(version, id, hints, proof)| Address {
                version,
                id: ActorId(id),
                hints: hints.into(),
                proof: proof.into(),
            },
        )
    }

    fn letter() -> impl Strategy<Value = Letter> {
        let size = prop_oneof![0usize..30, 200usize..300, 65_500usize..65_600];
        let carried = prop_oneof![vec(address(), 0..3), vec(address(), 20..30)];
        (any::<[u8; 16]>(), size, any::<u8>(), carried, proptest::option::of(address())).prop_map(
            |(to, size, fill, carried, reply)| Letter {
                to: ActorId(to),
                body: vec![fill; size],
                carried,
                reply: reply.map(Box::new),
            },
        )
    }

    fn written(letter: &Letter) -> Vec<u8> {
        let mut bytes = Vec::new();
        write(letter, frame_len(letter), &mut bytes);
        bytes
    }

    proptest! {
        #[test]
        fn a_letters_bytes_are_those_that_the_library_makes(letter in letter()) {
            let bytes = written(&letter);
            prop_assert_eq!(&bytes, &frame(&letter));
            let body = &bytes[LENGTH..];
            prop_assert_eq!(read(body), Some(letter.clone()));
            prop_assert_eq!(serde_cbor::from_slice::<Letter>(body).unwrap(), letter);
        }

        #[test]
        fn what_is_read_is_what_the_library_reads(
            letter in letter(),
            at in any::<proptest::sample::Index>(),
            to in any::<u8>(),
        ) {
            let mut bytes = written(&letter).split_off(LENGTH);
            // The head is where it matters: most of the rest is opaque.
            let at = at.index(bytes.len().min(200));
            bytes[at] = to;
            if let Some(read) = read(&bytes) {
                prop_assert_eq!(decode::<Letter>("letter", &bytes), Ok(read.clone()));
                prop_assert_eq!(&written(&read)[LENGTH..], &bytes);
            }
            prop_assert_eq!(read(&bytes[..at]), None);
        }
    }
}
