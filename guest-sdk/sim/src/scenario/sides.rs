//! Into which sides a scenario splits the nodes.

use std::fmt;

use serde::de::{Deserialize, Deserializer, Error};

use crate::network::Chance;

/// Sides of a split.
#[derive(Clone, Debug, PartialEq)]
pub enum Sides {
    /// So many, as large as each other, of nodes that are drawn.
    Equal(u32),
    /// One for each share, of nodes that are drawn; they are 1 in all.
    Shares(Vec<f64>),
    /// One for each list of nodes, by number; all others are one more.
    Lists(Vec<Vec<usize>>),
}

/// What can be written.
const WRITE: &str = "write how many sides, like 2, their shares, like [0.1, 0.9], or each side's \
                     nodes, like [[0, 1], [2]]";

impl Sides {
    /// Each node's side.
    pub(super) fn of(&self, nodes: usize, chance: &mut Chance) -> Vec<u32> {
        let mut of: Vec<u32> = match self {
            Self::Equal(sides) => (0..nodes).map(|node| node as u32 % (*sides).max(1)).collect(),
            Self::Shares(shares) => {
                let ends = shares.iter().scan(0.0, |end, share| {
                    *end += share;
                    Some((*end * nodes as f64).round() as usize)
                });
                let ends: Vec<usize> = ends.collect();
                let side = |node| ends.iter().take_while(|end| **end <= node).count();
                (0..nodes).map(|node| side(node).min(shares.len() - 1) as u32).collect()
            }
            Self::Lists(lists) => {
                let side = |node| lists.iter().position(|list| list.contains(&node));
                let of = |node| side(node).unwrap_or(lists.len()) as u32;
                return (0..nodes).map(of).collect();
            }
        };
        for at in 0..nodes {
            of.swap(at, at + chance.below((nodes - at) as u64) as usize);
        }
        of
    }

    /// Whether so many nodes can be split so.
    pub(super) fn check(&self, nodes: usize) -> Result<(), String> {
        match self {
            Self::Equal(sides) if (2..=nodes).contains(&(*sides as usize)) => Ok(()),
            Self::Equal(_) => Err(format!("write 2 sides or more, up to {nodes}")),
            Self::Shares(shares) => {
                let sum: f64 = shares.iter().sum();
                let each = shares.iter().all(|share| share * nodes as f64 >= 0.5);
                if shares.len() < 2 || !each || (sum - 1.0).abs() > 1e-6 {
                    let why =
                        "write two shares or more, of a node at least each, that are 1 in all";
                    return Err(why.into());
                }
                Ok(())
            }
            Self::Lists(lists) => {
                let mut all: Vec<usize> = lists.iter().flatten().copied().collect();
                all.sort_unstable();
                if let Some(node) = all.iter().find(|node| **node >= nodes) {
                    return Err(format!("there is no node {node}: write 0 to {}", nodes - 1));
                }
                if let Some(twice) = all.windows(2).find(|two| two[0] == two[1]) {
                    return Err(format!("node {} is on two sides: write it once", twice[0]));
                }
                if lists.iter().any(Vec::is_empty) || (lists.len() < 2 && all.len() == nodes) {
                    return Err("a side has no nodes: write some".into());
                }
                Ok(())
            }
        }
    }

    fn read(value: toml::Value) -> Option<Self> {
        if let Some(sides) = value.as_integer() {
            return Some(Self::Equal(sides.try_into().ok()?));
        }
        let list = value.as_array().filter(|list| !list.is_empty())?;
        let shares: Option<Vec<f64>> = list.iter().map(toml::Value::as_float).collect();
        if let Some(shares) = shares {
            return Some(Self::Shares(shares));
        }
        let node = |node: &toml::Value| node.as_integer()?.try_into().ok();
        let nodes = |list: &toml::Value| list.as_array()?.iter().map(node).collect();
        list.iter().map(nodes).collect::<Option<_>>().map(Self::Lists)
    }
}

impl fmt::Display for Sides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Equal(sides) => write!(f, "{sides}"),
            Self::Shares(shares) => write!(f, "{shares:?}"),
            Self::Lists(lists) => write!(f, "{lists:?}"),
        }
    }
}

impl<'de> Deserialize<'de> for Sides {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = toml::Value::deserialize(deserializer)?;
        let text = value.to_string();
        Self::read(value).ok_or_else(|| D::Error::custom(format!("split = {text}: {WRITE}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sizes(text: &str, nodes: usize) -> Result<Vec<usize>, String> {
        let value: toml::Table = toml::from_str(&format!("split = {text}")).unwrap();
        let sides = Sides::read(value["split"].clone()).ok_or(WRITE)?;
        sides.check(nodes)?;
        let of = sides.of(nodes, &mut Chance::new(1));
        let most = of.iter().copied().max().unwrap_or(0);
        Ok((0..=most).map(|side| of.iter().filter(|other| **other == side).count()).collect())
    }

    #[test]
    fn nodes_are_split_into_sides_shares_or_lists() {
        assert_eq!(sizes("3", 10), Ok(vec![4, 3, 3]));
        assert_eq!(sizes("[0.1, 0.9]", 20), Ok(vec![2, 18]));
        assert_eq!(sizes("[0.2, 0.3, 0.5]", 10), Ok(vec![2, 3, 5]));
        assert_eq!(sizes("[[0, 1], [2]]", 5), Ok(vec![2, 1, 2]));
        assert_eq!(sizes("[[4]]", 5), Ok(vec![1, 4]));
        let lists = Sides::Lists(vec![vec![0, 3], vec![2]]);
        assert_eq!(lists.of(5, &mut Chance::new(1)), [0, 2, 1, 0, 2]);
    }

    #[test]
    fn sides_that_make_no_sense_are_refused() {
        for text in ["-1", "\"two\"", "[]", "[0.5, 1]", "[[0], 1]"] {
            assert_eq!(sizes(text, 5), Err(WRITE.into()), "{text}");
        }
        for (text, why) in [
            ("1", "write 2 sides or more, up to 5"),
            ("6", "write 2 sides or more, up to 5"),
            ("[0.5, 0.4]", "write two shares or more, of a node at least each, that are 1 in all"),
            (
                "[0.001, 0.999]",
                "write two shares or more, of a node at least each, that are 1 in all",
            ),
            ("[[5]]", "there is no node 5: write 0 to 4"),
            ("[[1], [1]]", "node 1 is on two sides: write it once"),
            ("[[1], []]", "a side has no nodes: write some"),
        ] {
            assert_eq!(sizes(text, 5), Err(why.into()), "{text}");
        }
    }
}
