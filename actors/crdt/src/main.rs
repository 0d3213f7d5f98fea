//! The component.
guest_sdk::main!(crdt::Crdt);
