//! The component: see the library.
guest_sdk::main!(source::Source);
