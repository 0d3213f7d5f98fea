//! The component: see the library.
guest_sdk::main!(player::Player);
