//! Components against the text of the contract: made from an actor's module, and compared type by
//! type. The home of `wit-component` and `wasm-encoder`.

use wasm_encoder::{ExportSection, Module, RawSection};
use wasmparser::{Parser, Payload, Validator};
use wit_component::ComponentEncoder;
use wit_parser::{Resolve, WorldId};

use super::{ComponentError, World};

/// The contract.
pub(super) const TEXT: &str = include_str!("../../../wit/actor.wit");
/// What wit-bindgen exports for its own linking, with its version behind. Nobody calls it, and each
/// function that is exported takes 32 bytes of each instance.
const UNCALLED: &str = "cabi_realloc_wit_bindgen_";

/// Makes a component of an actor's module, by the types that its SDK has put into it.
///
/// # Errors
/// What is no actor's module.
pub fn encode(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true);
    encoder.module(&without_uncalled(module)?)?;
    encoder.encode()
}

fn without_uncalled(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut less = Module::new();
    for part in Parser::new(0).parse_all(module) {
        let part = part?;
        if let Payload::ExportSection(exports) = part {
            let mut kept = ExportSection::new();
            for export in exports {
                let export = export?;
                if !export.name.starts_with(UNCALLED) {
                    kept.export(export.name, export.kind.into(), export.index);
                }
            }
            less.section(&kept);
        } else if let Some((id, range)) = part.as_section() {
            let data = module.get(range).unwrap_or_default();
            less.section(&RawSection { id, data });
        }
    }
    Ok(less.finish())
}

/// Whether a component is valid, and its imports and exports have the types of a world.
///
/// # Errors
/// [`ComponentError::Compile`] and [`ComponentError::Link`].
pub fn fits(component: &[u8], world: World) -> Result<(), ComponentError> {
    Validator::new().validate_all(component).map_err(ComponentError::compile)?;
    let (resolve, id) = resolve(world).map_err(|error| ComponentError::link(world, error))?;
    wit_component::targets(&resolve, id, component)
        .map_err(|error| ComponentError::link(world, error))
}

fn resolve(world: World) -> anyhow::Result<(Resolve, WorldId)> {
    let mut resolve = Resolve::default();
    let package = resolve.push_source("actor.wit", TEXT)?;
    let world = resolve.select_world(&[package], Some(world.name()))?;
    Ok((resolve, world))
}

#[cfg(test)]
pub mod tests {
    use super::*;

    /// A component of a module in text form, by the types of a world.
    pub fn component(module: &str, world: World) -> Vec<u8> {
        let mut module = wat::parse_str(module).unwrap();
        let (resolve, world) = resolve(world).unwrap();
        let encoding = wit_component::StringEncoding::UTF8;
        wit_component::embed_component_metadata(&mut module, &resolve, world, encoding).unwrap();
        encode(&module).unwrap()
    }

    #[test]
    fn what_nobody_calls_is_not_exported_and_the_rest_stays_as_it_was() {
        let module = |more: &str| {
            wat::parse_str(format!(
                r#"(module (memory (export "memory") 1) (func $f (export "f"))
                    (global (export "__heap_base") i32 (i32.const 7)) {more}
                    (table (export "t") 1 funcref) (elem (i32.const 0) $f)
                    (data (i32.const 0) "some") (@custom "other" "bytes"))"#
            ))
            .unwrap()
        };
        let less =
            without_uncalled(&module(r#"(export "cabi_realloc_wit_bindgen_0_1_2" (func $f))"#));
        assert_eq!(less.unwrap(), without_uncalled(&module("")).unwrap());
        let printed = |module: &[u8]| wasmprinter::print_bytes(module).unwrap();
        assert_eq!(printed(&without_uncalled(&module("")).unwrap()), printed(&module("")));
        assert!(without_uncalled(b"\0asm no module").is_err());
    }

    #[test]
    fn a_component_of_other_types_does_not_fit() {
        let wat = |kind: &str| {
            format!(
                r#"(component
                    (import "edge:actor/effects@0.1.0" (instance
                        (export "log" (func (param "line" {kind}))))))"#
            )
        };
        let lacking = wat::parse_str(wat("string")).unwrap();
        let error = fits(&lacking, World::Actor).unwrap_err().to_string();
        assert!(error.contains("behaviour"), "{error}");
        let other = wat::parse_str(wat("u32")).unwrap();
        let error = fits(&other, World::Actor).unwrap_err().to_string();
        assert!(error.contains("log"), "{error}");
    }
}
