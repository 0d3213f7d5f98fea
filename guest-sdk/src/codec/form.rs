//! What reading and writing DAG-CBOR share (RFC 8949, section 3; DAG-CBOR's own rules: definite
//! lengths, 64-bit floats, keys in the order of their encoded bytes, no tag but 42).

use std::fmt;

use serde::de::{Expected, Unexpected};

// Major types (RFC 8949, 3.1).
pub(super) const UNSIGNED: u8 = 0;
pub(super) const NEGATIVE: u8 = 1;
pub(super) const BYTES: u8 = 2;
pub(super) const TEXT: u8 = 3;
pub(super) const ARRAY: u8 = 4;
pub(super) const MAP: u8 = 5;
pub(super) const TAG: u8 = 6;
pub(super) const SIMPLE: u8 = 7;

pub(super) const FALSE: u8 = 0xf4;
pub(super) const TRUE: u8 = 0xf5;
pub(super) const NULL: u8 = 0xf6;
/// Of a head with major type [`SIMPLE`].
pub(super) const SINGLE: u8 = 26;
pub(super) const DOUBLE: u8 = 27;

/// What the `cid` crate calls its newtype, so that formats know it.
pub(super) const CID: &str = "$__private__serde__identifier__for__cid";
pub(super) const CID_TAG: u64 = 42;

/// Why bytes are no value, or a value has no form.
#[derive(Debug)]
pub(crate) struct Fault(Box<str>);

impl Fault {
    #[cold]
    pub fn new(why: impl fmt::Display) -> Self {
        Self(why.to_string().into())
    }
}

impl Fault {
    fn not_among(kind: &str, name: &str, known: &[&str]) -> Self {
        let mut why = ["no ", kind, " is called `", name, "`: "].concat();
        for (number, known) in known.iter().enumerate() {
            why.push_str(if number == 0 { "there is " } else { ", " });
            why.push_str(known);
        }
        if known.is_empty() {
            why.push_str("there is none");
        }
        Self(why.into())
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Fault {}

/// Serde's own texts would bring all of `core::fmt` into each guest: a third of its code, and 6 kB
/// of tables that every instance has a copy of.
impl serde::de::Error for Fault {
    #[cold]
    fn custom<T: fmt::Display>(why: T) -> Self {
        Self::new(why)
    }

    #[cold]
    fn invalid_type(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::new(format_args!("{} where {wanted} is expected", kind(&found)))
    }

    #[cold]
    fn invalid_value(found: Unexpected<'_>, wanted: &dyn Expected) -> Self {
        Self::new(format_args!("{} that is not {wanted}", kind(&found)))
    }

    #[cold]
    fn invalid_length(count: usize, wanted: &dyn Expected) -> Self {
        Self::new(format_args!("{count} items where {wanted} is expected"))
    }

    #[cold]
    fn unknown_variant(name: &str, known: &'static [&'static str]) -> Self {
        Self::not_among("variant", name, known)
    }

    #[cold]
    fn unknown_field(name: &str, known: &'static [&'static str]) -> Self {
        Self::not_among("field", name, known)
    }

    #[cold]
    fn missing_field(name: &'static str) -> Self {
        Self::new(format_args!("field `{name}` is missing"))
    }

    #[cold]
    fn duplicate_field(name: &'static str) -> Self {
        Self::new(format_args!("field `{name}` is there twice"))
    }
}

fn kind(found: &Unexpected<'_>) -> &'static str {
    match found {
        Unexpected::Bool(_) => "true or false",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) | Unexpected::Float(_) => "a number",
        Unexpected::Char(_) | Unexpected::Str(_) => "a text",
        Unexpected::Bytes(_) => "bytes",
        Unexpected::Unit | Unexpected::Option => "nothing",
        Unexpected::Seq => "a list",
        Unexpected::Map => "a map",
        Unexpected::Enum
        | Unexpected::UnitVariant
        | Unexpected::NewtypeVariant
        | Unexpected::TupleVariant
        | Unexpected::StructVariant => "a variant",
        Unexpected::NewtypeStruct | Unexpected::Other(_) => "something else",
    }
}

impl serde::ser::Error for Fault {
    fn custom<T: fmt::Display>(why: T) -> Self {
        Self::new(why)
    }
}

#[cold]
#[inline(never)]
pub(super) fn cut_short() -> Fault {
    Fault::new("it ends too early")
}

/// The head of a value: major type, the low five bits, and the number they stand for.
#[derive(Clone, Copy)]
pub(super) struct Head {
    pub major: u8,
    pub info: u8,
    pub value: u64,
}

impl Head {
    #[cold]
    pub fn instead_of(self, wanted: &str) -> Fault {
        let found = match (self.major, self.info) {
            (UNSIGNED | NEGATIVE, _) | (SIMPLE, SINGLE | DOUBLE) => "a number",
            (BYTES, _) => "bytes",
            (TEXT, _) => "a text",
            (ARRAY, _) => "a list",
            (MAP, _) => "a map",
            (TAG, _) => "a tagged value",
            (_, 20 | 21) => "true or false",
            (_, 22) => "nothing",
            _ => "what DAG-CBOR does not know",
        };
        Fault::new(format_args!("{found} where {wanted} is expected"))
    }
}

/// Reads a head.
#[inline(always)]
pub(super) fn head(rest: &mut &[u8]) -> Result<Head, Fault> {
    let (&first, after) = rest.split_first().ok_or_else(cut_short)?;
    let (major, info) = (first >> 5, first & 31);
    *rest = after;
    let value = if info < 24 { u64::from(info) } else { number(rest, info)? };
    Ok(Head { major, info, value })
}

/// The number that follows a head.
#[inline(always)]
fn number(rest: &mut &[u8], info: u8) -> Result<u64, Fault> {
    Ok(match info {
        24 => u64::from(u8::from_be_bytes(array(rest)?)),
        25 => u64::from(u16::from_be_bytes(array(rest)?)),
        26 => u64::from(u32::from_be_bytes(array(rest)?)),
        27 => u64::from_be_bytes(array(rest)?),
        _ => return Err(Fault::new("a length that is not given at once")),
    })
}

#[inline(always)]
fn array<const N: usize>(rest: &mut &[u8]) -> Result<[u8; N], Fault> {
    let (bytes, after) = rest.split_first_chunk().ok_or_else(cut_short)?;
    *rest = after;
    Ok(*bytes)
}

/// Reads so many bytes.
#[inline(always)]
pub(super) fn take<'de>(rest: &mut &'de [u8], count: u64) -> Result<&'de [u8], Fault> {
    let count = usize::try_from(count).map_err(|_| cut_short())?;
    let (bytes, after) = rest.split_at_checked(count).ok_or_else(cut_short)?;
    *rest = after;
    Ok(bytes)
}

/// Reads over one value, however deep.
pub(super) fn skip(rest: &mut &[u8]) -> Result<(), Fault> {
    let mut left = 1u64;
    while left > 0 {
        left -= 1;
        let head = head(rest)?;
        match head.major {
            BYTES | TEXT => drop(take(rest, head.value)?),
            ARRAY => left = left.saturating_add(head.value),
            MAP => left = left.saturating_add(head.value.saturating_mul(2)),
            TAG => left = left.saturating_add(1),
            _ => {}
        }
    }
    Ok(())
}
