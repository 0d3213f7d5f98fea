//! What the simulator drives: anything that maps a turn's inputs to effects.

use std::any::Any;

use crate::{Desk, Message, Now};

/// One incarnation of one actor.
///
/// Reads and effects of a turn go through its [`Desk`]: an owned value, so that an engine which
/// wants its data `'static` can take it (`std::mem::take`) for the call and must put it back. An
/// error, from any of these, ends the incarnation: the desk's effects are undone, and the actor
/// begins again.
pub trait Machine: Any {
    /// The first turn.
    fn start(&mut self, now: Now, desk: &mut Desk) -> Result<(), String>;

    /// One message, one turn.
    fn turn(&mut self, now: Now, message: Message, desk: &mut Desk) -> Result<(), String>;

    /// The volatile state.
    fn save(&mut self) -> Result<Vec<u8>, String>;

    /// Takes up saved state in place of `start`.
    fn restore(&mut self, now: Now, state: &[u8], desk: &mut Desk) -> Result<(), String>;
}

/// Makes fresh incarnations of one component.
pub type Component = std::rc::Rc<dyn Fn() -> Box<dyn Machine>>;
