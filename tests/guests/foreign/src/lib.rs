//! An actor that somebody might write from `wit/` alone: bindings straight from wit-bindgen, the
//! standard library's allocator, and rustc's own idea of a stack. It keeps each letter, and answers
//! with the same.

#[cfg(target_arch = "wasm32")]
mod actor {
    use std::sync::Mutex;

    wit_bindgen::generate!({ path: "../../../wit", world: "actor", generate_all });

    use edge::actor::effects;
    use edge::actor::types::{Event, Letter, Now, Sole};

    /// Where an answer goes if none is wanted.
    const NOBODY: u32 = u32::MAX;

    static KEPT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

    struct Foreign;

    impl exports::edge::actor::behaviour::Guest for Foreign {
        fn start(_: Now) -> Result<(), String> {
            Ok(())
        }

        fn handle(
            _: Now,
            sole: Sole,
            letters: Vec<Letter>,
            _: Vec<(u32, Event)>,
            _: Vec<u32>,
            bytes: Vec<u8>,
        ) -> Result<(), ()> {
            if let Sole::Letter(reply) = sole {
                take(&bytes, reply)?;
            }
            for letter in letters {
                let body = &bytes[letter.body.start as usize..letter.body.end as usize];
                take(body, letter.reply)?;
            }
            Ok(())
        }

        fn save() -> Result<Vec<u8>, String> {
            Err("it never learned to".into())
        }

        fn restore(_: Now, _: Vec<u8>, _: String) -> Result<(), String> {
            Err("it never learned to".into())
        }
    }

    fn take(body: &[u8], reply: u32) -> Result<(), ()> {
        KEPT.lock().map_err(drop)?.push(body.to_vec());
        if reply != NOBODY {
            effects::send(reply, body, &[], 0).map_err(drop)?;
        }
        Ok(())
    }

    export!(Foreign);
}
