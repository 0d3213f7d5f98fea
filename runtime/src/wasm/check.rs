//! Which bytes are a component that this host runs: decided before anything is compiled.

use std::fmt::Display;

use wasmparser::{Encoding, Parser, Payload};

/// The version of the contract that this host serves.
const VERSION: &str = "0.1.0";

/// The three worlds of the contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum World {
    /// An ordinary actor.
    Actor,
    /// An actor that touches a bus.
    Driver,
    /// A system protocol.
    Protocol,
}

/// Why bytes are not run as a component.
#[derive(Debug, thiserror::Error)]
pub enum ComponentError {
    /// Not WebAssembly, or damaged.
    #[error("is not a WebAssembly component ({0}): build one with `edge-host build PATH`")]
    NotWasm(String),
    /// A core module.
    #[error("is a core WebAssembly module, not a component: build it with `edge-host build PATH`")]
    CoreModule,
    /// An import that no world has.
    #[error(
        "imports {0:?}, which no world of edge:actor@{VERSION} has: an actor gets nothing but \
        what it is granted"
    )]
    Import(String),
    /// Made for another version of the contract.
    #[error(
        "was built for edge:actor@{theirs}, this host serves edge:actor@{VERSION}: build it with \
        the matching guest-sdk"
    )]
    OtherVersion {
        /// The component's version.
        theirs: String,
    },
    /// Imports of two worlds.
    #[error(
        "imports both `links` and `i2c`: no world has both; split it into a protocol and a driver"
    )]
    TwoWorlds,
    /// Lacks the export.
    #[error(
        "exports no edge:actor/behaviour@{VERSION}: write `guest_sdk::main!(YourActor);` in main.rs"
    )]
    NoBehaviour,
    /// The types are others.
    #[error("doesn't fit the {world} world: {why}: build it with the guest-sdk of this edge-host")]
    Link {
        /// The world its imports name.
        world: &'static str,
        /// What doesn't fit.
        why: String,
    },
    /// The compiler refused or failed.
    #[error("doesn't compile: {0}")]
    Compile(String),
    /// What the compiler's process said of it: one of these errors.
    #[error("{0}")]
    Child(String),
    /// The engine itself failed.
    #[error(
        "the WebAssembly engine failed: {0}: check memory and address-space limits (ulimit -v)"
    )]
    Engine(String),
}

impl ComponentError {
    pub(super) fn engine(error: wasmtime::Error) -> Self {
        Self::Engine(one_line(&error))
    }

    pub(super) fn compile(error: impl Into<wasmtime::Error>) -> Self {
        Self::Compile(one_line(&error.into()))
    }

    pub(super) fn link(world: World, error: impl Display) -> Self {
        Self::Link { world: world.name(), why: format!("{error:#}").replace('\n', " ") }
    }
}

/// An error and its causes, on one line. Where in its code a guest was is left out: it is a number,
/// its functions have no names.
pub(super) fn one_line(error: &wasmtime::Error) -> String {
    let causes = error.chain().map(ToString::to_string);
    let causes: Vec<String> =
        causes.filter(|cause| !cause.starts_with("error while executing at wasm")).collect();
    causes.join(": ").replace('\n', " ")
}

impl World {
    /// Its name in the contract.
    pub fn name(self) -> &'static str {
        match self {
            Self::Actor => "actor",
            Self::Driver => "driver",
            Self::Protocol => "protocol",
        }
    }

    /// The world that a component was written for, by its imports.
    pub fn of(bytes: &[u8]) -> Result<Self, ComponentError> {
        let outer = Outer::read(bytes)?;
        for name in outer.imports.iter().chain(&outer.exports) {
            if let Some((_, theirs)) = ours(name)
                && theirs != VERSION
            {
                return Err(ComponentError::OtherVersion { theirs: theirs.into() });
            }
        }
        let (mut links, mut i2c) = (false, false);
        for name in &outer.imports {
            match ours(name) {
                Some(("types" | "reads" | "effects", _)) => {}
                Some(("links", _)) => links = true,
                Some(("i2c", _)) => i2c = true,
                _ => return Err(ComponentError::Import(name.clone())),
            }
        }
        if !outer.exports.iter().any(|name| matches!(ours(name), Some(("behaviour", _)))) {
            return Err(ComponentError::NoBehaviour);
        }
        match (links, i2c) {
            (true, true) => Err(ComponentError::TwoWorlds),
            (true, false) => Ok(Self::Protocol),
            (false, true) => Ok(Self::Driver),
            (false, false) => Ok(Self::Actor),
        }
    }
}

/// Interface and version of a name of the contract, like `edge:actor/effects@0.1.0`.
fn ours(name: &str) -> Option<(&str, &str)> {
    name.strip_prefix("edge:actor/")?.split_once('@')
}

/// The names on a component's outside.
#[derive(Default)]
struct Outer {
    imports: Vec<String>,
    exports: Vec<String>,
}

impl Outer {
    fn read(bytes: &[u8]) -> Result<Self, ComponentError> {
        let broken = |error: wasmparser::BinaryReaderError| {
            // Some of its messages have several lines.
            let words: Vec<_> = error.message().split_whitespace().collect();
            ComponentError::NotWasm(words.join(" "))
        };
        let mut outer = Self::default();
        let mut depth = 0;
        for payload in Parser::new(0).parse_all(bytes) {
            match payload.map_err(broken)? {
                Payload::Version { encoding: Encoding::Module, .. } if depth == 0 => {
                    return Err(ComponentError::CoreModule);
                }
                Payload::Version { .. } => depth += 1,
                Payload::End(_) => depth -= 1,
                Payload::ComponentImportSection(section) if depth == 1 => {
                    for import in section {
                        outer.imports.push(import.map_err(broken)?.name.name.to_string());
                    }
                }
                Payload::ComponentExportSection(section) if depth == 1 => {
                    for export in section {
                        outer.exports.push(export.map_err(broken)?.name.name.to_string());
                    }
                }
                _ => {}
            }
        }
        Ok(outer)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(wat: &str, expected: &str) {
        let error = World::of(&wat::parse_str(wat).unwrap()).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }

    #[test]
    fn what_is_not_a_component_is_refused() {
        assert!(World::of(b"hello").unwrap_err().to_string().contains("not a WebAssembly"));
        assert!(World::of(b"").unwrap_err().to_string().contains("not a WebAssembly"));
        assert!(!World::of(b"hello").unwrap_err().to_string().contains('\n'));
        check("(module)", "core WebAssembly module");
        check("(component)", "exports no edge:actor/behaviour");
    }

    #[test]
    fn an_import_outside_the_worlds_is_named() {
        check(
            r#"(component (import "wasi:cli/stdout@0.2.0" (instance)))"#,
            "wasi:cli/stdout@0.2.0",
        );
    }

    #[test]
    fn another_version_is_named_beside_ours() {
        let wat = r#"(component (import "edge:actor/effects@0.9.0" (instance)))"#;
        check(wat, "edge:actor@0.9.0, this host serves edge:actor@0.1.0");
    }

    #[test]
    fn the_imports_of_two_worlds_are_refused() {
        let wat = r#"(component
            (import "edge:actor/links@0.1.0" (instance $links))
            (import "edge:actor/i2c@0.1.0" (instance))
            (export "edge:actor/behaviour@0.1.0" (instance $links)))"#;
        check(wat, "both `links` and `i2c`");
    }
}
