//! What wasmtime makes of `wit/`: private to `wasm`.
#![allow(missing_docs, unused_imports, clippy::all)]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "edge:actor/protocol",
    // Bodies are copied once, into the guest.
    ownership: Borrowing { duplicate_if_necessary: false },
});

pub mod driver {
    wasmtime::component::bindgen!({
        path: "../wit",
        inline: "
            package edge:host;
            world bus {
                import edge:actor/i2c@0.1.0;
            }
        ",
        with: { "edge:actor/types@0.1.0": super::edge::actor::types },
    });
}
