//! A driver that reads and writes the registers of the device granted as `device`.

use guest_sdk::{Actor, Bus, Context, Error, Result};
use serde::{Deserialize, Serialize};

/// Speaks to one device.
#[derive(Serialize, Deserialize)]
pub struct Driver {
    device: Bus,
}

/// What it takes.
#[derive(Serialize, Deserialize)]
pub enum Message {
    /// Reads so many bytes from a register on; answers with them.
    Read(u8, usize),
    /// Writes a byte into a register, then reads it back; answers with it.
    Write(u8, u8),
    /// Writes a byte into a register, then ends the turn with an error.
    WriteAndFail(u8, u8),
}

impl Actor for Driver {
    type Message = Message;

    fn start(cx: &mut Context<Self>) -> Result<Self> {
        Ok(Self { device: cx.bus("device")? })
    }

    fn handle(&mut self, message: Message, cx: &mut Context<Self>) -> Result {
        let read = match message {
            Message::Read(register, count) => self.device.write_read(&[register], count, cx),
            Message::Write(register, value) => {
                self.device.write_read(&[register, value], 0, cx)?;
                self.device.write_read(&[register], 1, cx)
            }
            Message::WriteAndFail(register, value) => {
                self.device.write_read(&[register, value], 0, cx)?;
                return Err(Error::new("told to fail"));
            }
        };
        match read {
            Ok(bytes) => cx.reply(bytes),
            Err(error) => cx.reply(error.to_string()),
        };
        Ok(())
    }
}
