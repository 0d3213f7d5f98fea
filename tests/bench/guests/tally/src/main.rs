//! The component: see the library.
guest_sdk::main!(tally::Tally);
