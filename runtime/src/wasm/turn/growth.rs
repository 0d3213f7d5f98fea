//! What a guest's memory and tables may grow to: its own budget, and what the node has.

use rustix::io::Errno;
use wasmtime::ResourceLimiter;

use super::{Call, Turn};
use crate::reason::Reason;
use crate::wasm::instance::Failure;
use crate::wasm::memory::{Left, PLANNED, Saving, Short};
use crate::wasm::{TICK, check::one_line};

/// Functions that a guest may call indirectly.
const TABLE_ELEMENTS: usize = 65_536;
/// While a turn waits for memory it says so again after so many ticks.
const ASK: u64 = 20;
/// Others wait with it for so many ticks.
const PATIENCE: u64 = 2;

impl Turn {
    /// Takes what a memory needs of the node's, and waits for others to make room as long as a turn
    /// may take. A guest that is refused memory would only abort, without a reason.
    fn takes(&mut self, current: usize, wanted: usize) -> Result<(), Failure> {
        for waited in 0.. {
            let (call, Some(share)) = (self.call, &mut self.share) else { return Ok(()) };
            if call == Call::Save && wanted <= self.most {
                // There is room for that; if it can't be saved, it keeps it.
                share.overdraw(current, wanted);
                return Ok(());
            }
            match share.grow(current, wanted) {
                Ok(Left::Plenty) => return Ok(()),
                Ok(Left::LittleToGrow) => {
                    self.reads.lacks_memory(true);
                    return Ok(());
                }
                Ok(Left::Little) => {
                    self.reads.lacks_memory(false);
                    return Ok(());
                }
                Err(Short::Ever { most }) => {
                    return Err(Failure::over_budget(format!(
                        "asked for {wanted} bytes of memory, and this node has {most} for what all \
                        its actors grow to: do with less, or give the node more memory"
                    )));
                }
                Err(short) if waited % ASK == 0 => {
                    self.reads.lacks_memory(short == Short::Grown);
                }
                Err(Short::Grown | Short::Full) => {}
            }
            self.ticks += 1;
            if call != Call::Turn || self.is_over() {
                break;
            }
            if waited >= PATIENCE && !self.reads.waits_for_memory() {
                break;
            }
            std::thread::sleep(TICK);
        }
        Err(Failure::starved(format!(
            "asked for {wanted} bytes of memory, and the node had none to give: stop some actors, \
            or give the node more memory"
        )))
    }

    /// Takes what a guest may need to be saved: its state in a list that doubles, each time beside
    /// all that it was before. A guest that is refused memory then is lost, so it is not called
    /// before there is so much; on a failure it is as it was.
    pub(in crate::wasm) fn saves(&mut self) -> Result<Option<Saving>, Failure> {
        let more = self.memory.max(PLANNED).saturating_mul(4);
        self.most = self.memory.saturating_add(more);
        loop {
            let Some(share) = &self.share else { return Ok(None) };
            match share.save(self.memory, more) {
                Ok(saving) => return Ok(Some(saving)),
                Err(Short::Ever { most }) => {
                    return Err(Failure::over_budget(format!(
                        "its memory of {} bytes is too large to be saved: that may take four times \
                        as much, and this node has {most} for it",
                        self.memory
                    )));
                }
                Err(_) if !self.ticked() => {
                    return Err(Failure::starved("others were being saved all the time".into()));
                }
                Err(_) => std::thread::sleep(TICK),
            }
        }
    }

    /// Ends the guest with the reason at hand.
    fn refuse(&mut self, failure: Failure) -> wasmtime::Error {
        let error = wasmtime::format_err!("{}", failure.why);
        self.refused = Some(Box::new(failure));
        error
    }
}

impl Failure {
    fn starved(why: String) -> Self {
        Self { reason: Reason::OverBudget, why, starved: true }
    }
}

impl ResourceLimiter for Turn {
    fn memory_growing(
        &mut self,
        current: usize,
        desired: usize,
        maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        self.grown |= current > 0;
        if maximum.is_some_and(|maximum| desired > maximum) {
            // The guest's own bound, which it is told of.
            return Ok(false);
        }
        let most = match self.call {
            Call::New | Call::Turn => self.budget.memory,
            Call::Save | Call::Restore => self.budget.memory.max(self.most),
        };
        if desired > most {
            return Err(self.refuse(Failure::over_budget(format!(
                "asked for {desired} bytes of memory, its budget is {most}: raise `memory` in its \
                manifest entry"
            ))));
        }
        self.takes(current, desired).map_err(|failure| self.refuse(failure))?;
        self.memory = desired;
        self.growth_is_news |= current > 0;
        Ok(true)
    }

    fn memory_grow_failed(&mut self, error: wasmtime::Error) -> wasmtime::Result<()> {
        self.reads.lacks_memory(false);
        let why = format!("its memory can't grow: {}", one_line(&error));
        Err(self.refuse(match error.is::<Errno>() {
            true => Failure::starved(why),
            // More than 32 bits can name.
            false => Failure::over_budget(why),
        }))
    }

    fn table_growing(
        &mut self,
        _current: usize,
        desired: usize,
        _maximum: Option<usize>,
    ) -> wasmtime::Result<bool> {
        Ok(desired <= TABLE_ELEMENTS)
    }

    fn memories(&self) -> usize {
        1
    }

    fn tables(&self) -> usize {
        8
    }

    fn instances(&self) -> usize {
        16
    }
}
