//! The next thermostat as a component.
guest_sdk::main!(hot_swap::Thermostat);
