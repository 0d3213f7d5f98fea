//! The one line of an actor's `main.rs`.

/// Makes a component of an actor: `main!(Thermostat)`. Off Wasm it is a `main` that says how the
/// actor is built.
///
/// All exports stand here, so that they end up in the actor's own binary and nowhere else.
#[macro_export]
macro_rules! main {
    ($actor:ty) => {
        #[cfg(target_arch = "wasm32")]
        const _: () = {
            use $crate::component::actor::exports::edge::actor::behaviour::{Event, Guest, Letter};
            use $crate::component::{Batch, Imports, Incarnation, Now, Sole, actor};

            ::std::thread_local! {
                static INCARNATION: Incarnation<$actor> = const { Incarnation::none() };
            }

            struct Component;

            impl Guest for Component {
                fn start(now: Now) -> ::std::result::Result<(), ::std::string::String> {
                    INCARNATION.with(|actor| actor.start(&mut Imports, now))
                }

                fn handle(
                    now: Now,
                    sole: Sole,
                    letters: ::std::vec::Vec<Letter>,
                    events: ::std::vec::Vec<(u32, Event)>,
                    handles: ::std::vec::Vec<u32>,
                    bytes: ::std::vec::Vec<u8>,
                ) -> ::std::result::Result<(), ()> {
                    let batch = Batch::new(sole, letters, events, handles, bytes);
                    INCARNATION.with(|actor| actor.handle(&mut Imports, now, batch))
                }

                fn save() -> ::std::result::Result<::std::vec::Vec<u8>, ::std::string::String> {
                    INCARNATION.with(|actor| actor.save())
                }

                fn restore(
                    _now: Now,
                    state: ::std::vec::Vec<u8>,
                    _writer: ::std::string::String,
                ) -> ::std::result::Result<(), ::std::string::String> {
                    INCARNATION.with(|actor| actor.restore(&state))
                }
            }

    actor::export!(Component with_types_in actor);
        };

        // Who links the component as a library has no use for it.
        #[cfg(target_arch = "wasm32")]
        #[allow(dead_code)]
        fn main() {}

        #[cfg(not(target_arch = "wasm32"))]
        fn main() {
            eprintln!("an actor runs on a node: `edge-host build` makes a component of it");
            std::process::exit(2);
        }
    };
}
