//! What wasmtime makes of `wit/`.
#![allow(missing_docs, unused_imports, clippy::all)]

wasmtime::component::bindgen!({
    path: "../../../../wit",
    world: "edge:actor/actor",
});
