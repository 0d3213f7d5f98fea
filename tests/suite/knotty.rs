//! A component that takes long to compile.

use std::fs;

use crate::fixture::guest;

/// The probe, with a module beside it that takes long to compile: some functions alike, each of
/// loops within loops around additions to as many locals.
pub fn knotty(functions: usize, locals: usize, depth: usize) -> Vec<u8> {
    let adds = (0..locals).flat_map(|local| {
        let local = number(local);
        [b"\x20", &local[..], b"\x41\x01\x6a\x21", &local].concat()
    });
    // One kind of locals, i32; `loop` so many times, and for each `local.get 0, br_if 0, end`.
    let body = [
        b"\x01".to_vec(),
        number(locals),
        b"\x7f".to_vec(),
        b"\x03\x40".repeat(depth),
        adds.collect(),
        b"\x20\x00\x0d\x00\x0b".repeat(depth),
        b"\x0b".to_vec(),
    ];
    let body = body.concat();
    let body = [number(body.len()), body].concat();
    let kinds = section(1, b"\x01\x60\x00\x00".to_vec());
    let declared = section(3, [number(functions), vec![0; functions]].concat());
    let code = section(10, [number(functions), body.repeat(functions)].concat());
    let module = [b"\0asm\x01\0\0\0".to_vec(), kinds, declared, code].concat();
    let probe = fs::read(&guest("probe").file).unwrap();
    // An instance of it, the fourth module: three are wit-component's.
    [probe, section(1, module), section(2, b"\x01\x00\x03\x00".to_vec())].concat()
}

fn section(kind: u8, body: Vec<u8>) -> Vec<u8> {
    [vec![kind], number(body.len()), body].concat()
}

/// LEB128.
fn number(mut value: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    while value >= 128 {
        bytes.push((value & 127) as u8 | 128);
        value >>= 7;
    }
    bytes.push(value as u8);
    bytes
}
