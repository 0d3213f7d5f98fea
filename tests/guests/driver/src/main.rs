//! The driver as a component.
guest_sdk::main!(driver driver::Driver);
