//! The probe as a component.
guest_sdk::main!(probe::Probe);
