//! The kinds of lies that one node tells its neighbours.

use gossip::{
    Beacon, Entry, Held, Id, Input, Post, Side, Stream, VERSION, Want, Why, Wire, limits,
};

use crate::net::{self, Net, TOPIC};
use crate::{HONEST, LIAR};

/// A lie, told once more in each round to each neighbour.
pub type Lie = fn(&mut Net, usize) -> Vec<Vec<u8>>;

pub const LIES: [(&str, Lie); 10] = [
    ("garbage", garbage),
    ("truncated", truncated),
    ("oversized", oversized),
    ("stale", stale),
    ("replayed", replayed),
    ("from the future", from_the_future),
    ("about its view", about_its_view),
    ("many that join", many_that_join),
    ("grafts for ever", grafts_for_ever),
    ("never answers", never_answers),
];

fn invented(number: u64) -> [u8; 32] {
    let mut node = [0x99; 32];
    node[2..10].copy_from_slice(&number.to_le_bytes());
    node
}

fn garbage(net: &mut Net, _: usize) -> Vec<Vec<u8>> {
    let frame = |number: u64| -> Vec<u8> {
        let bytes = (0..net.chance.below(300)).map(|_| net.chance.below(256) as u8);
        // Half of them begin as they should.
        let first = number.is_multiple_of(2).then_some([VERSION, (number / 2) as u8]);
        first.into_iter().flatten().chain(bytes).collect()
    };
    (0..50).map(frame).collect()
}

/// What came to the liar lately.
fn overheard(net: &Net) -> Vec<Vec<u8>> {
    let (_, heard) = net.overheard.as_ref().unwrap();
    heard.iter().rev().take(100).map(|frame| frame.to_vec()).collect()
}

fn truncated(net: &mut Net, _: usize) -> Vec<Vec<u8>> {
    let mut frames = overheard(net);
    frames
        .iter_mut()
        .for_each(|frame| frame.truncate(net.chance.below(frame.len() as u64) as usize));
    frames
}

fn oversized(_: &mut Net, _: usize) -> Vec<Vec<u8>> {
    let id = Id { stream: Stream { origin: 1, epoch: 1 }, seq: 1 };
    let body = vec![1; limits::BODY_BYTES + 1];
    let post = Post { id, age: 0, hop: 0, tree: None, topic: TOPIC, body };
    vec![
        vec![VERSION; limits::FRAME_BYTES + 1],
        Wire::Post(post).encode(),
        Wire::Have(vec![id; limits::HAVE + 1]).encode(),
        Wire::Get(vec![id; limits::HAVE + 1]).encode(),
    ]
}

/// Messages that came to the liar, as it would have them be.
fn told_again(net: &Net, change: fn(&mut Post)) -> Vec<Vec<u8>> {
    let posts = overheard(net).into_iter().filter_map(|frame| match Wire::decode(&frame) {
        Ok(Wire::Post(post)) => Some(post),
        _ => None,
    });
    let changed = posts.map(|mut post| {
        change(&mut post);
        Wire::Post(post).encode()
    });
    changed.collect()
}

fn stale(net: &mut Net, to: usize) -> Vec<Vec<u8>> {
    let mut frames = told_again(net, |post| post.age = limits::LIFETIME.as_millis() as u32);
    let id = Id { stream: net.stream(to), seq: 1 };
    let (age, body) = (u32::MAX, b"too old".to_vec());
    frames.push(Wire::Post(Post { id, age, hop: 0, tree: None, topic: TOPIC, body }).encode());
    frames
}

fn replayed(net: &mut Net, _: usize) -> Vec<Vec<u8>> {
    let mut frames = told_again(net, |post| (post.age, post.hop) = (0, 0));
    frames.extend(overheard(net));
    frames
}

fn from_the_future(net: &mut Net, to: usize) -> Vec<Vec<u8>> {
    let (term, seq) = (u32::MAX, u32::MAX);
    let side = |tree| Side { tree, seq, root: 0, far: 0, near: 0 };
    let mut frames = vec![
        Wire::Beacon(Beacon { term, root: 0, seq, hops: 0 }).encode(),
        Wire::Sides { follow: u32::MAX, sides: (0..16).map(side).collect() }.encode(),
        Wire::Sides { follow: u32::MAX, sides: (16..32).map(side).collect() }.encode(),
    ];
    frames.extend((0..32).map(|tree| Wire::Renew { tree, seq }.encode()));
    let others = (0..HONEST).filter(|node| *node != to).map(|node| net.stream(node));
    for stream in others {
        let held = Held { stream, top: u64::MAX, gaps: vec![(0, u16::MAX)] };
        frames.push(forged(stream, u64::MAX));
        frames.push(Wire::Have(vec![Id { stream, seq: u64::MAX - 1 }]).encode());
        frames.push(Wire::Digest(vec![held]).encode());
    }
    frames
}

fn about_its_view(net: &mut Net, to: usize) -> Vec<Vec<u8>> {
    let mut frames = Vec::new();
    for number in 0..20 {
        let nobody = invented(net.chance.below(1000));
        let peers = vec![Entry { node: nobody, age: 0 }; limits::PEERS];
        let token = net.chance.below(u64::MAX);
        let you = net::id(to);
        frames.extend([
            Wire::Welcome { accepted: true, origin: number, you, peers: peers.clone() }.encode(),
            Wire::Shuffle { token, left: 9, peers: peers.clone() }.encode(),
            Wire::Shuffled { token, peers }.encode(),
            Wire::Walk { node: nobody, left: 200 }.encode(),
            Wire::Introduce { node: nobody }.encode(),
            Wire::Nearer { rtt_us: 1, old: nobody }.encode(),
            Wire::Depth { us: 1, nodes: u32::MAX }.encode(),
        ]);
    }
    if net.chance.below(10) == 0 {
        let instead = Some(invented(1));
        frames.push(Wire::Leave { why: Why::Full, instead }.encode());
    }
    frames
}

fn many_that_join(net: &mut Net, to: usize) -> Vec<Vec<u8>> {
    for _ in 0..20 {
        let number = net.chance.below(1000);
        let link = 1000 + number as u32;
        net.input(to, Input::Up(link, invented(number)));
        for want in [Want::Join, Want::High, Want::Again] {
            let hello = Wire::Hello { want, origin: number, you: net::id(to) };
            net.input(to, Input::Data(link, hello.encode()));
        }
    }
    let join = Wire::Hello { want: Want::Join, origin: LIAR as u64, you: net::id(to) };
    vec![join.encode(); 20]
}

fn grafts_for_ever(net: &mut Net, _: usize) -> Vec<Vec<u8>> {
    let ids: Vec<Id> = (0..HONEST)
        .flat_map(|node| (1..20).map(move |seq| (node, seq)))
        .map(|(node, seq)| Id { stream: net.stream(node), seq })
        .collect();
    let mut frames = Vec::new();
    for _ in 0..10 {
        frames.extend([
            Wire::Attach(true).encode(),
            Wire::Get(ids.clone()).encode(),
            Wire::Sides { follow: u32::MAX, sides: Vec::new() }.encode(),
            Wire::Digest(Vec::new()).encode(),
            Wire::More.encode(),
            Wire::Attach(false).encode(),
        ]);
    }
    frames
}

fn never_answers(net: &mut Net, _: usize) -> Vec<Vec<u8>> {
    net.mute.insert(LIAR);
    Vec::new()
}

/// A message that its origin did not say.
pub fn forged(stream: Stream, seq: u64) -> Vec<u8> {
    let body = format!("not {} of {}", seq, stream.origin).into_bytes();
    let id = Id { stream, seq };
    Wire::Post(Post { id, age: 0, hop: 3, tree: None, topic: TOPIC, body }).encode()
}
