//! The component.
guest_sdk::main!(protocol gossip::Gossip);
