//! What a turn asks of the world: checked, then buffered until the turn ends well.

use std::time::Duration;

use super::Turn;
use crate::address::{ActorId, Address};
use crate::mailbox::{Letter, Timer, To};
use crate::wasm::bindings::edge::actor::effects;
use crate::wasm::bindings::edge::actor::types::{Handle, Refusal};
use crate::wasm::effects::{Family, Way};
use crate::wasm::table::Held;

impl effects::Host for Turn {
    fn send(
        &mut self,
        to: Handle,
        body: Vec<u8>,
        carried: Vec<Handle>,
        token: u64,
    ) -> Result<(), Refusal> {
        let addresses = self.letter(&body, &carried)?;
        let letter = Letter { body, carried: addresses, reply: None };
        if self.effects.last == Some(to) {
            if !self.may_wait() {
                return Err(Refusal::MailboxFull);
            }
            self.waits += 1;
            self.hand_over(&carried);
            self.effects.follow(letter, token);
            return Ok(());
        }
        if let Some(Held::Topic(topic)) = self.holds.table.find(to) {
            if !carried.is_empty() {
                return Err(Refusal::Denied);
            }
            let topic = *topic;
            self.effects.leave(Way::Publish(topic), letter, token, None);
            return Ok(());
        }
        let receiver = self.receiver(to)?;
        self.hand_over(&carried);
        let once = matches!(receiver, To::Reply(_));
        self.effects.leave(Way::Send(receiver), letter, token, (!once).then_some(to));
        Ok(())
    }

    fn ask(
        &mut self,
        to: Handle,
        body: Vec<u8>,
        carried: Vec<Handle>,
        token: u64,
        deadline: u64,
    ) -> Result<(), Refusal> {
        let addresses = self.letter(&body, &carried)?;
        let to = self.receiver(to)?;
        self.hand_over(&carried);
        let letter = Letter { body, carried: addresses, reply: None };
        self.effects.leave(Way::Ask { to, deadline }, letter, token, None);
        Ok(())
    }

    fn keep(&mut self, address: Handle) -> Result<Handle, Refusal> {
        self.holds.table.keep(address).ok_or(Refusal::BadHandle)
    }

    fn release(&mut self, address: Handle) -> Result<(), Refusal> {
        match self.holds.table.find(address) {
            Some(Held::Actor(_)) if !self.granted(address) => {
                self.holds.table.release(address);
                self.effects.last = None;
                Ok(())
            }
            Some(Held::Reply(reply)) => {
                let dead = reply.clone();
                self.effects.used.push(dead.clone());
                self.effects.dead.push(dead);
                self.holds.table.release(address);
                Ok(())
            }
            Some(_) => Err(Refusal::Denied),
            None => Err(Refusal::BadHandle),
        }
    }

    fn arm(&mut self, key: u64, body: Vec<u8>, after: u64, every: u64) -> Result<(), Refusal> {
        self.count()?;
        if body.len() > self.budget.node.letter_bytes {
            return Err(Refusal::OverLimit);
        }
        let armed = self.effects.timers.iter().filter(|(_, timer)| timer.is_some());
        let more = armed.map(|(key, _)| *key).chain([key]);
        if !self.inlet.mailbox().may_arm(more, self.budget.node.timers) {
            return Err(Refusal::OverLimit);
        }
        let (after, every) = (Duration::from_nanos(after), Duration::from_nanos(every));
        self.effects.timers.push((key, Some(Timer { body, after, every })));
        Ok(())
    }

    fn disarm(&mut self, key: u64) {
        if self.count().is_ok() {
            self.effects.timers.push((key, None));
        }
    }

    fn put(&mut self, key: Vec<u8>, value: Vec<u8>) -> Result<(), Refusal> {
        self.write(key, Some(value))
    }

    fn delete(&mut self, key: Vec<u8>) -> Result<(), Refusal> {
        self.write(key, None)
    }

    fn drive(&mut self, pin: Handle, high: bool) -> Result<(), Refusal> {
        self.count()?;
        let Some(Held::Pin(pin)) = self.holds.table.find(pin) else {
            return Err(Refusal::BadHandle);
        };
        if !self.reads.is_output(*pin) {
            return Err(Refusal::Denied);
        }
        self.effects.drives.push((*pin, high));
        Ok(())
    }

    fn spawn(
        &mut self,
        child: Handle,
        grants: Vec<(String, Handle)>,
        token: u64,
    ) -> Result<Handle, Refusal> {
        self.count()?;
        let Some(Held::Child(grant)) = self.holds.table.find(child) else {
            return Err(Refusal::BadHandle);
        };
        let grant = grant.clone();
        let given = grants.into_iter().map(|(name, handle)| Ok((name, self.address(handle)?)));
        let grants = given.collect::<Result<Vec<_>, Refusal>>()?;
        let id = ActorId::random();
        let address = Address::new(id, self.reads.me());
        let handle = self.holds.table.hold(Held::Actor(address)).ok_or(Refusal::OverLimit)?;
        self.effects.family.push(Family::Spawn { id, grant, grants, token });
        Ok(handle)
    }

    fn stop(&mut self, actor: Handle) -> Result<(), Refusal> {
        self.count()?;
        let address = self.address(actor)?;
        self.effects.family.push(Family::Stop(address));
        Ok(())
    }

    fn monitor(&mut self, actor: Handle, token: u64) -> Result<(), Refusal> {
        self.count()?;
        let whom = self.address(actor)?;
        if !self.inlet.mailbox().watch(self.budget.node.monitors) {
            return Err(Refusal::OverLimit);
        }
        self.effects.family.push(Family::Monitor { whom, token });
        Ok(())
    }

    fn log(&mut self, line: String) {
        if self.count().is_ok() {
            let line = self.line(line);
            self.effects.log.push(line);
        }
    }

    fn fail(&mut self, why: String) {
        let why = self.line(why);
        self.failing.get_or_insert(why);
    }
}

impl Turn {
    /// A line for people, no longer than one may be.
    fn line(&self, mut line: String) -> String {
        let most = self.budget.node.log_line_bytes;
        if line.len() > most {
            let end = (0..=most).rev().find(|at| line.is_char_boundary(*at)).unwrap_or(0);
            line.truncate(end);
            line.push('…');
        }
        line
    }

    fn granted(&self, handle: Handle) -> bool {
        self.holds.own == Some(handle)
            || self.holds.grants.iter().any(|(_, granted)| *granted == handle)
    }
}
