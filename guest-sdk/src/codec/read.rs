//! DAG-CBOR into values, as lenient with numbers as people are: `{"Dial": 21}` reads into a float,
//! and so does 21.3 into an `f32`.

mod parts;

use serde::de::value::BytesDeserializer;
use serde::de::{Deserialize, Deserializer, Visitor};

use parts::{Several, Variant};

use super::form::{self, ARRAY, BYTES, Fault, Head, MAP, NEGATIVE, SIMPLE, TAG, TEXT, UNSIGNED};

/// Values within values, at most: what nests deeper is refused before it fills a guest's stack.
const DEPTH: u8 = 128;

/// The head of a variant that holds something: a map of one entry.
const HOLDS: u8 = MAP << 5 | 1;

/// What is left to read.
pub(super) struct Reader<'de> {
    rest: &'de [u8],
    depth: u8,
}

impl<'de> Reader<'de> {
    /// Reads one value, and nothing after it.
    #[inline]
    pub fn whole<T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Fault> {
        let mut reader = Self { rest: bytes, depth: 0 };
        // Given back as it is: a letter's value is not moved for the sake of what is rare.
        let mut value = T::deserialize(&mut reader);
        if !reader.rest.is_empty() && value.is_ok() {
            value = Err(reader.more());
        }
        value
    }

    #[cold]
    fn more(&self) -> Fault {
        Fault::new(format_args!("{} bytes after its end", self.rest.len()))
    }

    #[inline(always)]
    fn head(&mut self) -> Result<Head, Fault> {
        form::head(&mut self.rest)
    }

    fn peek(&self) -> Result<u8, Fault> {
        self.rest.first().copied().ok_or_else(form::cut_short)
    }

    #[inline(always)]
    fn take(&mut self, count: u64) -> Result<&'de [u8], Fault> {
        form::take(&mut self.rest, count)
    }

    /// How long what follows is, if that is of this major type. What is short has no call to make.
    #[inline(always)]
    fn length(&mut self, major: u8, wanted: &str) -> Result<u64, Fault> {
        match *self.rest {
            [first, ref rest @ ..] if first >> 5 == major && first & 31 < 24 => {
                self.rest = rest;
                Ok(u64::from(first & 31))
            }
            [first, length, ref rest @ ..] if first == major << 5 | 24 => {
                self.rest = rest;
                Ok(u64::from(length))
            }
            _ => self.long_length(major, wanted),
        }
    }

    #[inline(never)]
    fn long_length(&mut self, major: u8, wanted: &str) -> Result<u64, Fault> {
        let head = self.head()?;
        match head.major == major {
            true => Ok(head.value),
            false => Err(head.instead_of(wanted)),
        }
    }

    /// A text's bytes, which may be no UTF-8.
    #[inline(always)]
    fn name(&mut self) -> Result<&'de [u8], Fault> {
        let length = self.length(TEXT, "a text")?;
        self.take(length)
    }

    fn text(&mut self) -> Result<&'de str, Fault> {
        text(self.name()?)
    }

    #[inline(always)]
    fn bytes(&mut self) -> Result<&'de [u8], Fault> {
        let length = self.length(BYTES, "bytes")?;
        self.take(length)
    }

    /// Small ones are read where they are wanted.
    #[inline(always)]
    fn number<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Fault> {
        match *self.rest {
            [first @ 0..24, ref rest @ ..] => {
                self.rest = rest;
                visitor.visit_u64(u64::from(first))
            }
            [24, number, ref rest @ ..] => {
                self.rest = rest;
                visitor.visit_u64(u64::from(number))
            }
            [25, a, b, ref rest @ ..] => {
                self.rest = rest;
                visitor.visit_u64(u64::from(u16::from_be_bytes([a, b])))
            }
            [26, a, b, c, d, ref rest @ ..] => {
                self.rest = rest;
                visitor.visit_u64(u64::from(u32::from_be_bytes([a, b, c, d])))
            }
            _ => self.long_number(visitor),
        }
    }

    #[inline(never)]
    fn long_number<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Fault> {
        let head = self.head()?;
        match head.major {
            UNSIGNED => visitor.visit_u64(head.value),
            NEGATIVE => match i64::try_from(head.value) {
                Ok(value) => visitor.visit_i64(-1 - value),
                Err(_) => visitor.visit_i128(-1 - i128::from(head.value)),
            },
            SIMPLE if head.info == form::DOUBLE => visitor.visit_f64(f64::from_bits(head.value)),
            SIMPLE if head.info == form::SINGLE => {
                visitor.visit_f32(f32::from_bits(head.value as u32))
            }
            _ => Err(head.instead_of("a number")),
        }
    }

    #[inline(always)]
    fn within<T>(&mut self, read: impl FnOnce(&mut Self) -> Result<T, Fault>) -> Result<T, Fault> {
        if self.depth >= DEPTH {
            return Err(Fault::new(format_args!("nested more than {DEPTH} deep")));
        }
        self.depth += 1;
        let read = read(self);
        self.depth -= 1;
        read
    }

    fn items<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Fault> {
        let length = self.length(ARRAY, "a list")?;
        self.several(length, |items| visitor.visit_seq(items))
    }

    fn entries<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Fault> {
        let length = self.length(MAP, "a map")?;
        self.several(length, |entries| visitor.visit_map(entries))
    }

    fn several<T>(
        &mut self,
        left: u64,
        visit: impl FnOnce(&mut Several<'_, 'de>) -> Result<T, Fault>,
    ) -> Result<T, Fault> {
        self.within(|reader| {
            let mut several = Several { reader, left };
            let value = visit(&mut several)?;
            match several.left {
                0 => Ok(value),
                left => Err(Fault::new(format_args!("{left} items more than expected"))),
            }
        })
    }

    /// A CID is a byte string after tag 42, and a newtype to serde.
    fn cid<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Fault> {
        let head = self.head()?;
        if head.major != TAG || head.value != form::CID_TAG {
            return Err(head.instead_of("a CID"));
        }
        match self.bytes()? {
            [0, cid @ ..] => visitor.visit_newtype_struct(BytesDeserializer::new(cid)),
            _ => Err(Fault::new("a CID that does not begin with a zero")),
        }
    }
}

fn text(bytes: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(bytes).map_err(|_| Fault::new("a text that is not UTF-8"))
}

macro_rules! read {
    ($read:ident: $($name:ident)*) => {
        $(fn $name<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
            self.$read(visitor)
        })*
    };
}

impl<'de> Deserializer<'de> for &mut Reader<'de> {
    type Error = Fault;

    read! { number:
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
        deserialize_f32 deserialize_f64
    }

    read! { items: deserialize_seq }

    read! { entries: deserialize_map }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let first = self.peek()?;
        match first >> 5 {
            UNSIGNED | NEGATIVE => self.number(visitor),
            BYTES => visitor.visit_borrowed_bytes(self.bytes()?),
            TEXT => visitor.visit_borrowed_str(self.text()?),
            ARRAY => self.items(visitor),
            MAP => self.entries(visitor),
            TAG => self.cid(visitor),
            _ => match first {
                form::FALSE | form::TRUE => self.deserialize_bool(visitor),
                form::NULL => {
                    self.rest = &self.rest[1..];
                    visitor.visit_none()
                }
                _ => self.number(visitor),
            },
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        let value = match self.peek()? {
            form::FALSE => false,
            form::TRUE => true,
            _ => return Err(self.head()?.instead_of("true or false")),
        };
        self.rest = &self.rest[1..];
        visitor.visit_bool(value)
    }

    fn deserialize_char<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_str<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_string<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_str(self.text()?)
    }

    fn deserialize_bytes<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_bytes(self.bytes()?)
    }

    fn deserialize_byte_buf<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_bytes(self.bytes()?)
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        if self.peek()? == form::NULL {
            self.rest = &self.rest[1..];
            return visitor.visit_none();
        }
        self.within(|reader| visitor.visit_some(reader))
    }

    fn deserialize_unit<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        match self.peek()? {
            form::NULL => {
                self.rest = &self.rest[1..];
                visitor.visit_unit()
            }
            _ => Err(self.head()?.instead_of("nothing")),
        }
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.deserialize_unit(visitor)
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        if name == form::CID {
            return self.cid(visitor);
        }
        self.within(|reader| visitor.visit_newtype_struct(reader))
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.items(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: usize,
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.items(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.entries(visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _: &'static str,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        // Called in one place: a visitor that is called in two is not compiled into either.
        let holds = match self.peek()? {
            HOLDS => {
                self.rest = &self.rest[1..];
                true
            }
            first if first >> 5 == TEXT => false,
            _ => return Err(self.head()?.instead_of("a variant")),
        };
        self.within(|reader| visitor.visit_enum(Variant { reader, holds }))
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        form::skip(&mut self.rest)?;
        visitor.visit_unit()
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}
