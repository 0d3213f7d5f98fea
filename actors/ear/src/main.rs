//! The component.
guest_sdk::main!(ear::Ear);
