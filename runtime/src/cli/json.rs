//! Messages as people write them: JSON to DAG-CBOR and back.

use std::fmt;

use anyhow::Context;
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

/// DAG-CBOR of a JSON text.
pub(super) fn to_cbor(text: &str) -> anyhow::Result<Vec<u8>> {
    let value: Value = serde_json::from_str(text).with_context(|| {
        format!("{text} is not JSON: quote it, like '\"Tick\"' or '{{\"Dial\": 21}}'")
    })?;
    serde_ipld_dagcbor::to_vec(&value).context("this JSON has no DAG-CBOR form")
}

/// JSON of a body: DAG-CBOR if it is that, else its hexadecimal digits.
pub(super) fn from_cbor(body: &[u8]) -> Value {
    match serde_ipld_dagcbor::from_slice::<Json>(body) {
        Ok(Json(value)) => value,
        Err(_) => bytes(body),
    }
}

/// Bytes as DAG-JSON would mark them, in hexadecimal digits.
fn bytes(bytes: &[u8]) -> Value {
    serde_json::json!({ "bytes": crate::address::hex(bytes) })
}

struct Json(Value);

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AsJson).map(Json)
    }
}

struct AsJson;

impl<'de> Visitor<'de> for AsJson {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DAG-CBOR")
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_bytes<E>(self, value: &[u8]) -> Result<Value, E> {
        Ok(bytes(value))
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_none<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut values = Vec::new();
        while let Some(Json(value)) = items.next_element()? {
            values.push(value);
        }
        Ok(values.into())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some((key, Json(value))) = entries.next_entry::<String, Json>()? {
            map.insert(key, value);
        }
        Ok(map.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_survives_the_way_there_and_back() {
        for text in [r#""Tick""#, r#"{"Dial":21.5}"#, r#"[1,-2,null,true,{"a":["b"]}]"#] {
            assert_eq!(from_cbor(&to_cbor(text).unwrap()).to_string(), text);
        }
    }

    #[test]
    fn bytes_and_foreign_bodies_are_shown_as_digits() {
        let cbor = serde_ipld_dagcbor::to_vec(serde_bytes::Bytes::new(&[1, 255])).unwrap();
        assert_eq!(from_cbor(&cbor).to_string(), r#"{"bytes":"01ff"}"#);
        assert_eq!(from_cbor(&[0xff]).to_string(), r#"{"bytes":"ff"}"#);
    }

    #[test]
    fn what_is_not_json_is_refused_with_an_example() {
        assert!(to_cbor("Tick").unwrap_err().to_string().contains("quote it"));
    }
}
