//! The component: see the library.
guest_sdk::main!(conductor::Conductor);
