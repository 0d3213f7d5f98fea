//! The soak as a component.
guest_sdk::main!(soak::Soak);
