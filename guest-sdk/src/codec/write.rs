//! Values into DAG-CBOR.

use std::ops::Range;

use serde::ser::{
    Serialize, SerializeMap, SerializeSeq, SerializeStruct, SerializeStructVariant, SerializeTuple,
    SerializeTupleStruct, SerializeTupleVariant, Serializer,
};

use super::form::{self, ARRAY, BYTES, Fault, MAP, NEGATIVE, SIMPLE, TAG, TEXT, UNSIGNED};

/// Writes to the end of a buffer.
pub(super) struct Writer(pub Vec<u8>);

impl Writer {
    /// The head of something so long; where the length is known, there is no choice left.
    #[inline(always)]
    fn head(&mut self, major: u8, length: u64) {
        match length {
            0..24 => self.0.push(major << 5 | length as u8),
            24..0x100 => self.0.extend_from_slice(&[major << 5 | 24, length as u8]),
            _ => self.long_head(major, length),
        }
    }

    /// Numbers of up to four bytes are written where they are wanted.
    #[inline(always)]
    fn number(&mut self, major: u8, value: u64) {
        let [.., a, b, c, d] = value.to_be_bytes();
        match value {
            0..24 => self.0.push(major << 5 | d),
            0x1_0000..0x1_0000_0000 => self.0.extend_from_slice(&[major << 5 | 26, a, b, c, d]),
            _ => self.long_head(major, value),
        }
    }

    #[inline(never)]
    fn long_head(&mut self, major: u8, value: u64) {
        let (info, unused) = match value {
            0..0x100 => (24, 7),
            0x100..0x1_0000 => (25, 6),
            0x1_0000..0x1_0000_0000 => (26, 4),
            _ => (27, 0),
        };
        self.0.push(major << 5 | info);
        self.0.extend_from_slice(&value.to_be_bytes()[unused..]);
    }

    fn text(&mut self, text: &str) {
        self.head(TEXT, text.len() as u64);
        self.0.extend_from_slice(text.as_bytes());
    }

    fn variant(&mut self, name: &str) {
        self.head(MAP, 1);
        self.text(name);
    }

    /// A CID is a newtype of bytes to serde, and the same bytes after tag 42 and a zero here.
    fn cid(&mut self, value: &(impl Serialize + ?Sized)) -> Result<(), Fault> {
        let start = self.0.len();
        value.serialize(&mut *self)?;
        let written = self.0.split_off(start);
        let mut rest = &written[..];
        let head = form::head(&mut rest)?;
        if head.major != BYTES {
            return Err(head.instead_of("a CID's bytes"));
        }
        self.head(TAG, form::CID_TAG);
        self.head(BYTES, rest.len() as u64 + 1);
        self.0.push(0);
        self.0.extend_from_slice(rest);
        Ok(())
    }

    /// Puts entries from `first` on in the order of their keys' bytes.
    #[cold]
    fn order(&mut self, first: usize, count: usize) -> Result<(), Fault> {
        let written = self.0[first..].to_vec();
        let mut entries = Vec::with_capacity(count);
        let mut rest = &written[..];
        while !rest.is_empty() {
            let entry = rest;
            form::skip(&mut rest)?;
            let key = entry.len() - rest.len();
            form::skip(&mut rest)?;
            entries.push((&entry[..key], &entry[..entry.len() - rest.len()]));
        }
        entries.sort_unstable();
        self.0.truncate(first);
        entries.into_iter().for_each(|(_, entry)| self.0.extend_from_slice(entry));
        Ok(())
    }

    /// Writes another head: rare enough to move what follows it.
    #[cold]
    fn count(&mut self, major: u8, at: Range<usize>, count: usize) {
        let mut head = Self(Vec::new());
        head.head(major, count as u64);
        self.0.splice(at, head.0);
    }

    fn several(&mut self, major: u8, told: Option<usize>) -> Several<'_> {
        let at = self.0.len();
        self.head(major, told.unwrap_or(0) as u64);
        let first = self.0.len();
        Several { writer: self, major, at, first, told, count: 0, key: 0..0, ordered: true }
    }
}

macro_rules! whole {
    ($($name:ident($kind:ty) as $wide:ident($to:ty);)*) => {
        $(fn $name(self, value: $kind) -> Result<(), Fault> {
            self.$wide(<$to>::from(value))
        })*
    };
}

impl<'a> Serializer for &'a mut Writer {
    type Ok = ();
    type Error = Fault;
    type SerializeSeq = Several<'a>;
    type SerializeTuple = Several<'a>;
    type SerializeTupleStruct = Several<'a>;
    type SerializeTupleVariant = Several<'a>;
    type SerializeMap = Several<'a>;
    type SerializeStruct = Several<'a>;
    type SerializeStructVariant = Several<'a>;

    whole! {
        serialize_i8(i8) as serialize_i64(i64);
        serialize_i16(i16) as serialize_i64(i64);
        serialize_i32(i32) as serialize_i64(i64);
        serialize_u8(u8) as serialize_u64(u64);
        serialize_u16(u16) as serialize_u64(u64);
        serialize_u32(u32) as serialize_u64(u64);
        serialize_f32(f32) as serialize_f64(f64);
    }

    fn serialize_i64(self, value: i64) -> Result<(), Fault> {
        match u64::try_from(value) {
            Ok(value) => self.number(UNSIGNED, value),
            Err(_) => self.number(NEGATIVE, !value as u64),
        }
        Ok(())
    }

    fn serialize_u64(self, value: u64) -> Result<(), Fault> {
        self.number(UNSIGNED, value);
        Ok(())
    }

    fn serialize_i128(self, value: i128) -> Result<(), Fault> {
        let (major, value) = match value {
            0.. => (UNSIGNED, u64::try_from(value)),
            _ => (NEGATIVE, u64::try_from(!value)),
        };
        self.number(major, value.map_err(|_| Fault::new("an integer of more than 64 bits"))?);
        Ok(())
    }

    fn serialize_u128(self, value: u128) -> Result<(), Fault> {
        let value = u64::try_from(value).map_err(|_| Fault::new("an integer of more than 64 bits"));
        self.serialize_u64(value?)
    }

    fn serialize_f64(self, value: f64) -> Result<(), Fault> {
        if !value.is_finite() {
            return Err(Fault::new("a number must be finite, not infinity or NaN"));
        }
        self.0.push(SIMPLE << 5 | form::DOUBLE);
        self.0.extend(value.to_be_bytes());
        Ok(())
    }

    fn serialize_bool(self, value: bool) -> Result<(), Fault> {
        self.0.push(if value { form::TRUE } else { form::FALSE });
        Ok(())
    }

    fn serialize_char(self, value: char) -> Result<(), Fault> {
        self.serialize_str(value.encode_utf8(&mut [0; 4]))
    }

    fn serialize_str(self, value: &str) -> Result<(), Fault> {
        self.text(value);
        Ok(())
    }

    fn serialize_bytes(self, value: &[u8]) -> Result<(), Fault> {
        self.head(BYTES, value.len() as u64);
        self.0.extend_from_slice(value);
        Ok(())
    }

    fn serialize_none(self) -> Result<(), Fault> {
        self.serialize_unit()
    }

    fn serialize_some<T: Serialize + ?Sized>(self, value: &T) -> Result<(), Fault> {
        value.serialize(self)
    }

    fn serialize_unit(self) -> Result<(), Fault> {
        self.0.push(form::NULL);
        Ok(())
    }

    fn serialize_unit_struct(self, _: &'static str) -> Result<(), Fault> {
        self.serialize_unit()
    }

    fn serialize_unit_variant(self, _: &str, _: u32, name: &'static str) -> Result<(), Fault> {
        self.serialize_str(name)
    }

    fn serialize_newtype_struct<T: Serialize + ?Sized>(
        self,
        name: &'static str,
        value: &T,
    ) -> Result<(), Fault> {
        match name {
            form::CID => self.cid(value),
            _ => value.serialize(self),
        }
    }

    fn serialize_newtype_variant<T: Serialize + ?Sized>(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        value: &T,
    ) -> Result<(), Fault> {
        self.variant(name);
        value.serialize(self)
    }

    fn serialize_seq(self, len: Option<usize>) -> Result<Several<'a>, Fault> {
        Ok(self.several(ARRAY, len))
    }

    fn serialize_tuple(self, len: usize) -> Result<Several<'a>, Fault> {
        Ok(self.several(ARRAY, Some(len)))
    }

    fn serialize_tuple_struct(self, _: &'static str, len: usize) -> Result<Several<'a>, Fault> {
        Ok(self.several(ARRAY, Some(len)))
    }

    fn serialize_tuple_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        len: usize,
    ) -> Result<Several<'a>, Fault> {
        self.variant(name);
        Ok(self.several(ARRAY, Some(len)))
    }

    fn serialize_map(self, len: Option<usize>) -> Result<Several<'a>, Fault> {
        Ok(self.several(MAP, len))
    }

    fn serialize_struct(self, _: &'static str, len: usize) -> Result<Several<'a>, Fault> {
        Ok(self.several(MAP, Some(len)))
    }

    fn serialize_struct_variant(
        self,
        _: &'static str,
        _: u32,
        name: &'static str,
        len: usize,
    ) -> Result<Several<'a>, Fault> {
        self.variant(name);
        Ok(self.several(MAP, Some(len)))
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// Items of a list, or entries of a map.
pub(super) struct Several<'a> {
    writer: &'a mut Writer,
    major: u8,
    /// Where its head is.
    at: usize,
    /// Where its first item or entry is.
    first: usize,
    /// How many it was said to have.
    told: Option<usize>,
    count: usize,
    /// Where the last key is.
    key: Range<usize>,
    /// Keys came in their order so far.
    ordered: bool,
}

impl Several<'_> {
    fn item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        self.count += 1;
        value.serialize(&mut *self.writer)
    }

    fn begin_key(&mut self) -> usize {
        self.count += 1;
        self.writer.0.len()
    }

    fn end_key(&mut self, start: usize) {
        self.ordered &= self.writer.0[self.key.clone()] <= self.writer.0[start..];
        self.key = start..self.writer.0.len();
    }

    /// Nearly always there is nothing to do, and then the rest of this stays in registers.
    #[inline(always)]
    fn finish(self) -> Result<(), Fault> {
        if !self.ordered {
            self.writer.order(self.first, self.count)?;
        }
        if self.told != Some(self.count) {
            self.writer.count(self.major, self.at..self.first, self.count);
        }
        Ok(())
    }
}

macro_rules! items {
    ($($trait:ident $item:ident;)*) => {
        $(impl $trait for Several<'_> {
            type Ok = ();
            type Error = Fault;

            fn $item<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
                self.item(value)
            }

            fn end(self) -> Result<(), Fault> {
                self.finish()
            }
        })*
    };
}

items! {
    SerializeSeq serialize_element;
    SerializeTuple serialize_element;
    SerializeTupleStruct serialize_field;
    SerializeTupleVariant serialize_field;
}

macro_rules! fields {
    ($($trait:ident)*) => {
        $(impl $trait for Several<'_> {
            type Ok = ();
            type Error = Fault;

            fn serialize_field<T: Serialize + ?Sized>(
                &mut self,
                name: &'static str,
                value: &T,
            ) -> Result<(), Fault> {
                let start = self.begin_key();
                self.writer.text(name);
                self.end_key(start);
                value.serialize(&mut *self.writer)
            }

            fn end(self) -> Result<(), Fault> {
                self.finish()
            }
        })*
    };
}

fields! { SerializeStruct SerializeStructVariant }

impl SerializeMap for Several<'_> {
    type Ok = ();
    type Error = Fault;

    fn serialize_key<T: Serialize + ?Sized>(&mut self, key: &T) -> Result<(), Fault> {
        let start = self.begin_key();
        key.serialize(&mut *self.writer)?;
        self.end_key(start);
        Ok(())
    }

    fn serialize_value<T: Serialize + ?Sized>(&mut self, value: &T) -> Result<(), Fault> {
        value.serialize(&mut *self.writer)
    }

    fn end(self) -> Result<(), Fault> {
        self.finish()
    }
}
