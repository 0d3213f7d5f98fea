//! Memories of both layouts, and what of one is found in the next.

use super::*;

const BYTES: usize = 128 << 10;

fn memory(memories: &Memories, bytes: usize) -> Box<dyn LinearMemory> {
    memories.new_memory(MemoryType::new(1, None), bytes, None, Some(0), 0).unwrap()
}

fn bytes(memory: &mut dyn LinearMemory) -> &mut [u8] {
    // SAFETY: all of it is mapped, and the reference lives no longer than the one to `memory`.
    unsafe { std::slice::from_raw_parts_mut(memory.as_ptr(), memory.byte_size()) }
}

fn count(memories: &Memories) -> usize {
    memories.0.spare().count
}

#[test]
fn a_memory_used_again_has_nothing_of_what_it_held() {
    let memories = Memories::new();
    memories.keep(1);
    let mut first = memory(&memories, BYTES);
    let place = first.as_ptr();
    for at in [0, 5000, BYTES - 1] {
        bytes(&mut *first)[at] = 7;
    }
    drop(first);
    let mut second = memory(&memories, BYTES);
    assert_eq!((second.as_ptr(), second.byte_size()), (place, BYTES));
    assert!(bytes(&mut *second).iter().all(|byte| *byte == 0));
    let mut third = memory(&memories, BYTES);
    assert_ne!(third.as_ptr(), place);
    assert!(bytes(&mut *third).iter().all(|byte| *byte == 0));
}

#[test]
fn no_more_are_kept_than_may_be_and_none_that_is_large_or_full_or_has_grown() {
    let memories = Memories::new();
    drop(memory(&memories, BYTES));
    assert_eq!(count(&memories), 0, "none may be kept yet");
    memories.keep(2);
    drop(memory(&memories, 2 << 20));
    let mut full = memory(&memories, BYTES);
    bytes(&mut *full).fill(1);
    drop(full);
    let mut grown = memory(&memories, BYTES);
    grown.grow_to(2 * BYTES).unwrap();
    drop(grown);
    assert_eq!(count(&memories), 0);
    let several: Vec<_> = (0..3).map(|_| memory(&memories, BYTES)).collect();
    drop(several);
    assert_eq!(count(&memories), 2);
}

#[test]
fn those_in_use_and_those_kept_share_the_room() {
    let memories = Memories::new();
    memories.keep(3);
    let used = [memory(&memories, BYTES), memory(&memories, BYTES)];
    let several: Vec<_> = (0..2).map(|_| memory(&memories, BYTES)).collect();
    drop(several);
    assert_eq!(count(&memories), 1, "beside the two in use");
    drop(used);
    assert_eq!(count(&memories), 3);
}

#[test]
fn a_pagemap_that_does_not_show_what_was_touched_is_not_believed() {
    let believed = |pagemap| Shared::new(pagemap).sees_what_is_touched();
    assert!(believed("/proc/self/pagemap"));
    // As long as a pagemap is, and nothing but holes.
    let zeros = tempfile::NamedTempFile::new().unwrap();
    zeros.as_file().set_len(1 << 40).unwrap();
    for other in [zeros.path().to_str().unwrap(), "/proc/self/maps", "/proc/self/none"] {
        assert!(!believed(other), "{other}");
    }
}

#[test]
fn growing_keeps_what_was_written_and_adds_zeros() {
    let untold = Memories(Arc::new(Shared::new("/proc/self/none")));
    for memories in [Memories::new(), untold] {
        let mut memory = memory(&memories, BYTES);
        for at in [1, 9000, BYTES - 1] {
            bytes(&mut *memory)[at] = 7;
        }
        memory.grow_to(3 * BYTES).unwrap();
        let now = bytes(&mut *memory);
        assert_eq!(now.len(), 3 * BYTES);
        let written: Vec<_> = (0..now.len()).filter(|at| now[*at] != 0).collect();
        assert_eq!(written, [1, 9000, BYTES - 1]);
    }
}

#[test]
fn without_a_pagemap_no_memory_is_used_again() {
    let memories = Memories(Arc::new(Shared::new("/proc/self/none")));
    memories.keep(8);
    drop(memory(&memories, BYTES));
    assert_eq!(count(&memories), 0);
}

#[test]
fn what_nobody_takes_is_given_back() {
    let memories = Memories::new();
    memories.keep(8);
    let several: Vec<_> = (0..4).map(|_| memory(&memories, BYTES)).collect();
    drop(several);
    let long_ago = || Instant::now() - 2 * PATIENCE;
    memories.0.spare().since = long_ago();
    memories.trim(false);
    assert_eq!(count(&memories), 4, "they came since it was last looked");
    drop(memory(&memories, BYTES));
    memories.trim(false);
    assert_eq!(count(&memories), 4, "not yet");
    memories.0.spare().since = long_ago();
    memories.trim(false);
    assert_eq!(count(&memories), 1, "one was used meanwhile");
    memories.trim(true);
    assert_eq!(count(&memories), 0, "the system has no memory for others");
}

#[test]
fn a_guarded_memory_grows_where_it_lies() {
    let memories = Memories::new();
    memories.keep(2);
    let guarded = || memories.new_memory(MemoryType::new(1, None), BYTES, None, Some(NAMED), GUARD);
    let mut memory = guarded().unwrap();
    let place = memory.as_ptr();
    bytes(&mut *memory)[9000] = 7;
    memory.grow_to(3 * BYTES).unwrap();
    assert_eq!((memory.as_ptr(), memory.byte_size()), (place, 3 * BYTES));
    let written: Vec<_> = (0..3 * BYTES).filter(|at| bytes(&mut *memory)[*at] != 0).collect();
    assert_eq!(written, [9000]);
    drop(memory);
    assert_eq!(count(&memories), 0);
    drop(guarded().unwrap());
    assert_eq!(count(&memories), 1);
    drop(self::memory(&memories, BYTES));
    assert_eq!(count(&memories), 2, "one of each kind");
    drop(guarded().unwrap());
    assert_eq!(count(&memories), 2);
}

#[test]
fn what_lies_beyond_a_memory_traps_in_either_layout() {
    const PAGE: u32 = 64 << 10;
    let module = wat::parse_str(
        r#"(module (memory 1 2)
            (func (export "near") (param i32) (result i32) (i32.load8_u (local.get 0)))
            (func (export "wide") (param i32) (result i32) (i32.load offset=60000 (local.get 0)))
            (func (export "far") (param i32) (result i32)
                (i32.load offset=0xfffffff0 (local.get 0)))
            (func (export "grow") (param i32) (result i32) (memory.grow (local.get 0))))"#,
    );
    for layout in [Layout::Guarded, Layout::Packed] {
        let mut config = wasmtime::Config::new();
        config.with_host_memory(Arc::new(Memories::new()));
        layout.configure(&mut config);
        let engine = wasmtime::Engine::new(&config).unwrap();
        let module = wasmtime::Module::new(&engine, module.as_ref().unwrap()).unwrap();
        let mut store = wasmtime::Store::new(&engine, ());
        let instance = wasmtime::Instance::new(&mut store, &module, &[]).unwrap();
        let mut call = |name: &str, at: u32| {
            let function = instance.get_typed_func::<u32, u32>(&mut store, name).unwrap();
            function
                .call(&mut store, at)
                .map_err(|error| error.downcast::<wasmtime::Trap>().unwrap())
        };
        let beyond = Err(wasmtime::Trap::MemoryOutOfBounds);
        for last in [PAGE, 2 * PAGE] {
            assert_eq!(call("near", last - 1), Ok(0), "{layout:?}");
            assert_eq!(call("wide", last - 60_004), Ok(0), "{layout:?}");
            let at = [last, 2 * last, 1 << 31, u32::MAX];
            assert!(at.iter().all(|at| call("near", *at) == beyond), "{layout:?}");
            let at = [last - 60_003, last, 1 << 31, u32::MAX];
            assert!(at.iter().all(|at| call("wide", *at) == beyond), "{layout:?}");
            assert!([0, 16, u32::MAX].iter().all(|at| call("far", *at) == beyond), "{layout:?}");
            let grown = if last == PAGE { 1 } else { u32::MAX };
            assert_eq!(call("grow", 1), Ok(grown), "{layout:?}");
        }
    }
}

#[test]
fn no_more_memories_are_promised_than_there_are_mappings_for() {
    assert_eq!(Layout::guarded(0), 0);
    assert!((1..=50).contains(&Layout::guarded(100)));
}
