//! What a list, a map and a variant have in them.

use serde::de::{DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess};
use serde::de::{VariantAccess, Visitor};
use serde::forward_to_deserialize_any;

use super::{Reader, text};
use crate::codec::form::Fault;

/// Items of a list, or entries of a map.
pub(super) struct Several<'a, 'de> {
    pub reader: &'a mut Reader<'de>,
    pub left: u64,
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
pub(super) struct Variant<'a, 'de> {
    pub reader: &'a mut Reader<'de>,
    pub holds: bool,
}

impl<'de> EnumAccess<'de> for Variant<'_, 'de> {
    type Error = Fault;
    type Variant = Self;

    fn variant_seed<S: DeserializeSeed<'de>>(self, seed: S) -> Result<(S::Value, Self), Fault> {
        let name = seed.deserialize(Name(self.reader.name()?))?;
        Ok((name, self))
    }
}

/// A variant's name. It is compared with those that there are: what is no UTF-8 is none of them.
struct Name<'de>(&'de [u8]);

impl<'de> Deserializer<'de> for Name<'de> {
    type Error = Fault;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_str(text(self.0)?)
    }

    fn deserialize_identifier<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Fault> {
        visitor.visit_borrowed_bytes(self.0)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option
        unit unit_struct newtype_struct seq tuple tuple_struct map struct enum ignored_any
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
