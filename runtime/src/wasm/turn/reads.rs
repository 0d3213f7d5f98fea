//! What a turn may read: every read is answered now.

use std::collections::BTreeMap;

use super::{Turn, nanoseconds};
use crate::address::Address;
use crate::wasm::bindings::edge::actor::types::{Granted, Handle, Reading};
use crate::wasm::bindings::edge::actor::{reads, types};
use crate::wasm::table::Held;

impl types::Host for Turn {}

impl reads::Host for Turn {
    fn grant(&mut self, name: String) -> Option<Granted> {
        let (_, handle) = *self.holds.grants.iter().find(|(granted, _)| **granted == *name)?;
        Some(match self.holds.table.find(handle)? {
            Held::Actor(_) | Held::Reply(_) => Granted::Address(handle),
            Held::Topic(_) => Granted::Topic(handle),
            Held::Pin(_) => Granted::Pin(handle),
            Held::Sensor(_) => Granted::Sensor(handle),
            Held::Bus(_) => Granted::Bus(handle),
            Held::Child(_) => Granted::Child(handle),
        })
    }

    fn me(&mut self) -> Handle {
        if let Some(own) = self.holds.own {
            return own;
        }
        // Handle 2^32 - 1 is never given: with a full table, one's own address is a bad handle.
        let me = Address::new(self.inlet.owner(), self.reads.me());
        let own = self.holds.table.hold(Held::Actor(me));
        self.holds.own = own;
        own.unwrap_or(Handle::MAX)
    }

    fn get(&mut self, key: Vec<u8>) -> Option<Vec<u8>> {
        if let Some(written) = self.effects.writes.get(&key) {
            return written.clone();
        }
        self.reads.value(self.inlet.owner(), &key).unwrap_or_else(|why| {
            self.fault = Some(why);
            None
        })
    }

    fn range(&mut self, first: Vec<u8>, end: Vec<u8>, limit: u32) -> Vec<(Vec<u8>, Vec<u8>)> {
        let most = self.budget.node.range_entries.min(limit as usize);
        let mut bytes = self.budget.node.range_bytes;
        // Of the stored values, those that this turn has overwritten don't count; of its own writes
        // at most `most` can be in the answer.
        let writes = &self.effects.writes;
        let mut merged = BTreeMap::new();
        let stored = self.reads.values(self.inlet.owner(), &first, &end, &mut |key, value| {
            if !writes.contains_key(key) {
                merged.insert(key.to_vec(), value.to_vec());
            }
            merged.len() < most
        });
        if let Err(why) = stored {
            self.fault = Some(why);
        }
        let within =
            |key: &[u8]| key >= first.as_slice() && (end.is_empty() || key < end.as_slice());
        let own = writes.iter().filter(|(key, _)| within(key));
        merged.extend(own.filter_map(|(key, value)| Some((key.clone(), value.clone()?))));
        let fits = |(key, value): &(Vec<u8>, Vec<u8>)| {
            let size = key.len() + value.len();
            let fits = size <= bytes;
            bytes = bytes.saturating_sub(size);
            fits
        };
        merged.into_iter().take(most).take_while(fits).collect()
    }

    fn last(&mut self, sensor: Handle) -> Option<Reading> {
        let Some(Held::Sensor(sensor)) = self.holds.table.find(sensor) else { return None };
        let (value, at) = self.reads.last(*sensor)?;
        Some(Reading { value, at: nanoseconds(at) })
    }

    fn level(&mut self, pin: Handle) -> Option<bool> {
        let Some(Held::Pin(pin)) = self.holds.table.find(pin) else { return None };
        let driven = self.effects.drives.iter().rev().find(|(driven, _)| driven == pin);
        driven.map(|(_, high)| *high).or_else(|| self.reads.level(*pin))
    }
}
