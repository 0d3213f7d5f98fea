//! The thermostat as a component.
guest_sdk::main!(thermostat::Thermostat);
