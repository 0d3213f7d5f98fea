//! RUSM's players, askers and sprouts: one component that does as it is told by bytes.

wit_bindgen::generate!({
    inline: "
        package rusm:runtime@0.1.0;
        interface types { type pid = u64; }
        interface actor {
            use types.{pid};
            own-pid: func() -> pid;
            send: func(to: pid, message: list<u8>);
            receive: func() -> list<u8>;
        }
        world process {
            import actor;
            import wasi:clocks/monotonic-clock@0.2.0;
            export run: func();
        }
        package wasi:clocks@0.2.0 {
            interface monotonic-clock { now: func() -> u64; }
        }
    ",
    generate_all,
});

use rusm::runtime::actor::{own_pid, receive, send};
use wasi::clocks::monotonic_clock::now;

struct Told;

export!(Told);

impl Guest for Told {
    /// `N` next home: its place in a ring. `T` left payload: a token. `A` whom payload: answers
    /// with the payload. `L` whom payload: the same, and ends. `P` whom home count: asks so often,
    /// and tells what each round trip took, in nanoseconds of four bytes. `H`: loops for ever.
    fn run() {
        let (mut next, mut home) = (0, 0);
        loop {
            let message = receive();
            match message.first() {
                Some(b'N') => (next, home) = (number(&message, 1), number(&message, 9)),
                Some(b'T') => match number(&message, 1) {
                    0 => send(home, b"D"),
                    left => send(next, &letter(b'T', left - 1, &message[9..])),
                },
                Some(b'A') => send(number(&message, 1), &message[9..]),
                Some(b'L') => return send(number(&message, 1), &message[9..]),
                Some(b'P') => {
                    let question = letter(b'A', own_pid(), &[7; 64]);
                    let (whom, count) = (number(&message, 1), number(&message, 17));
                    let mut times = Vec::with_capacity(4 * count as usize);
                    let mut last = now();
                    for _ in 0..count {
                        send(whom, &question);
                        assert_eq!(receive().len(), 64);
                        let this = now();
                        let took = u32::try_from(this - last).unwrap_or(u32::MAX);
                        times.extend_from_slice(&took.to_le_bytes());
                        last = this;
                    }
                    send(number(&message, 9), &times);
                }
                Some(b'H') => {
                    let mut rounds = 0u64;
                    loop {
                        rounds = std::hint::black_box(rounds.wrapping_add(1));
                    }
                }
                _ => panic!("it was told something else"),
            }
        }
    }
}

fn letter(kind: u8, number: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(9 + payload.len());
    bytes.push(kind);
    bytes.extend_from_slice(&number.to_le_bytes());
    bytes.extend_from_slice(payload);
    bytes
}

fn number(message: &[u8], at: usize) -> u64 {
    u64::from_le_bytes(message[at..at + 8].try_into().unwrap_or_default())
}
