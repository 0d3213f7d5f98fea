//! A plain component, and the same one with a module more, which makes it go through wasmtime's
//! component layer: whatever either is told and asks for, their memories must be the same.

use sim::{Desk, Edge, Letter, LinkEvent, Machine, Message, Notice, Now, Reason, Thing};

use super::wit::{self, Sole, Span};
use super::{Batch, NO_REPLY, Plain};
use crate::wasm::contract::tests::component;
use crate::wasm::simulated::Simulated;
use crate::wasm::{Engine, Layout, World};

const IMPORTS: &str = r#"
        (import "edge:actor/reads@0.1.0" "grant" (func $grant (param i32 i32 i32)))
        (import "edge:actor/reads@0.1.0" "me" (func $me (result i32)))
        (import "edge:actor/reads@0.1.0" "get" (func $get (param i32 i32 i32)))
        (import "edge:actor/reads@0.1.0" "range" (func $range (param i32 i32 i32 i32 i32 i32)))
        (import "edge:actor/reads@0.1.0" "last" (func $last (param i32 i32)))
        (import "edge:actor/reads@0.1.0" "level" (func $level (param i32 i32)))
        (import "edge:actor/effects@0.1.0" "send"
            (func $send (param i32 i32 i32 i32 i32 i64 i32)))
        (import "edge:actor/effects@0.1.0" "ask"
            (func $ask (param i32 i32 i32 i32 i32 i64 i64 i32)))
        (import "edge:actor/effects@0.1.0" "keep" (func $keep (param i32 i32)))
        (import "edge:actor/effects@0.1.0" "release" (func $release (param i32 i32)))
        (import "edge:actor/effects@0.1.0" "arm" (func $arm (param i64 i32 i32 i64 i64 i32)))
        (import "edge:actor/effects@0.1.0" "disarm" (func $disarm (param i64)))
        (import "edge:actor/effects@0.1.0" "put" (func $put (param i32 i32 i32 i32 i32)))
        (import "edge:actor/effects@0.1.0" "delete" (func $delete (param i32 i32 i32)))
        (import "edge:actor/effects@0.1.0" "drive" (func $drive (param i32 i32 i32)))
        (import "edge:actor/effects@0.1.0" "spawn" (func $spawn (param i32 i32 i32 i64 i32)))
        (import "edge:actor/effects@0.1.0" "stop" (func $stop (param i32 i32)))
        (import "edge:actor/effects@0.1.0" "monitor" (func $monitor (param i32 i64 i32)))
        (import "edge:actor/effects@0.1.0" "log" (func $log (param i32 i32)))
        (import "edge:actor/effects@0.1.0" "fail" (func $fail (param i32 i32)))
        (import "edge:actor/links@0.1.0" "connect" (func $connect (param i32 i32 i32)))
        (import "edge:actor/links@0.1.0" "disconnect" (func $disconnect (param i32 i32)))
        (import "edge:actor/links@0.1.0" "transmit" (func $transmit (param i32 i32 i32 i32 i32)))
        (import "edge:actor/links@0.1.0" "deliver" (func $deliver (param i32 i32 i32 i32 i32)))"#;

/// A protocol that keeps what it is given, makes `calls` in each turn, and saves its whole memory.
fn module(calls: &str, in_realloc: &str) -> String {
    format!(
        r#"(module
        {IMPORTS}
        (memory (export "memory") 1)
        (data (i32.const 256) "name\ff key value a line for people")
        (global $next (mut i32) (i32.const 4096))
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
            ;; The layer asks for room for empty lists, too.
            (if (i32.eqz (local.get 3)) (then (return (local.get 2))))
            (global.set $next (i32.and
                (i32.sub (i32.add (global.get $next) (local.get 2)) (i32.const 1))
                (i32.sub (i32.const 0) (local.get 2))))
            {in_realloc}
            (global.get $next)
            (global.set $next (i32.add (global.get $next) (local.get 3))))
        (func $now (param i64 i32 i64 i64)
            (i64.store (i32.const 64) (local.get 0))
            (i32.store (i32.const 72) (local.get 1))
            (i64.store (i32.const 80) (local.get 2))
            (i64.store (i32.const 88) (local.get 3)))
        (func $lists (param i32 i32 i32 i32 i32)
            (i32.store (local.get 0) (local.get 1))
            (i32.store offset=4 (local.get 0) (local.get 2))
            (i32.store offset=8 (local.get 0) (local.get 3))
            (i32.store offset=12 (local.get 0) (local.get 4)))
        (func $begun (param i64) (result i32)
            (i32.store8 (i32.const 16) (i32.wrap_i64 (local.get 0)))
            (i32.store (i32.const 20) (i32.const 256))
            (i32.store (i32.const 24) (i32.const 4))
            (i32.const 16))
        (func (export "edge:actor/behaviour@0.1.0#start") (param i64 i32 i64 i64) (result i32)
            (call $now (local.get 0) (local.get 1) (local.get 2) (local.get 3))
            (call $begun (local.get 3)))
        (func (export "cabi_post_edge:actor/behaviour@0.1.0#start") (param i32)
            (i32.store (i32.const 128) (local.get 0)))
        (func (export "edge:actor/behaviour@0.1.0#handle")
            (param i64 i32 i64 i64 i32 i64 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
            (call $now (local.get 0) (local.get 1) (local.get 2) (local.get 3))
            (i32.store (i32.const 144) (local.get 4))
            (i64.store (i32.const 152) (local.get 5))
            (call $lists (i32.const 96)
                (local.get 6) (local.get 7) (local.get 8) (local.get 9))
            (call $lists (i32.const 112)
                (local.get 10) (local.get 11) (local.get 12) (local.get 13))
            {calls}
            (i32.wrap_i64 (local.get 3)))
        (func (export "edge:actor/behaviour@0.1.0#save") (result i32)
            (i32.store8 (i32.const 32) (i32.const 0))
            (i32.store (i32.const 36) (i32.const 0))
            (i32.store (i32.const 40) (i32.const 65536))
            (i32.const 32))
        (func (export "edge:actor/behaviour@0.1.0#restore")
            (param i64 i32 i64 i64 i32 i32 i32 i32) (result i32)
            (call $now (local.get 0) (local.get 1) (local.get 2) (local.get 3))
            (call $lists (i32.const 96)
                (local.get 4) (local.get 5) (local.get 6) (local.get 7))
            (call $begun (local.get 3))))"#
    )
}

/// Instances of a module as a plain component and as one that isn't.
fn both(calls: &str) -> [Simulated; 2] {
    each(&module(calls, ""))
}

fn each(module: &str) -> [Simulated; 2] {
    let plain = component(module, World::Protocol);
    assert!(Plain::of(&plain).is_some());
    let text = wasmprinter::print_bytes(&plain).unwrap();
    let inner = text.trim_end().strip_suffix(')').unwrap();
    let more = "(core module $more) (core instance (instantiate $more))";
    let layered = wat::parse_str(format!("{inner} {more})")).unwrap();
    assert!(Plain::of(&layered).is_none());
    let engine = Engine::new(Layout::Packed).unwrap();
    [plain, layered].map(|bytes| Simulated::of(&engine, &bytes).unwrap())
}

/// What there is to see of a turn: how it ended, what was asked for, and the memory after it.
type Seen = (Result<(), String>, String, Result<Vec<u8>, String>);

fn turn(machine: &mut dyn Machine, message: Message, seed: u64) -> Seen {
    let grants = [
        ("name".to_string(), Thing::Sensor("one".into())),
        ("pin".to_string(), Thing::Pin("two".into())),
    ];
    let mut desk =
        Desk::new(sim::ActorKey { node: 0, number: 7 }, sim::World::Protocol, false, grants.into());
    desk.ambient = Some(sim::Reading { value: 21.5, at: 1 << 40 });
    desk.links.insert(3, 1000);
    let now = Now { monotonic: 1 << 33, wall: Some(5), seed };
    desk.begin();
    let ended = machine.turn(now, message, &mut desk);
    let (asked, _) = desk.commit(|_, effects| format!("{effects:?}"));
    (ended, asked, machine.save())
}

fn messages() -> Vec<Message> {
    let letter = |carried: &[u32], reply| Letter {
        body: b"some bytes".to_vec(),
        carried: carried.to_vec(),
        reply,
    };
    let notice = |token, reason| Notice { token, reason };
    let node = vec![9; 32];
    let edge = Edge { pin: 5, level: true, at: 1 << 50, sequence: 1 << 40, dropped: 3 };
    let link = |event| Message::Link(event);
    vec![
        Message::Letter(letter(&[], None)),
        Message::Letter(letter(&[1, 2, 1 << 24], Some(77))),
        Message::Answer { token: 1 << 60, outcome: Ok(letter(&[8], None)) },
        Message::Answer { token: 2, outcome: Ok(letter(&[], Some(3))) },
        Message::Answer { token: 3, outcome: Err(Reason::NoAnswer) },
        Message::Undelivered(notice(4, Reason::MailboxFull)),
        Message::Timer(b"tick".to_vec()),
        Message::Down(notice(u64::MAX, Reason::Trapped)),
        Message::Edge(edge),
        Message::Expired(6),
        link(LinkEvent::Reachable(node.clone())),
        link(LinkEvent::Up { link: 1, node: node.clone() }),
        link(LinkEvent::Down { link: 2, node, reason: Reason::Unreachable }),
        link(LinkEvent::Data { link: 3, body: b"frame".to_vec() }),
        link(LinkEvent::Rtt { link: 4, rtt: 1 << 35 }),
        link(LinkEvent::Writable(5)),
        link(LinkEvent::Published { topic: vec![1; 16], body: b"news".to_vec() }),
    ]
}

#[test]
fn each_message_lies_in_a_guest_as_the_component_layer_puts_it() {
    let [mut plain, mut layered] = both("");
    for message in messages() {
        let ours = turn(&mut plain, message.clone(), 0);
        assert_eq!(ours, turn(&mut layered, message.clone(), 0), "{message:?}");
        assert_eq!(ours.0, Ok(()));
        assert!(ours.2.unwrap()[4096..].iter().any(|byte| *byte != 0), "{message:?}");
    }
}

#[test]
fn so_do_batches() {
    let span = |start, end| Span { start, end };
    let letter = |body, carried, reply| wit::Letter { body, carried, reply };
    let letters = [
        letter(span(0, 4), span(0, 2), 7),
        letter(span(4, 4), span(2, 2), NO_REPLY),
        letter(span(4, 10), span(2, 3), 1 << 24),
    ];
    let answer = wit::Answer { token: 1 << 60, outcome: Ok(letters[2]) };
    let events = [
        (1, wit::Event::Timer(span(2, 3))),
        (1, wit::Event::Link(wit::LinkEvent::Reachable(&[9; 32]))),
        (3, wit::Event::Answer(answer)),
    ];
    let (handles, bytes) = (&[1, 2, 1 << 24], b"some bytes");
    let none: (&[_], &[_]) = (&[], &[]);
    let batches = [
        (Sole::None, (&letters[..], &events[..])),
        (Sole::None, (&letters[..1], &[])),
        (Sole::Letter(NO_REPLY), none),
        (Sole::Letter(1 << 24), none),
        (Sole::Answer(u64::MAX), none),
    ];
    for (sole, (letters, events)) in batches {
        let batch = Batch { sole, letters, events, handles, bytes };
        let now = Now { monotonic: 9, wall: None, seed: 0 };
        let [ours, theirs] = both("").map(|mut machine| {
            machine.turns(now, &batch, &mut Desk::default()).unwrap();
            machine.save().unwrap()
        });
        assert!(ours == theirs, "{sole:?}");
        assert_eq!(ours[144] == 0, letters.len() + events.len() > 0, "{sole:?}");
    }
}

#[test]
fn each_call_of_a_guest_has_the_same_effect_and_answer() {
    let calls = "
        (call $put (i32.const 262) (i32.const 3) (i32.const 266) (i32.const 5) (i32.const 1024))
        (call $grant (i32.const 256) (i32.const 4) (i32.const 1028))
        (call $grant (i32.const 256) (i32.const 3) (i32.const 1040))
        (i32.store (i32.const 1052) (call $me))
        (call $get (i32.const 262) (i32.const 3) (i32.const 1056))
        (call $get (i32.const 262) (i32.const 2) (i32.const 1068))
        (call $range (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 0) (i32.const 9)
            (i32.const 1080))
        (call $last (i32.load (i32.const 1036)) (i32.const 1088))
        (call $last (i32.const 99) (i32.const 1112))
        (call $level (i32.const 99) (i32.const 1136))
        (call $send (i32.load (i32.const 1052)) (i32.const 266) (i32.const 5)
            (i32.const 1052) (i32.const 1) (i64.const 11) (i32.const 1140))
        (call $send (i32.const 99) (i32.const 266) (i32.const 5)
            (i32.const 0) (i32.const 0) (i64.const 12) (i32.const 1142))
        (call $ask (i32.load (i32.const 1052)) (i32.const 266) (i32.const 5)
            (i32.const 1052) (i32.const 1) (i64.const 13) (i64.const 1000) (i32.const 1144))
        (call $keep (i32.load (i32.const 1052)) (i32.const 1148))
        (call $keep (i32.const 99) (i32.const 1156))
        (call $release (i32.const 99) (i32.const 1164))
        (call $arm (i64.const 1) (i32.const 266) (i32.const 5) (i64.const 9) (i64.const 8)
            (i32.const 1166))
        (call $disarm (i64.const 2))
        (call $delete (i32.const 262) (i32.const 3) (i32.const 1168))
        (call $drive (i32.const 99) (i32.const 1) (i32.const 1170))
        (i32.store (i32.const 512) (i32.const 256))
        (i32.store (i32.const 516) (i32.const 4))
        (i32.store (i32.const 520) (i32.load (i32.const 1052)))
        (call $spawn (i32.const 99) (i32.const 512) (i32.const 1) (i64.const 14) (i32.const 1172))
        (call $stop (i32.load (i32.const 1052)) (i32.const 1180))
        (call $monitor (i32.load (i32.const 1052)) (i64.const 15) (i32.const 1182))
        (call $log (i32.const 272) (i32.const 17))
        (call $connect (i32.const 4) (i32.const 32) (i32.const 1184))
        (call $disconnect (i32.const 4) (i32.const 1186))
        (call $transmit (i32.const 3) (i32.const 2) (i32.const 266) (i32.const 5) (i32.const 1188))
        (call $deliver (i32.const 4) (i32.const 16) (i32.const 266) (i32.const 5) (i32.const 1190))
        (call $fail (i32.const 256) (i32.const 4))";
    let [mut plain, mut layered] = both(calls);
    let tick = || Message::Timer(b"tick".to_vec());
    let ours = turn(&mut plain, tick(), 0);
    assert_eq!(ours, turn(&mut layered, tick(), 0));
    let (ended, asked, memory) = ours;
    assert_eq!(ended, Ok(()));
    for effect in ["Put", "Send", "Ask", "Arm", "Stop", "Monitor", "Log", "Transmit", "Deliver"] {
        assert!(asked.contains(effect), "no {effect} in {asked}");
    }
    let memory = memory.unwrap();
    // Some handle; a value of five bytes; one record; a reading.
    assert_eq!([memory[1028], memory[1056], memory[1084], memory[1088]], [1; 4]);
    assert_eq!(memory[1064], 5);
    assert_eq!(turn(&mut plain, tick(), 1), turn(&mut layered, tick(), 1));
    assert_eq!(turn(&mut plain, tick(), 1).0, Err("name".into()));
}

#[test]
fn what_a_guest_must_not_do_ends_its_turn_in_either() {
    let calls = [
        ("outside its memory", "(call $log (i32.const 65530) (i32.const 7))"),
        ("copied in one call", "(call $log (i32.const -1) (i32.const -1))"),
        ("utf-8", "(call $log (i32.const 256) (i32.const 5))"),
        ("multiple of 4", "(call $grant (i32.const 256) (i32.const 4) (i32.const 1026))"),
        ("outside its memory", "(call $grant (i32.const 256) (i32.const 4) (i32.const 65528))"),
        ("outside its memory", "(call $grant (i32.const 256) (i32.const 4) (i32.const -4))"),
        ("multiple of 4", "(call $grant (i32.const 256) (i32.const 4) (i32.const -1))"),
        ("outside its memory", "(call $stop (i32.const 1) (i32.const -1))"),
        ("outside its memory", "(call $last (i32.const 1) (i32.const -8))"),
        ("multiple of 8", "(call $last (i32.const 1) (i32.const 1028))"),
        (
            "no class",
            "(call $transmit (i32.const 1) (i32.const 4) (i32.const 0) (i32.const 0)
            (i32.const 1024))",
        ),
        (
            "multiple of 4",
            "(call $send (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 1)
            (i32.const 1) (i64.const 0) (i32.const 1024))",
        ),
        (
            "outside its memory",
            "(call $send (i32.const 1) (i32.const 0) (i32.const 0) (i32.const 0)
            (i32.const 0x40000001) (i64.const 0) (i32.const 1024))",
        ),
        (
            "outside its memory",
            "(call $spawn (i32.const 1) (i32.const 65532) (i32.const 1)
            (i64.const 0) (i32.const 1024))",
        ),
        (
            "outside its memory",
            "(global.set $next (i32.const 65534))
            (call $put (i32.const 262) (i32.const 3) (i32.const 266) (i32.const 5) (i32.const 1024))
            (call $get (i32.const 262) (i32.const 3) (i32.const 1024))",
        ),
        ("no result", "(return (i32.const 2))"),
    ];
    for (why, calls) in calls {
        let [mut plain, mut layered] = both(calls);
        let tick = Message::Timer(b"tick".to_vec());
        let said = turn(&mut plain, tick.clone(), 0).0.unwrap_err();
        assert!(said.contains(why) && !said.contains('\n'), "{calls}: {said}");
        assert!(!said.contains("backtrace"), "{said}");
        assert!(turn(&mut layered, tick, 0).0.is_err(), "{calls}");
    }
}

#[test]
fn it_can_call_nothing_while_it_makes_room() {
    for call in ["(call $log (i32.const 256) (i32.const 4))", "(drop (call $me))"] {
        let [mut plain, mut layered] = each(&module("", call));
        let tick = Message::Timer(b"tick".to_vec());
        let said = turn(&mut plain, tick.clone(), 0).0.unwrap_err();
        assert!(said.contains("may only make room"), "{said}");
        assert!(turn(&mut layered, tick, 0).0.is_err(), "{call}");
    }
}

#[test]
fn it_starts_and_is_restored_as_in_the_component_layer() {
    let [mut plain, mut layered] = both("");
    for (seed, wall) in [(0, None), (1, Some(1 << 60))] {
        let now = Now { monotonic: 9, wall, seed };
        let [ours, theirs] = [&mut plain, &mut layered].map(|machine| {
            let started = machine.start(now, &mut Desk::default());
            let memory = machine.save();
            let restored = machine.restore(now, b"state", &mut Desk::default());
            (started, memory, restored, machine.save())
        });
        assert_eq!(ours, theirs);
        let (started, memory, restored, _) = ours;
        assert_eq!((started.is_err(), restored.is_err()), (seed == 1, seed == 1));
        // What `save` is called for after an error of `start` is up to the caller.
        assert_eq!(memory.unwrap()[128], 16, "nothing was called afterwards");
    }
}
