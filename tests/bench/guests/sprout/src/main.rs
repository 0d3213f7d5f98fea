//! The component: see the library.
guest_sdk::main!(sprout::Sprout);
