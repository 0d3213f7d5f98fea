//! An actor that somebody might write from `wit/` alone: bindings straight from wit-bindgen, the
//! standard library's allocator, and rustc's own idea of a stack. It keeps each letter, and answers
//! with the same.

#[cfg(target_arch = "wasm32")]
mod actor {
    use std::sync::Mutex;

    wit_bindgen::generate!({ path: "../../../wit", world: "actor", generate_all });

    use edge::actor::effects;
    use edge::actor::types::{Message, Now};

    static KEPT: Mutex<Vec<Vec<u8>>> = Mutex::new(Vec::new());

    struct Foreign;

    impl exports::edge::actor::behaviour::Guest for Foreign {
        fn start(_: Now) -> Result<(), String> {
            Ok(())
        }

        fn handle(_: Now, messages: Vec<Message>, bytes: Vec<u8>) -> Result<(), ()> {
            for message in messages {
                let Message::Letter(letter) = message else { continue };
                let body = &bytes[letter.body.start as usize..letter.body.end as usize];
                KEPT.lock().map_err(drop)?.push(body.to_vec());
                if let Some(reply) = letter.reply {
                    effects::send(reply, body, &[], 0).map_err(drop)?;
                }
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

    export!(Foreign);
}
