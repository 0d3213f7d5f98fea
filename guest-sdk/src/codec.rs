//! Bodies: DAG-CBOR. While a letter is encoded or decoded an address in it is its position in the
//! letter's list of carried addresses; anywhere else it is the raw handle.

use std::cell::{Cell, RefCell};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_ipld_dagcbor::ser::{BufWriter, Serializer};

use crate::lenient::Lenient;
use crate::{Error, Result};

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

/// Decodes a letter's body.
pub(crate) fn decode_letter<T: DeserializeOwned>(body: &[u8], carried: &[u32]) -> Result<T> {
    let before = CARRIED.replace(Some(carried.to_vec()));
    let decoded = decode_plain(body);
    CARRIED.set(before);
    decoded
}

/// Encodes what stays with the actor: state, durable values, timers.
pub(crate) fn encode(value: &impl Serialize) -> Result<Vec<u8>> {
    let before = CARRIED.replace(None);
    let body = encode_plain(value);
    CARRIED.set(before);
    body
}

/// Decodes what stayed with the actor.
pub(crate) fn decode<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    let before = CARRIED.replace(None);
    let decoded = decode_plain(body);
    CARRIED.set(before);
    decoded
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

fn encode_plain(value: &impl Serialize) -> Result<Vec<u8>> {
    encode_into(Vec::new(), value)
}

fn encode_into(buffer: Vec<u8>, value: &impl Serialize) -> Result<Vec<u8>> {
    let mut encoder = Serializer::new(BufWriter::new(buffer));
    match value.serialize(&mut encoder) {
        Ok(()) => Ok(encoder.into_inner().into_inner()),
        Err(error) => Err(Error::new(format!("encoding: {error}"))),
    }
}

fn decode_plain<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    let mut decoder = serde_ipld_dagcbor::de::Deserializer::from_slice(body);
    let value = T::deserialize(Lenient(&mut decoder)).and_then(|value| {
        decoder.end()?;
        Ok(value)
    });
    value.map_err(|error| Error::new(format!("decoding: {error}")))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::Address;
    use serde::Deserialize;

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
