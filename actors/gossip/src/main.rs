//! The component.
guest_sdk::main!(gossip::Gossip);
