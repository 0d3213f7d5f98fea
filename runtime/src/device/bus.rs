//! I²C devices that are held. The bench's devices are register files: the first byte written is
//! the register where writing and reading go on, as in most sensors.

use std::collections::BTreeMap;

use super::{BusId, DeviceError, rows};
use crate::address::ActorId;
use crate::config::grant::{BusLine, BusSpec, Grant};
use crate::limits::Limits;

/// Why a transfer did not take place; names as in embedded-hal.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BusError {
    /// The device is not held.
    #[error("the device is not held: claim it first")]
    Denied,
    /// More bytes than the limit `transfer_bytes` for one transfer.
    #[error("more bytes than transfer-bytes allows: split the transfer, or raise it")]
    Overrun,
}

/// All held devices.
pub(super) struct Buses {
    held: BTreeMap<BusId, Device>,
    next: u64,
    most: usize,
    trace_bytes: u64,
    transfer_bytes: usize,
}

struct Device {
    owner: ActorId,
    key: Option<String>,
    registers: [u8; 256],
    pointer: u8,
}

impl Buses {
    pub fn new(limits: &Limits) -> Self {
        let (trace_bytes, transfer_bytes) = (limits.trace_bytes, limits.transfer_bytes);
        Self {
            held: BTreeMap::new(),
            next: 0,
            most: limits.bus_devices,
            trace_bytes,
            transfer_bytes,
        }
    }

    pub fn claim(&mut self, owner: ActorId, spec: &BusSpec) -> Result<BusId, DeviceError> {
        let grant = spec.to_string();
        let open = |why| DeviceError::Open { grant: grant.clone(), why };
        let BusLine::Bench { registers, .. } = &spec.line else {
            let why = "this version drives simulated buses only: write \"bench:NAME\"";
            return Err(open(why.into()));
        };
        if self.held.len() >= self.most {
            return Err(DeviceError::TooMany { grant, limit: "bus-devices", most: self.most });
        }
        let key = Grant::Bus(spec.clone()).exclusive();
        if let Some(other) = self.held.values().find(|device| device.key == key) {
            return Err(DeviceError::Taken { grant, owner: other.owner });
        }
        let registers = match registers {
            Some(file) => rows::read(file, self.trace_bytes)
                .and_then(|text| image(&text))
                .map_err(|why| open(format!("{}: {why}", file.display())))?,
            None => [0; 256],
        };
        self.next += 1;
        self.held.insert(BusId(self.next), Device { owner, key, registers, pointer: 0 });
        Ok(BusId(self.next))
    }

    pub fn release(&mut self, id: BusId) {
        self.held.remove(&id);
    }

    pub fn transfer(&mut self, id: BusId, write: &[u8], read: usize) -> Result<Vec<u8>, BusError> {
        let device = self.held.get_mut(&id).ok_or(BusError::Denied)?;
        if write.len().saturating_add(read) > self.transfer_bytes {
            return Err(BusError::Overrun);
        }
        Ok(device.transfer(write, read))
    }
}

impl Device {
    fn transfer(&mut self, write: &[u8], read: usize) -> Vec<u8> {
        if let Some((register, values)) = write.split_first() {
            self.pointer = *register;
            for value in values {
                let place = self.advance();
                self.registers[place] = *value;
            }
        }
        let mut answer = Vec::with_capacity(read);
        for _ in 0..read {
            let place = self.advance();
            answer.push(self.registers[place]);
        }
        answer
    }

    fn advance(&mut self) -> usize {
        let place = self.pointer;
        self.pointer = place.wrapping_add(1);
        place.into()
    }
}

/// Rows of register and value, decimal or `0x`, with or without the header `register,value`.
fn image(text: &str) -> Result<[u8; 256], String> {
    let byte = |field: &str| match field.strip_prefix("0x") {
        Some(digits) => u8::from_str_radix(digits, 16).ok(),
        None => field.parse::<u8>().ok(),
    };
    let mut registers = [0; 256];
    for (line, row) in rows::rows(text).filter(|(_, row)| row[..] != ["register", "value"]) {
        let fields = row.iter().map(|field| byte(field)).collect::<Option<Vec<_>>>();
        let Some([register, value]) = fields.as_deref() else {
            return Err(format!("line {line} is no register: write 0xd0,0x60"));
        };
        registers[usize::from(*register)] = *value;
    }
    Ok(registers)
}

#[cfg(test)]
mod tests {
    use super::*;

    const OWNER: ActorId = ActorId([1; 16]);

    fn bench(registers: Option<std::path::PathBuf>) -> BusSpec {
        BusSpec { line: BusLine::Bench { name: "bme280".into(), registers }, at: 0x76 }
    }

    #[test]
    fn a_register_file_answers_as_a_device() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("r.csv");
        std::fs::write(&file, "register,value\n0xd0,0x60\n209,7\n").unwrap();
        let mut buses = Buses::new(&Limits::default());
        let id = buses.claim(OWNER, &bench(Some(file))).unwrap();
        assert_eq!(buses.transfer(id, &[0xd0], 2), Ok(vec![0x60, 7]));
        assert_eq!(buses.transfer(id, &[0xff, 1, 2], 0), Ok(vec![]));
        assert_eq!(buses.transfer(id, &[0xff], 2), Ok(vec![1, 2]));
        assert_eq!(buses.transfer(id, &[], 5_000), Err(BusError::Overrun));
        buses.release(id);
        assert_eq!(buses.transfer(id, &[0xd0], 1), Err(BusError::Denied));
    }

    #[test]
    fn a_device_has_one_holder() {
        let mut buses = Buses::new(&Limits::default());
        let id = buses.claim(OWNER, &bench(None)).unwrap();
        let error = buses.claim(OWNER, &bench(None)).unwrap_err();
        assert!(error.to_string().contains("held by"), "{error}");
        buses.release(id);
        assert!(buses.claim(OWNER, &bench(None)).is_ok());
    }

    #[test]
    fn what_is_not_simulated_or_not_readable_is_refused_by_its_grant() {
        let mut buses = Buses::new(&Limits::default());
        let real = BusSpec { line: BusLine::Linux("/dev/i2c-1".into()), at: 0x76 };
        let error = buses.claim(OWNER, &real).unwrap_err().to_string();
        assert!(error.contains("i2c = \"/dev/i2c-1\"") && error.contains("bench:NAME"), "{error}");
        let error = buses.claim(OWNER, &bench(Some("/nowhere".into()))).unwrap_err().to_string();
        assert!(error.contains("/nowhere"), "{error}");
        assert!(image("0xd0").unwrap_err().contains("line 1"));
        assert!(image("0xd0,256").unwrap_err().contains("line 1"));
    }
}
