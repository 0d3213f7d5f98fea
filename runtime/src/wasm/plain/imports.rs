//! The contract's functions as a module imports them: parameters and results flattened as the
//! Canonical ABI has it, what is too long for that through the guest's memory.

use wasmtime::{Caller, Linker, bail};

use super::layout::{Bytes, aligned, open};
use super::{Import, Realloc, Spacious, lower};
use crate::wasm::bindings::driver::edge::actor::i2c;
use crate::wasm::bindings::edge::actor::types::{Class, Granted, Handle, Refusal};
use crate::wasm::bindings::edge::actor::{effects, links, reads};

type Done = wasmtime::Result<()>;

/// Defines an import by its parameters and what the host, with the guest's memory at hand, does.
macro_rules! define {
    (
        $linker:ident, $import:ident,
        |$host:ident, $guest:ident, $($name:ident: $ty:ty),*| $does:expr
    ) => {
        $linker.func_wrap(
            &$import.from,
            &$import.name,
            |mut caller: Caller<'_, T>, $($name: $ty),*| -> Done {
                #[allow(unused_mut, reason = "some functions have nothing in the guest's memory")]
                let ($host, mut $guest) = open(&mut caller)?;
                $does
            },
        )
    };
}

/// Defines an import that all worlds have, or a protocol.
pub fn contract<T>(linker: &mut Linker<T>, import: &Import) -> Done
where
    T: Spacious + reads::Host + effects::Host + links::Host,
{
    match import.interface() {
        "reads" => reading(linker, import),
        "effects" => effect(linker, import),
        "links" => linking(linker, import),
        _ => import.unknown(),
    }
}

/// Defines a driver's import.
pub fn bus<T: Spacious + i2c::Host>(linker: &mut Linker<T>, import: &Import) -> Done {
    match (import.interface(), import.function.as_str()) {
        ("i2c", "write-read") => {
            linker.func_wrap(&import.from, &import.name, transfer::<T>).map(drop)
        }
        _ => import.unknown(),
    }
}

fn transfer<T: Spacious + i2c::Host>(
    mut caller: Caller<'_, T>,
    device: u32,
    at: u32,
    length: u32,
    read: u32,
    to: u32,
) -> Done {
    let (host, mut guest) = open(&mut caller)?;
    let fields = match host.write_read(device, guest.copy(at, length)?, read) {
        Ok(read) => {
            let realloc = realloc(&mut caller)?;
            let (at, length) = lower::bytes(&mut caller, &realloc, &read)?;
            [0, at, length]
        }
        Err(error) => [1, error as u32, 0],
    };
    open(&mut caller)?.1.put(to, fields)
}

fn reading<T: Spacious + reads::Host>(linker: &mut Linker<T>, import: &Import) -> Done {
    match import.function.as_str() {
        "grant" => define!(linker, import, |host, guest, at: u32, length: u32, to: u32| {
            let granted = host.grant(guest.string(at, length)?).map(cases);
            guest.put(to, granted.map_or([0; 3], |(case, handle)| [1, case, handle]))
        }),
        "me" => {
            let me = |mut caller: Caller<'_, T>| open(&mut caller).map(|(host, _)| host.me());
            linker.func_wrap(&import.from, &import.name, me)
        }
        "get" => linker.func_wrap(&import.from, &import.name, get::<T>),
        "range" => linker.func_wrap(&import.from, &import.name, range::<T>),
        "last" => define!(linker, import, |host, guest, sensor: u32, to: u32| {
            let reading = host.last(sensor);
            let place = guest.place::<24>(to, 8)?;
            place[0] = u8::from(reading.is_some());
            if let Some(reading) = reading {
                place[8..16].copy_from_slice(&reading.value.to_le_bytes());
                place[16..].copy_from_slice(&reading.at.to_le_bytes());
            }
            Ok(())
        }),
        "level" => define!(linker, import, |host, guest, pin: u32, to: u32| {
            let level = host.level(pin);
            *guest.place(to, 1)? = [u8::from(level.is_some()), u8::from(level == Some(true))];
            Ok(())
        }),
        _ => return import.unknown(),
    }
    .map(drop)
}

fn get<T: Spacious + reads::Host>(
    mut caller: Caller<'_, T>,
    at: u32,
    length: u32,
    to: u32,
) -> Done {
    let (host, mut guest) = open(&mut caller)?;
    let fields = match host.get(guest.copy(at, length)?) {
        Some(value) => {
            let realloc = realloc(&mut caller)?;
            let (at, length) = lower::bytes(&mut caller, &realloc, &value)?;
            [1, at, length]
        }
        None => [0; 3],
    };
    open(&mut caller)?.1.put(to, fields)
}

fn range<T: Spacious + reads::Host>(
    mut caller: Caller<'_, T>,
    first: u32,
    first_length: u32,
    end: u32,
    end_length: u32,
    limit: u32,
    to: u32,
) -> Done {
    let (host, mut guest) = open(&mut caller)?;
    let first = guest.copy(first, first_length)?;
    let found = host.range(first, guest.copy(end, end_length)?, limit);
    let realloc = realloc(&mut caller)?;
    let (at, length) = lower::pairs(&mut caller, &realloc, &found)?;
    open(&mut caller)?.1.put(to, [at, length])
}

fn effect<T: Spacious + effects::Host>(linker: &mut Linker<T>, import: &Import) -> Done {
    match import.function.as_str() {
        "send" => define!(linker, import, |host,
                                           guest,
                                           whom: u32,
                                           body: u32,
                                           length: u32,
                                           carried: u32,
                                           count: u32,
                                           token: u64,
                                           to: u32| {
            let (body, carried) = (guest.copy(body, length)?, guest.handles(carried, count)?);
            guest.outcome(to, host.send(whom, body, carried, token))
        }),
        "ask" => define!(linker, import, |host,
                                          guest,
                                          whom: u32,
                                          body: u32,
                                          length: u32,
                                          carried: u32,
                                          count: u32,
                                          token: u64,
                                          deadline: u64,
                                          to: u32| {
            let (body, carried) = (guest.copy(body, length)?, guest.handles(carried, count)?);
            guest.outcome(to, host.ask(whom, body, carried, token, deadline))
        }),
        "keep" => define!(linker, import, |host, guest, address: u32, to: u32| {
            guest.handle(to, host.keep(address))
        }),
        "release" => define!(linker, import, |host, guest, address: u32, to: u32| {
            guest.outcome(to, host.release(address))
        }),
        "arm" => define!(linker, import, |host,
                                          guest,
                                          key: u64,
                                          body: u32,
                                          length: u32,
                                          after: u64,
                                          every: u64,
                                          to: u32| {
            let body = guest.copy(body, length)?;
            guest.outcome(to, host.arm(key, body, after, every))
        }),
        "disarm" => define!(linker, import, |host, _guest, key: u64| {
            host.disarm(key);
            Ok(())
        }),
        "put" => define!(linker, import, |host,
                                          guest,
                                          key: u32,
                                          key_length: u32,
                                          value: u32,
                                          length: u32,
                                          to: u32| {
            let (key, value) = (guest.copy(key, key_length)?, guest.copy(value, length)?);
            guest.outcome(to, host.put(key, value))
        }),
        "delete" => define!(linker, import, |host, guest, key: u32, length: u32, to: u32| {
            let key = guest.copy(key, length)?;
            guest.outcome(to, host.delete(key))
        }),
        _ => return family(linker, import),
    }
    .map(drop)
}

fn family<T: Spacious + effects::Host>(linker: &mut Linker<T>, import: &Import) -> Done {
    match import.function.as_str() {
        "drive" => define!(linker, import, |host, guest, pin: u32, high: u32, to: u32| {
            guest.outcome(to, host.drive(pin, high != 0))
        }),
        "spawn" => define!(linker, import, |host,
                                            guest,
                                            child: u32,
                                            grants: u32,
                                            count: u32,
                                            token: u64,
                                            to: u32| {
            let records: Vec<[u32; 3]> = guest.records(grants, count)?.collect();
            let named = records
                .into_iter()
                .map(|[at, length, handle]| guest.string(at, length).map(|name| (name, handle)));
            let grants = named.collect::<wasmtime::Result<_>>()?;
            guest.handle(to, host.spawn(child, grants, token))
        }),
        "stop" => define!(linker, import, |host, guest, actor: u32, to: u32| {
            guest.outcome(to, host.stop(actor))
        }),
        "monitor" => define!(linker, import, |host, guest, actor: u32, token: u64, to: u32| {
            guest.outcome(to, host.monitor(actor, token))
        }),
        "log" => define!(linker, import, |host, guest, at: u32, length: u32| {
            host.log(guest.string(at, length)?);
            Ok(())
        }),
        "fail" => define!(linker, import, |host, guest, at: u32, length: u32| {
            host.fail(guest.string(at, length)?);
            Ok(())
        }),
        _ => return import.unknown(),
    }
    .map(drop)
}

fn linking<T: Spacious + links::Host>(linker: &mut Linker<T>, import: &Import) -> Done {
    match import.function.as_str() {
        "connect" => define!(linker, import, |host, guest, at: u32, length: u32, to: u32| {
            let node = guest.copy(at, length)?;
            guest.outcome(to, host.connect(node))
        }),
        "disconnect" => define!(linker, import, |host, guest, link: u32, to: u32| {
            guest.outcome(to, host.disconnect(link))
        }),
        "transmit" => {
            define!(linker, import, |host,
                                     guest,
                                     link: u32,
                                     class: u32,
                                     body: u32,
                                     length: u32,
                                     to: u32| {
                let (class, body) = (class_of(class)?, guest.copy(body, length)?);
                guest.outcome(to, host.transmit(link, class, body))
            })
        }
        "deliver" => {
            define!(linker, import, |host,
                                     guest,
                                     topic: u32,
                                     topic_length: u32,
                                     body: u32,
                                     length: u32,
                                     to: u32| {
                let (topic, body) = (guest.copy(topic, topic_length)?, guest.copy(body, length)?);
                guest.outcome(to, host.deliver(topic, body))
            })
        }
        _ => return import.unknown(),
    }
    .map(drop)
}

impl Import {
    /// Its interface's name, without package and version.
    pub fn interface(&self) -> &str {
        let name = self.interface.strip_prefix("edge:actor/").unwrap_or(&self.interface);
        name.split_once('@').map_or(name, |(name, _)| name)
    }

    fn unknown(&self) -> Done {
        bail!("it imports `{}` of {}, which is not there", self.function, self.interface)
    }
}

impl Bytes<'_> {
    fn handles(&mut self, at: u32, count: u32) -> wasmtime::Result<Vec<Handle>> {
        if count == 0 {
            aligned(at, 4)?;
            return Ok(Vec::new());
        }
        Ok(self.records(at, count)?.map(|[handle]| handle).collect())
    }

    /// Writes a `result<_, refusal>`.
    fn outcome(&mut self, to: u32, outcome: Result<(), Refusal>) -> Done {
        *self.place(to, 1)? = outcome.map_or_else(|refusal| [1, refusal as u8], |()| [0, 0]);
        Ok(())
    }

    /// Writes a `result<handle, refusal>`.
    fn handle(&mut self, to: u32, outcome: Result<Handle, Refusal>) -> Done {
        self.put(to, outcome.map_or_else(|refusal| [1, refusal as u32], |handle| [0, handle]))
    }

    /// Writes fields that begin at multiples of four bytes. One of a single byte has zeros behind
    /// it, where its padding is.
    fn put<const N: usize>(&mut self, to: u32, fields: [u32; N]) -> Done {
        aligned(to, 4)?;
        let (places, _) = self.area(to, 4 * N)?.as_chunks_mut();
        for (place, field) in places.iter_mut().zip(fields) {
            *place = field.to_le_bytes();
        }
        Ok(())
    }
}

/// What makes room for lists that an import gives.
fn realloc<T: Spacious>(caller: &mut Caller<'_, T>) -> wasmtime::Result<Realloc> {
    match *caller.data_mut().space() {
        Some(space) => space.realloc.typed(caller),
        None => bail!("it has no instance"),
    }
}

fn class_of(class: u32) -> wasmtime::Result<Class> {
    match class {
        0 => Ok(Class::Control),
        1 => Ok(Class::Command),
        2 => Ok(Class::State),
        3 => Ok(Class::Bulk),
        other => bail!("{other} is no class"),
    }
}

fn cases(granted: Granted) -> (u32, Handle) {
    match granted {
        Granted::Address(handle) => (0, handle),
        Granted::Topic(handle) => (1, handle),
        Granted::Pin(handle) => (2, handle),
        Granted::Sensor(handle) => (3, handle),
        Granted::Bus(handle) => (4, handle),
        Granted::Child(handle) => (5, handle),
    }
}
