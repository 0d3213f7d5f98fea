//! The first version of the pair.
guest_sdk::main!(pair::Pair<1>);
