//! Bodies: DAG-CBOR. While a letter is encoded or decoded an address in it is its position in the
//! letter's list of carried addresses; anywhere else it is the raw handle.

use std::cell::{Cell, RefCell};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::{Error, Result};

mod form;
mod read;
mod write;

pub(crate) use form::Fault;
use read::Reader;
use write::Writer;

/// Encodes a letter's body, for as long as `send` runs, with the handles that it carries, in order
/// of first mention. The buffer is kept for the next letter.
pub(crate) fn with_letter<T>(
    value: &impl Serialize,
    send: impl FnOnce(&[u8], &[u32]) -> T,
) -> Result<T> {
    let before = CARRIED.replace(Some(Vec::new()));
    let mut body = LETTER.take();
    body.clear();
    let encoded = encode_into(body, value);
    let carried = CARRIED.replace(before).unwrap_or_default();
    let body = encoded?;
    let sent = send(&body, &carried);
    if body.capacity() <= KEPT {
        LETTER.set(body);
    }
    Ok(sent)
}

/// As [`with_letter`], to keep.
#[cfg(not(target_arch = "wasm32"))]
pub(crate) fn encode_letter(value: &impl Serialize) -> Result<(Vec<u8>, Vec<u32>)> {
    with_letter(value, |body, carried| (body.to_vec(), carried.to_vec()))
}

/// A buffer for letters larger than this is not kept.
const KEPT: usize = 4 << 10;

/// Decodes a letter's body, or, if there is no list of what it carries, what stayed with the actor.
#[inline]
pub(crate) fn decode_body<T: DeserializeOwned>(
    body: &[u8],
    carried: Option<Vec<u32>>,
) -> Result<T, Fault> {
    let before = CARRIED.replace(carried);
    let decoded = Reader::whole(body);
    CARRIED.set(before);
    decoded
}

/// Decodes a letter's body.
pub(crate) fn decode_letter<T: DeserializeOwned>(body: &[u8], carried: &[u32]) -> Result<T> {
    Ok(decode_body(body, Some(carried.to_vec()))?)
}

/// Encodes what stays with the actor: state, durable values, timers.
pub(crate) fn encode(value: &impl Serialize) -> Result<Vec<u8>> {
    encode_in(Vec::new(), value)
}

/// As [`encode`], in an empty buffer.
pub(crate) fn encode_in(buffer: Vec<u8>, value: &impl Serialize) -> Result<Vec<u8>> {
    let before = CARRIED.replace(None);
    let body = encode_into(buffer, value);
    CARRIED.set(before);
    body
}

/// Decodes what stayed with the actor.
pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    Ok(decode_body(body, None)?)
}

/// The number that stands for an address in what is being encoded.
pub(crate) fn address_out(handle: u32) -> u32 {
    CARRIED.with_borrow_mut(|carried| match carried {
        None => handle,
        Some(carried) => {
            let at = carried.iter().position(|known| *known == handle).unwrap_or(carried.len());
            if at == carried.len() {
                carried.push(handle);
            }
            at as u32
        }
    })
}

/// The address that a number stands for in what is being decoded.
pub(crate) fn address_in(number: u32) -> Option<u32> {
    CARRIED.with_borrow(|carried| match carried {
        None => Some(number),
        Some(carried) => carried.get(number as usize).copied(),
    })
}

/// The latest stamp's time in all that was decoded since the last call.
pub(crate) fn take_seen() -> u64 {
    SEEN.take()
}

/// Notes a stamp in what is being decoded.
pub(crate) fn note_stamp(time: u64) {
    SEEN.set(SEEN.get().max(time));
}

thread_local! {
    static CARRIED: RefCell<Option<Vec<u32>>> = const { RefCell::new(None) };
    static SEEN: Cell<u64> = const { Cell::new(0) };
    static LETTER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

fn encode_into(buffer: Vec<u8>, value: &impl Serialize) -> Result<Vec<u8>> {
    let mut writer = Writer(buffer);
    match value.serialize(&mut writer) {
        Ok(()) => Ok(writer.0),
        Err(error) => Err(Error::new(format!("encoding: {error}"))),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::{btree_map, vec};
    use proptest::prelude::{
        Just, Strategy, any, prop_assert, prop_assert_eq, prop_oneof, proptest,
    };
    use proptest::sample::Index;
    use serde::Deserialize;

    use super::*;
    use crate::Address;

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Message {
        Tick,
        Dial(f32),
        Pair { exact: f64, near: Option<f32>, count: u8 },
        Call(Address, Vec<Address>),
        Large(u64, i64, BTreeMap<String, bool>),
    }

    fn round(message: Message) {
        let (body, carried) = encode_letter(&message).unwrap();
        assert_eq!(decode_letter::<Message>(&body, &carried).unwrap(), message);
    }

    #[test]
    fn messages_survive_their_bytes() {
        round(Message::Tick);
        round(Message::Dial(21.3));
        round(Message::Pair { exact: 0.1, near: Some(-1.5), count: 255 });
        round(Message::Large(u64::MAX, i64::MIN, [("a".into(), true)].into()));
    }

    #[test]
    fn people_type_integers_and_short_decimals_into_float_fields() {
        let typed = |json: &str| {
            let value: serde_json::Value = serde_json::from_str(json).unwrap();
            let body = serde_ipld_dagcbor::to_vec(&value).unwrap();
            decode_letter::<Message>(&body, &[]).unwrap()
        };
        assert_eq!(typed(r#"{"Dial": 21}"#), Message::Dial(21.0));
        assert_eq!(typed(r#"{"Dial": -4}"#), Message::Dial(-4.0));
        assert_eq!(typed(r#"{"Dial": 21.3}"#), Message::Dial(21.3));
        let pair = Message::Pair { exact: 2.0, near: Some(3.0), count: 1 };
        assert_eq!(typed(r#"{"Pair": {"exact": 2, "near": 3, "count": 1}}"#), pair);
    }

    #[test]
    fn an_address_travels_as_its_place_in_the_letter() {
        let (a, b) = (Address::from_handle(77), Address::from_handle(99));
        let message = Message::Call(a, vec![b, a]);
        let (body, carried) = encode_letter(&message).unwrap();
        assert_eq!(carried, [77, 99]);
        let received = decode_letter::<Message>(&body, &[5, 6]).unwrap();
        let (a, b) = (Address::from_handle(5), Address::from_handle(6));
        assert_eq!(received, Message::Call(a, vec![b, a]));
        assert!(decode_letter::<Message>(&body, &[5]).is_err(), "an address that is not there");
    }

    #[test]
    fn an_address_at_home_is_its_handle() {
        let address = Address::from_handle(77);
        let body = encode(&address).unwrap();
        assert_eq!(decode::<Address>(&body).unwrap(), address);
    }

    #[test]
    fn an_independent_decoder_reads_a_body() {
        let (body, _) = encode_letter(&Message::Dial(21.5)).unwrap();
        assert_eq!(serde_cbor::from_slice::<Message>(&body).unwrap(), Message::Dial(21.5));
    }

    /// All that serde knows.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    enum Any {
        Unit,
        Wrapped(Box<Any>),
        Pair(i8, u64),
        Named {
            zebra: Option<bool>,
            a: char,
            middle: Vec<Any>,
            #[serde(skip_serializing_if = "Option::is_none")]
            absent: Option<i64>,
        },
        Text(String),
        Bytes(#[serde(with = "serde_bytes")] Vec<u8>),
        Map(BTreeMap<String, Any>),
        Numbers(BTreeMap<u32, f64>),
        Single(f32),
        Wide(i128),
        Nothing(()),
    }

    fn anything() -> impl Strategy<Value = Any> {
        let number = any::<f64>().prop_filter("finite", |number| number.is_finite());
        let leaf = prop_oneof![
            Just(Any::Unit),
            Just(Any::Nothing(())),
            (any::<i8>(), any::<u64>()).prop_map(|(a, b)| Any::Pair(a, b)),
            "[a-z€]{0,30}".prop_map(Any::Text),
            vec(any::<u8>(), 0..300).prop_map(Any::Bytes),
            btree_map(any::<u32>(), number, 0..5).prop_map(Any::Numbers),
            any::<i16>().prop_map(|value| Any::Single(f32::from(value) / 8.0)),
            any::<i64>().prop_map(|value| Any::Wide(i128::from(value) * 2)),
        ];
        leaf.prop_recursive(4, 40, 5, |inner| {
            prop_oneof![
                inner.clone().prop_map(|inner| Any::Wrapped(Box::new(inner))),
                btree_map("[a-z]{0,12}", inner.clone(), 0..30).prop_map(Any::Map),
                (any::<Option<bool>>(), any::<char>(), vec(inner, 0..5), any::<Option<i64>>())
                    .prop_map(|(zebra, a, middle, absent)| Any::Named { zebra, a, middle, absent }),
            ]
        })
    }

    proptest! {
        #[test]
        fn the_same_bytes_as_another_dag_cbor_and_back(value in anything()) {
            let bytes = encode(&value).unwrap();
            prop_assert_eq!(&bytes, &serde_ipld_dagcbor::to_vec(&value).unwrap());
            prop_assert_eq!(decode::<Any>(&bytes).unwrap(), value);
            // As it is read when nobody knows its form.
            let ignored = decode::<serde::de::IgnoredAny>(&bytes);
            prop_assert!(ignored.is_ok());
        }

        #[test]
        fn what_is_dag_cbor_to_another_is_so_here(mut bytes in anything().prop_map(|value| {
            encode(&value).unwrap()
        }), at in any::<Index>(), byte in any::<u8>()) {
            let at = at.index(bytes.len());
            bytes[at] = byte;
            let ours = decode::<Any>(&bytes);
            let theirs = serde_ipld_dagcbor::from_slice::<Any>(&bytes);
            // The other takes more than what it writes: a number as a key, say.
            if let Ok(theirs) = theirs && encode(&theirs).unwrap() == bytes {
                prop_assert_eq!(ours.unwrap(), theirs);
            }
        }
    }

    #[test]
    fn a_cid_has_its_tag() {
        /// As the `cid` crate has it.
        #[derive(Debug, PartialEq, Serialize, Deserialize)]
        #[serde(rename = "$__private__serde__identifier__for__cid")]
        struct Cid(serde_bytes::ByteBuf);
        let cid = Cid(vec![7; 36].into());
        let bytes = encode(&cid).unwrap();
        assert_eq!(bytes[..5], [0xd8, 42, 0x58, 37, 0]);
        assert_eq!(bytes, serde_ipld_dagcbor::to_vec(&cid).unwrap());
        assert_eq!(decode::<Cid>(&bytes).unwrap(), cid);
    }

    #[test]
    fn a_list_whose_length_is_not_known_before() {
        struct Odd;
        impl Serialize for Odd {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                to.collect_seq((0..99).filter(|number| number % 2 == 1))
            }
        }
        let bytes = encode(&(Odd, 7)).unwrap();
        let odd: Vec<u8> = (0..99).filter(|number| number % 2 == 1).collect();
        assert_eq!(decode::<(Vec<u8>, u8)>(&bytes).unwrap(), (odd, 7));
    }

    #[test]
    fn what_nests_too_deep_is_refused() {
        #[derive(Debug, Deserialize)]
        struct Nest(#[allow(dead_code)] Vec<Nest>);
        let deep = |levels| [vec![0x81; levels], vec![0x80]].concat();
        assert!(decode::<Nest>(&deep(40)).is_ok());
        let refused = decode::<Nest>(&deep(100_000)).unwrap_err();
        assert!(refused.to_string().contains("nested"), "{refused}");
    }

    #[test]
    fn no_bytes_make_the_decoder_panic() {
        let (body, carried) = encode_letter(&Message::Dial(21.5)).unwrap();
        for at in 0..body.len() {
            for byte in 0..=255 {
                let mut bad = body.clone();
                bad[at] = byte;
                let _ = decode_letter::<Message>(&bad, &carried);
                let _ = decode_letter::<Message>(&bad[..at], &carried);
            }
        }
    }
}
