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
            export run: func();
        }
    ",
});

use rusm::runtime::actor::{own_pid, receive, send};

struct Told;

export!(Told);

impl Guest for Told {
    /// `N` next home: its place in a ring. `T` left payload: a token. `A` whom payload: answers
    /// with the payload. `L` whom payload: the same, and ends. `P` whom home count: asks so often.
    /// `H`: loops for ever.
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
                    for _ in 0..number(&message, 17) {
                        send(number(&message, 1), &question);
                        assert_eq!(receive().len(), 64);
                    }
                    send(number(&message, 9), b"D");
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
