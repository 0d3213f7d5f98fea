//! The driver as a component.
guest_sdk::main!(driver::Driver);
