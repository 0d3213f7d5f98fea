//! What the membership knows of the node at the other end of a link.

use std::time::Duration;

use crate::codec::{Reader, Writer};
use crate::event::{Counts, Node};
use crate::membership::physarum::Conductivity;
use crate::saved::{Saved, saved};
use crate::wire::{Want, Why};

/// The node at the other end of a link.
#[derive(Debug)]
pub struct Member {
    /// Its id.
    pub node: Node,
    /// What stands for it in the names of its messages; 0 before it has said so.
    pub origin: u64,
    pub phase: Phase,
    pub since: Duration,
    /// The round trip, as far as it was measured.
    pub rtt: Option<Duration>,
    /// It was chosen for being near, or may be given up for one that is.
    pub biased: bool,
    /// Messages come over it, or go: it is not given up without need.
    pub useful: bool,
    /// How many messages it has lately been the first to bring.
    pub flow: Conductivity,
    /// Walks and shuffles from it in this second.
    pub walks: u32,
}

saved!(Member { node, origin, phase, since, rtt, biased, useful, flow, walks });

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// The other end opened the link, and is to say why.
    Opened,
    /// This end did, has said why, and waits for the answer.
    Asked(Want),
    /// The other end has been offered to be nearer, in place of this node.
    Offered(Node),
    /// A neighbour.
    Active,
    /// No longer one, or not at all; the link is about to close.
    Over,
}

/// Why a neighbour is none any more: what follows hangs on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its node went away without a word: it is looked for, slowly.
    Crashed,
    /// Its node is there, but the link was closed without a word: it is not tried for a while.
    Closed,
    /// It let this node go: nor is it then.
    Left(Why),
    /// This node let it go: it may be tried again when there is need.
    LetGo(Why),
}

impl End {
    pub fn count(self, counts: &mut Counts) {
        *match self {
            Self::Crashed => &mut counts.lost,
            Self::Closed => &mut counts.closed,
            Self::Left(Why::Replaced) | Self::LetGo(Why::Replaced) => &mut counts.replaced,
            Self::Left(Why::Surplus) | Self::LetGo(Why::Surplus) => &mut counts.surplus,
            Self::Left(Why::Farther) | Self::LetGo(Why::Farther) => &mut counts.farther,
            Self::Left(Why::Full) | Self::LetGo(Why::Full) => &mut counts.full,
        } += 1;
    }
}

impl Saved for Phase {
    fn save(&self, to: &mut Writer) {
        match self {
            Self::Opened => to.byte(0),
            Self::Asked(want) => {
                to.byte(1);
                want.save(to);
            }
            Self::Offered(node) => {
                to.byte(2);
                node.save(to);
            }
            Self::Active => to.byte(3),
            Self::Over => to.byte(4),
        }
    }

    fn restore(from: &mut Reader<'_>) -> Option<Self> {
        Some(match from.byte()? {
            0 => Self::Opened,
            1 => Self::Asked(Want::restore(from)?),
            2 => Self::Offered(from.array()?),
            3 => Self::Active,
            4 => Self::Over,
            _ => return None,
        })
    }
}
