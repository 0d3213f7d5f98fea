//! Where nodes stand in a picture: pure geometry, in a square from -1 to 1.

use std::collections::VecDeque;
use std::f64::consts::TAU;

/// A place in a picture.
pub type Point = (f64, f64);

/// Steps of the springs where they are cheap, and pairs of nodes looked at in all.
const STEPS: usize = 300;
const PAIRS: usize = 200_000_000;
/// The first step moves a node by this at most; the last by next to nothing.
const STEP: f64 = 0.1;
/// Between two nodes of a spiral: no two of them, nor three, stand in line (Vogel, 1979).
const GOLDEN_ANGLE: f64 = 2.399_963_229_728_653;

/// Nodes that push each other away and links that draw them together (Fruchterman and Reingold,
/// 1991), from a spiral on, so that the same links always look the same. Where there are too many
/// nodes for that the spiral stays.
pub fn springs(nodes: usize, links: &[(usize, usize)]) -> Vec<Point> {
    let mut places: Vec<Point> = (0..nodes)
        .map(|node| {
            let (radius, angle) =
                (((node as f64 + 0.5) / nodes as f64).sqrt(), node as f64 * GOLDEN_ANGLE);
            (radius * angle.cos(), radius * angle.sin())
        })
        .collect();
    let steps = (PAIRS / (nodes * nodes).max(1)).min(STEPS);
    let apart = (4.0 / nodes.max(1) as f64).sqrt();
    for step in 0..steps {
        let far = STEP * (1.0 - step as f64 / steps as f64);
        let pushes = pushes(&places, links, apart);
        for (place, push) in places.iter_mut().zip(pushes) {
            let length = push.0.hypot(push.1).max(1e-9);
            let move_by = length.min(far) / length;
            place.0 += push.0 * move_by;
            place.1 += push.1 * move_by;
        }
    }
    fit(places)
}

fn pushes(places: &[Point], links: &[(usize, usize)], apart: f64) -> Vec<Point> {
    let mut pushes = vec![(0.0, 0.0); places.len()];
    let between = |a: usize, b: usize| {
        let (x, y) = (places[a].0 - places[b].0, places[a].1 - places[b].1);
        (x, y, x.hypot(y).max(1e-6))
    };
    let mut push = |node: usize, x: f64, y: f64| {
        pushes[node].0 += x;
        pushes[node].1 += y;
    };
    for a in 0..places.len() {
        for b in a + 1..places.len() {
            let (x, y, distance) = between(a, b);
            let force = apart * apart / (distance * distance);
            push(a, x * force, y * force);
            push(b, -x * force, -y * force);
        }
    }
    for &(a, b) in links {
        let (x, y, distance) = between(a, b);
        let force = distance / apart;
        push(a, -x * force, -y * force);
        push(b, x * force, y * force);
    }
    pushes
}

/// Makes places fill the square.
fn fit(mut places: Vec<Point>) -> Vec<Point> {
    let span = |of: fn(&Point) -> f64| {
        let all = places.iter().map(of);
        let (least, most) = all
            .fold((f64::MAX, f64::MIN), |(least, most), value| (least.min(value), most.max(value)));
        ((least + most) / 2.0, ((most - least) / 2.0).max(1e-9))
    };
    let ((middle_x, width), (middle_y, height)) = (span(|place| place.0), span(|place| place.1));
    for place in &mut places {
        *place = ((place.0 - middle_x) / width, (place.1 - middle_y) / height);
    }
    places
}

/// A tree around its root: a node's distance from the middle is its hops, and each leaf has as much
/// room as any other. `None`: the tree does not reach that node.
pub fn rings(nodes: usize, tree: &[(usize, usize)]) -> Vec<Option<Point>> {
    let mut children = vec![Vec::new(); nodes];
    let mut is_child = vec![false; nodes];
    for &(from, to) in tree {
        children[from].push(to);
        is_child[to] = true;
    }
    let root = tree.iter().map(|(from, _)| *from).find(|from| !is_child[*from]);
    let Some(root) = root else { return vec![None; nodes] };
    let mut order = Vec::new();
    let mut next = VecDeque::from([(root, 0)]);
    while let Some((node, hops)) = next.pop_front() {
        order.push((node, hops));
        next.extend(children[node].iter().map(|child| (*child, hops + 1)));
    }
    let mut leaves = vec![0_usize; nodes];
    for &(node, _) in order.iter().rev() {
        let below: usize = children[node].iter().map(|child| leaves[*child]).sum();
        leaves[node] = below.max(1);
    }
    let most = order.last().map_or(1, |(_, hops)| *hops).max(1);
    let mut begins = vec![0.0; nodes];
    let mut places = vec![None; nodes];
    for (node, hops) in order {
        let share = |node: usize| leaves[node] as f64 / leaves[root] as f64 * TAU;
        let mut begin: f64 = begins[node];
        let angle = begin + share(node) / 2.0;
        let radius = f64::from(hops) / f64::from(most);
        places[node] = Some((radius * angle.cos(), radius * angle.sin()));
        for &child in &children[node] {
            begins[child] = begin;
            begin += share(child);
        }
    }
    places
}

#[cfg(test)]
mod tests {
    use super::*;

    fn distance(a: Point, b: Point) -> f64 {
        (a.0 - b.0).hypot(a.1 - b.1)
    }

    #[test]
    fn nodes_with_a_link_stand_nearer_than_others() {
        // Two rings of five with one link between them.
        let ring = |at: usize| (0..5).map(move |node| (at + node, at + (node + 1) % 5));
        let links: Vec<_> = ring(0).chain(ring(5)).chain([(0, 5)]).collect();
        let places = springs(10, &links);
        assert!(places.iter().all(|place| place.0.abs() <= 1.0001 && place.1.abs() <= 1.0001));
        let mean = |pairs: &[(usize, usize)]| {
            let all = pairs.iter().map(|(a, b)| distance(places[*a], places[*b]));
            all.sum::<f64>() / pairs.len() as f64
        };
        let all: Vec<_> = (0..10).flat_map(|a| (a + 1..10).map(move |b| (a, b))).collect();
        assert!(mean(&links) < mean(&all) * 0.7, "{places:?}");
    }

    #[test]
    fn a_node_of_a_tree_is_as_far_out_as_it_has_hops() {
        let places = rings(6, &[(2, 0), (2, 1), (0, 3), (3, 4)]);
        let radius = |node: usize| places[node].map(|place| place.0.hypot(place.1));
        assert_eq!(radius(2), Some(0.0));
        for (node, hops) in [(0, 1.0), (1, 1.0), (3, 2.0), (4, 3.0)] {
            assert!((radius(node).unwrap() - hops / 3.0).abs() < 1e-9, "{places:?}");
        }
        assert_eq!(places[5], None);
        assert_eq!(rings(3, &[]), [None; 3]);
    }
}
