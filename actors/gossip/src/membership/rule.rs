//! By what a node chooses between neighbours.

use serde::{Deserialize, Serialize};

use crate::codec::{Reader, Writer};
use crate::saved::Saved;

/// Whom a node gives up for another neighbour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rule {
    /// The farthest by round-trip time, for one that is nearer.
    #[default]
    Nearest,
    /// The one that has brought hardly anything first, for any other.
    Physarum,
}

impl Saved for Rule {
    fn save(&self, to: &mut Writer) {
        to.byte(*self as u8);
    }

    fn restore(from: &mut Reader<'_>) -> Option<Self> {
        match from.byte()? {
            0 => Some(Self::Nearest),
            1 => Some(Self::Physarum),
            _ => None,
        }
    }
}
