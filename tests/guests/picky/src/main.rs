//! The picky one as a component.
guest_sdk::main!(picky::Picky);
