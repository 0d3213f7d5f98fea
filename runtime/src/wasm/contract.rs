//! Components against the text of the contract: made from an actor's module, and compared type by
//! type. The home of `wit-component`.

use wit_component::ComponentEncoder;
use wit_parser::{Resolve, WorldId};

use super::World;

/// The contract.
const TEXT: &str = include_str!("../../../wit/actor.wit");

/// Makes a component of an actor's module, by the types that its SDK has put into it.
///
/// # Errors
/// What is no actor's module.
pub fn encode(module: &[u8]) -> anyhow::Result<Vec<u8>> {
    let mut encoder = ComponentEncoder::default();
    encoder.validate(true);
    encoder.module(module)?;
    encoder.encode()
}

/// Whether a component is valid, and its imports and exports have the types of a world. (One that
/// lacks none of them, but has others, would be refused by wasmtime with the reason.)
pub fn fits(component: &[u8], world: World) -> anyhow::Result<()> {
    let (resolve, world) = resolve(world)?;
    wit_component::targets(&resolve, world, component)
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
    fn a_component_of_other_types_does_not_fit() {
        let wat = |kind: &str| {
            format!(
                r#"(component
                    (import "edge:actor/effects@0.1.0" (instance
                        (export "log" (func (param "line" {kind}))))))"#
            )
        };
        let lacking = wat::parse_str(wat("string")).unwrap();
        let error = fits(&lacking, World::Actor).unwrap_err();
        assert!(format!("{error:#}").contains("behaviour"), "{error:#}");
        let other = wat::parse_str(wat("u32")).unwrap();
        let error = fits(&other, World::Actor).unwrap_err();
        assert!(format!("{error:#}").contains("log"), "{error:#}");
    }
}
