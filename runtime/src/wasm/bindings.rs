//! What wasmtime makes of `wit/`: private to `wasm`.
#![allow(missing_docs, unused_imports, clippy::all)]

wasmtime::component::bindgen!({
    path: "../wit",
    world: "edge:actor/protocol",
});

pub mod driver {
    wasmtime::component::bindgen!({
        path: "../wit",
        world: "edge:actor/driver",
        with: {
            "edge:actor/types": super::edge::actor::types,
            "edge:actor/reads": super::edge::actor::reads,
            "edge:actor/effects": super::edge::actor::effects,
        },
    });
}
