//! The graph of links between nodes that are up.

use std::collections::VecDeque;

use serde::Serialize;

/// What the overlay looks like.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Overlay {
    /// Nodes that are up.
    pub nodes: usize,
    /// Parts that can't reach each other.
    pub components: usize,
    /// Nodes in the largest part.
    pub largest: usize,
    /// Least, mean and most links of a node.
    pub degree: (usize, f64, usize),
    /// How many nodes have so many links; the last number is of those with more.
    pub degrees: Vec<usize>,
    /// Mean share of pairs of neighbours that are neighbours of each other.
    pub clustering: f64,
    /// Mean number of links between two nodes of the largest part, from a sample of nodes.
    pub path: f64,
    /// The longest such path seen.
    pub longest: usize,
    /// Mean delay of a link, milliseconds one way.
    pub link_ms: f64,
}

/// Nodes whose distances to all others are looked at.
const SAMPLE: usize = 200;

impl Overlay {
    /// Looks at the overlay: each node's neighbours, in order; the nodes that are up; and how long
    /// it is from node to node and back, in nanoseconds.
    pub fn of(edges: &[Vec<usize>], up: &[usize], rtt: impl Fn(usize, usize) -> u64) -> Self {
        let (components, member, largest) = components(edges, up);
        let degrees: Vec<usize> = up.iter().map(|node| edges[*node].len()).collect();
        let links: usize = degrees.iter().sum();
        let mut spread = vec![0; 12];
        degrees.iter().for_each(|degree| spread[(*degree).min(11)] += 1);
        let both = up.iter().flat_map(|node| edges[*node].iter().map(|to| (*node, *to)));
        let delay: u64 = both.map(|(node, to)| rtt(node, to)).sum();
        let main: Vec<usize> =
            up.iter().copied().filter(|node| member[*node] == largest.0).collect();
        let (path, longest) = paths(edges, &main);
        Self {
            nodes: up.len(),
            components,
            largest: largest.1,
            degree: (
                degrees.iter().copied().min().unwrap_or(0),
                links as f64 / up.len().max(1) as f64,
                degrees.iter().copied().max().unwrap_or(0),
            ),
            degrees: spread,
            clustering: up.iter().map(|node| clustering(edges, *node)).sum::<f64>()
                / up.len().max(1) as f64,
            path,
            longest,
            link_ms: delay as f64 / links.max(1) as f64 / 2e6,
        }
    }
}

/// How many parts there are, each node's part, and the largest part and its size.
fn components(edges: &[Vec<usize>], up: &[usize]) -> (usize, Vec<usize>, (usize, usize)) {
    let mut member = vec![0; edges.len()];
    let (mut count, mut largest) = (0, (0, 0));
    for &node in up {
        if member[node] != 0 {
            continue;
        }
        count += 1;
        let (mut size, mut stack) = (0, vec![node]);
        member[node] = count;
        while let Some(node) = stack.pop() {
            size += 1;
            for &other in &edges[node] {
                if member[other] == 0 {
                    member[other] = count;
                    stack.push(other);
                }
            }
        }
        if size > largest.1 {
            largest = (count, size);
        }
    }
    (count, member, largest)
}

fn clustering(edges: &[Vec<usize>], node: usize) -> f64 {
    let others = &edges[node];
    let pairs = others.len() * others.len().saturating_sub(1);
    let among = |other: &usize| {
        others.iter().filter(|third| edges[*other].binary_search(third).is_ok()).count()
    };
    let linked: usize = others.iter().map(among).sum();
    if pairs == 0 { 0.0 } else { linked as f64 / pairs as f64 }
}

fn paths(edges: &[Vec<usize>], nodes: &[usize]) -> (f64, usize) {
    let (mut sum, mut pairs, mut longest) = (0, 0, 0);
    for &from in nodes.iter().step_by((nodes.len() / SAMPLE).max(1)) {
        let mut distance = vec![usize::MAX; edges.len()];
        distance[from] = 0;
        let mut queue = VecDeque::from([from]);
        while let Some(node) = queue.pop_front() {
            for &other in &edges[node] {
                if distance[other] == usize::MAX {
                    distance[other] = distance[node] + 1;
                    sum += distance[other];
                    pairs += 1;
                    longest = longest.max(distance[other]);
                    queue.push_back(other);
                }
            }
        }
    }
    (sum as f64 / pairs.max(1) as f64, longest)
}
