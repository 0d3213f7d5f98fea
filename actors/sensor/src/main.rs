//! The component.
guest_sdk::main!(sensor::Sampler);
