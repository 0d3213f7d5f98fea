//! The component: see the library.
guest_sdk::main!(hog::Hog);
