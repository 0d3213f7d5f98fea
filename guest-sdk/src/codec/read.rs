//! DAG-CBOR into values, as lenient with numbers as people are: `{"Dial": 21}` reads into a float,
//! and so does 21.3 into an `f32`.

use serde::de::value::BytesDeserializer;
use serde::de::{
    Deserialize, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess, VariantAccess,
    Visitor,
};

use super::form::{self, ARRAY, BYTES, Fault, Head, MAP, NEGATIVE, SIMPLE, TAG, TEXT, UNSIGNED};

/// Values within values, at most: what nests deeper is refused before it fills a guest's stack.
const DEPTH: u8 = 128;

/// What is left to read.
pub(super) struct Reader<'de> {
    rest: &'de [u8],
    depth: u8,
}

impl<'de> Reader<'de> {
    /// Reads one value, and nothing after it.
    pub fn whole<T: Deserialize<'de>>(bytes: &'de [u8]) -> Result<T, Fault> {
        let mut reader = Self { rest: bytes, depth: 0 };
        let value = T::deserialize(&mut reader)?;
        match reader.rest {
            [] => Ok(value),
            rest => Err(Fault::new(format_args!("{} bytes after its end", rest.len()))),
        }
    }

    fn head(&mut self) -> Result<Head, Fault> {
        form::head(&mut self.rest)
    }

    fn peek(&self) -> Result<u8, Fault> {
        self.rest.first().copied().ok_or_else(form::cut_short)
    }

    fn take(&mut self, count: u64) -> Result<&'de [u8], Fault> {
        form::take(&mut self.rest, count)
    }

    fn text(&mut self) -> Result<&'de str, Fault> {
        let head = self.head()?;
        if head.major != TEXT {
            return Err(head.instead_of("a text"));
        }
        let bytes = self.take(head.value)?;
        std::str::from_utf8(bytes).map_err(|_| Fault::new("a text that is not UTF-8"))
    }

    fn bytes(&mut self) -> Result<&'de [u8], Fault> {
        let head = self.head()?;
        if head.major != BYTES {
            return Err(head.instead_of("bytes"));
        }
        self.take(head.value)
    }

    fn number<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Fault> {
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
        let head = self.head()?;
        if head.major != ARRAY {
            return Err(head.instead_of("a list"));
        }
        self.several(head.value, |items| visitor.visit_seq(items))
    }

    fn entries<V: Visitor<'de>>(&mut self, visitor: V) -> Result<V::Value, Fault> {
        let head = self.head()?;
        if head.major != MAP {
            return Err(head.instead_of("a map"));
        }
        self.several(head.value, |entries| visitor.visit_map(entries))
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
        let first = self.peek()?;
        if first == MAP << 5 | 1 {
            self.rest = &self.rest[1..];
            return self.within(|reader| visitor.visit_enum(Variant { reader, holds: true }));
        }
        if first >> 5 != TEXT {
            return Err(self.head()?.instead_of("a variant"));
        }
        visitor.visit_enum(Variant { reader: self, holds: false })
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        form::skip(&mut self.rest)?;
        visitor.visit_unit()
    }

    fn is_human_readable(&self) -> bool {
        false
    }
}

/// Items of a list, or entries of a map.
struct Several<'a, 'de> {
    reader: &'a mut Reader<'de>,
    left: u64,
}

impl Several<'_, '_> {
    fn hint(&self) -> Option<usize> {
        // No more than there are bytes: a lie makes nobody allocate.
        Some(self.reader.rest.len().min(self.left.try_into().unwrap_or(usize::MAX)))
    }
}

impl<'de> SeqAccess<'de> for Several<'_, 'de> {
    type Error = Fault;

    fn next_element_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        if self.left == 0 {
            return Ok(None);
        }
        self.left -= 1;
        seed.deserialize(&mut *self.reader).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

impl<'de> MapAccess<'de> for Several<'_, 'de> {
    type Error = Fault;

    fn next_key_seed<S: DeserializeSeed<'de>>(
        &mut self,
        seed: S,
    ) -> Result<Option<S::Value>, Fault> {
        self.next_element_seed(seed)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Fault> {
        seed.deserialize(&mut *self.reader)
    }

    fn size_hint(&self) -> Option<usize> {
        self.hint()
    }
}

/// A variant's name, and what it holds.
struct Variant<'a, 'de> {
    reader: &'a mut Reader<'de>,
    holds: bool,
}

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Fault> {
        let name = seed.deserialize(&mut *self.reader)?;
        Ok((name, self))
    }
}

impl<'de> Variant<'_, 'de> {
    fn content(&mut self) -> Result<&mut Reader<'de>, Fault> {
        match self.holds {
            true => Ok(self.reader),
            false => Err(Fault::new("a variant without what it holds")),
        }
    }
}

impl<'de> VariantAccess<'de> for Variant<'_, 'de> {
    type Error = Fault;

    fn unit_variant(self) -> Result<(), Fault> {
        match self.holds {
            false => Ok(()),
            // What other encoders make of it.
            true => self.reader.deserialize_unit(serde::de::IgnoredAny).map(drop),
        }
    }

    fn newtype_variant_seed<S: DeserializeSeed<'de>>(mut self, seed: S) -> Result<S::Value, Fault> {
        seed.deserialize(self.content()?)
    }

    fn tuple_variant<V: Visitor<'de>>(mut self, _: usize, visitor: V) -> Result<V::Value, Fault> {
        self.content()?.items(visitor)
    }

    fn struct_variant<V: Visitor<'de>>(
        mut self,
        _: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Fault> {
        self.content()?.entries(visitor)
    }
}
