//! A running hash of everything that happened: the same seed gives the same one, on any machine.

use std::hash::{Hash, Hasher};

use sha2::{Digest, Sha256};

/// The hash. Numbers go in as 64 bits, little-endian, whatever the machine's are.
#[derive(Clone, Default)]
pub(crate) struct Trace(Sha256);

impl Trace {
    /// Takes a value in.
    pub fn note(&mut self, value: &impl Hash) {
        value.hash(self);
    }

    /// The hash so far, in hexadecimal digits.
    pub fn text(&self) -> String {
        let digest = self.0.clone().finalize();
        digest.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

impl Hasher for Trace {
    fn finish(&self) -> u64 {
        let digest = self.0.clone().finalize();
        digest.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
    }

    fn write(&mut self, bytes: &[u8]) {
        self.0.update(bytes);
    }

    fn write_u32(&mut self, number: u32) {
        self.write_u64(number.into());
    }

    fn write_u64(&mut self, number: u64) {
        self.0.update(number.to_le_bytes());
    }

    fn write_usize(&mut self, number: usize) {
        self.write_u64(number as u64);
    }

    fn write_isize(&mut self, number: isize) {
        self.write_u64(number as i64 as u64);
    }
}
