//! A component's sections as index spaces: what each instance and function of it is made of.

use std::collections::HashMap;
use std::ops::Range;

use wasmparser::{
    BinaryReaderError, CanonicalFunction, CanonicalOption, Chunk, ComponentAlias,
    ComponentExternalKind, ComponentInstance, ComponentTypeRef, ExternalKind, Instance, Parser,
    Payload,
};

/// A core instance, by how it is made.
pub enum CoreInstance<'a> {
    /// Of a module, with other core instances as its imports by name.
    Of { module: usize, arguments: Vec<(&'a str, usize)> },
    /// Items of other ones under names.
    Exports(HashMap<&'a str, (ExternalKind, usize)>),
}

/// Where a core function comes from.
pub enum CoreFunction<'a> {
    /// A function that the component imports, lowered.
    Lowered { interface: &'a str, name: &'a str, options: Options },
    /// An export of a core instance.
    Of(usize, &'a str),
}

/// A function between components.
#[derive(Clone, Copy)]
pub enum Function<'a> {
    /// From an interface that the component imports.
    Imported { interface: &'a str, name: &'a str },
    /// Of a core function.
    Lifted { function: usize, options: Options },
}

/// Indices of what a lifted or lowered function uses.
#[derive(Clone, Copy, Default)]
pub struct Options {
    /// Where lists lie.
    pub memory: Option<usize>,
    /// What makes room for them.
    pub realloc: Option<usize>,
    /// Called when the host has read what a call has given.
    pub after: Option<usize>,
}

/// An instance of a component: imported, or its functions by name.
#[derive(Clone)]
pub enum Outer<'a> {
    /// An interface.
    Imported(&'a str),
    /// Functions of the component's own.
    Exports(HashMap<&'a str, usize>),
}

/// A component, as far as a plain one has parts.
#[derive(Default)]
pub struct Outline<'a> {
    /// Where its core modules stand.
    pub modules: Vec<Range<usize>>,
    /// What its inner components export, each being what they import under a name.
    components: Vec<HashMap<&'a str, &'a str>>,
    /// Its core instances.
    pub cores: Vec<CoreInstance<'a>>,
    /// Its core functions.
    pub core_functions: Vec<CoreFunction<'a>>,
    /// Its memories: core instance, and name there.
    pub memories: Vec<(usize, &'a str)>,
    /// Its tables, likewise.
    pub tables: Vec<(usize, &'a str)>,
    /// Its functions.
    pub functions: Vec<Function<'a>>,
    /// Instances that it imports or makes.
    pub instances: Vec<Outer<'a>>,
    /// Instances that it exports.
    pub exports: HashMap<&'a str, usize>,
}

/// `None`: it is what no plain component has.
pub type Read<T> = Result<Option<T>, BinaryReaderError>;

impl<'a> Outline<'a> {
    /// Reads a component.
    pub fn read(bytes: &'a [u8]) -> Read<Self> {
        let mut outline = Self::default();
        let known = sections(bytes, |payload| {
            match payload {
                Payload::ModuleSection { unchecked_range, .. } => {
                    outline.modules.push(unchecked_range);
                }
                Payload::ComponentSection { unchecked_range, .. } => {
                    let Some(inner) = bytes.get(unchecked_range) else { return Ok(None) };
                    let Some(names) = renamed(inner)? else { return Ok(None) };
                    outline.components.push(names);
                }
                payload => return outline.section(payload),
            }
            Ok(Some(()))
        })?;
        Ok(known.map(|()| outline))
    }

    fn section(&mut self, payload: Payload<'a>) -> Read<()> {
        match payload {
            Payload::ComponentImportSection(section) => all(section, |import| match import.ty {
                ComponentTypeRef::Instance(_) => {
                    self.instances.push(Outer::Imported(import.name.name));
                    Some(())
                }
                ComponentTypeRef::Type(_) => Some(()),
                _ => None,
            }),
            Payload::ComponentAliasSection(section) => all(section, |alias| self.alias(alias)),
            Payload::InstanceSection(section) => all(section, |instance| {
                self.cores.push(core_instance(instance));
                Some(())
            }),
            Payload::ComponentCanonicalSection(section) => {
                all(section, |function| self.canonical(function))
            }
            Payload::ComponentInstanceSection(section) => {
                all(section, |instance| self.instance(instance))
            }
            Payload::ComponentExportSection(section) => all(section, |export| {
                let index = export.index as usize;
                if export.kind != ComponentExternalKind::Instance {
                    return None;
                }
                let instance = self.instances.get(index)?.clone();
                self.exports.insert(export.name.name, index);
                self.instances.push(instance);
                Some(())
            }),
            Payload::ComponentTypeSection(_) => Ok(Some(())),
            _ => Ok(None),
        }
    }

    fn alias(&mut self, alias: ComponentAlias<'a>) -> Option<()> {
        match alias {
            ComponentAlias::InstanceExport { kind, instance_index, name } => match kind {
                ComponentExternalKind::Type => {}
                ComponentExternalKind::Func => {
                    let Outer::Imported(interface) = self.instances.get(instance_index as usize)?
                    else {
                        return None;
                    };
                    self.functions.push(Function::Imported { interface, name });
                }
                _ => return None,
            },
            ComponentAlias::CoreInstanceExport { kind, instance_index, name } => {
                let from = (instance_index as usize, name);
                match kind {
                    ExternalKind::Func => {
                        self.core_functions.push(CoreFunction::Of(from.0, from.1));
                    }
                    ExternalKind::Memory => self.memories.push(from),
                    ExternalKind::Table => self.tables.push(from),
                    _ => return None,
                }
            }
            ComponentAlias::Outer { .. } => return None,
        }
        Some(())
    }

    fn canonical(&mut self, function: CanonicalFunction) -> Option<()> {
        match function {
            CanonicalFunction::Lift { core_func_index, options, .. } => {
                let (function, options) = (core_func_index as usize, read_options(&options)?);
                self.functions.push(Function::Lifted { function, options });
            }
            CanonicalFunction::Lower { func_index, options } => {
                let Function::Imported { interface, name } =
                    *self.functions.get(func_index as usize)?
                else {
                    return None;
                };
                let options = read_options(&options)?;
                self.core_functions.push(CoreFunction::Lowered { interface, name, options });
            }
            _ => return None,
        }
        Some(())
    }

    fn instance(&mut self, instance: ComponentInstance<'a>) -> Option<()> {
        let functions: Option<HashMap<_, _>> = match instance {
            ComponentInstance::Instantiate { component_index, args } => {
                let given = |import: &str| {
                    let wanted = |arg: &&wasmparser::ComponentInstantiationArg<'_>| {
                        arg.kind == ComponentExternalKind::Func && arg.name == import
                    };
                    Some(args.iter().find(wanted)?.index as usize)
                };
                let names = self.components.get(component_index as usize)?;
                names.iter().map(|(export, import)| Some((*export, given(import)?))).collect()
            }
            ComponentInstance::FromExports(exports) => {
                let function = |export: &wasmparser::ComponentExport<'a>| match export.kind {
                    ComponentExternalKind::Type => None,
                    ComponentExternalKind::Func => {
                        Some(Some((export.name.name, export.index as usize)))
                    }
                    _ => Some(None),
                };
                exports.iter().filter_map(function).collect()
            }
        };
        self.instances.push(Outer::Exports(functions?));
        Some(())
    }
}

fn core_instance(instance: Instance<'_>) -> CoreInstance<'_> {
    match instance {
        Instance::Instantiate { module_index, args } => CoreInstance::Of {
            module: module_index as usize,
            arguments: args.iter().map(|arg| (arg.name, arg.index as usize)).collect(),
        },
        Instance::FromExports(exports) => CoreInstance::Exports(
            exports.iter().map(|item| (item.name, (item.kind, item.index as usize))).collect(),
        ),
    }
}

fn read_options(options: &[CanonicalOption]) -> Option<Options> {
    let mut read = Options::default();
    for option in options {
        match option {
            CanonicalOption::UTF8 => {}
            CanonicalOption::Memory(index) => read.memory = Some(*index as usize),
            CanonicalOption::Realloc(index) => read.realloc = Some(*index as usize),
            CanonicalOption::PostReturn(index) => read.after = Some(*index as usize),
            _ => return None,
        }
    }
    Some(read)
}

/// What an inner component exports, each being what it imports under a name: wit-component puts one
/// around lifted functions, to give their types names.
fn renamed(bytes: &[u8]) -> Read<HashMap<&str, &str>> {
    let (mut functions, mut exports) = (Vec::new(), HashMap::new());
    let known = sections(bytes, |payload| match payload {
        Payload::ComponentImportSection(section) => all(section, |import| match import.ty {
            ComponentTypeRef::Type(_) => Some(()),
            ComponentTypeRef::Func(_) => {
                functions.push(import.name.name);
                Some(())
            }
            _ => None,
        }),
        Payload::ComponentExportSection(section) => all(section, |export| match export.kind {
            ComponentExternalKind::Type => Some(()),
            ComponentExternalKind::Func => {
                let function = *functions.get(export.index as usize)?;
                exports.insert(export.name.name, function);
                functions.push(function);
                Some(())
            }
            _ => None,
        }),
        Payload::ComponentTypeSection(_) => Ok(Some(())),
        _ => Ok(None),
    })?;
    Ok(known.map(|()| exports))
}

/// Takes each section of a component or module, none of those within it, and all functions' bodies
/// in one.
pub fn sections<'a>(bytes: &'a [u8], mut take: impl FnMut(Payload<'a>) -> Read<()>) -> Read<()> {
    let mut parser = Parser::new(0);
    let mut at = 0;
    loop {
        let rest = bytes.get(at..).unwrap_or_default();
        let Chunk::Parsed { consumed, payload } = parser.parse(rest, true)? else {
            return Ok(None);
        };
        at += consumed;
        let inner = match &payload {
            Payload::End(_) => return Ok(Some(())),
            Payload::Version { .. } | Payload::CustomSection(_) => continue,
            Payload::ModuleSection { unchecked_range, .. }
            | Payload::ComponentSection { unchecked_range, .. } => Some(unchecked_range.clone()),
            Payload::CodeSectionStart { range, .. } => {
                parser.skip_section();
                Some(range.clone())
            }
            _ => None,
        };
        if take(payload)?.is_none() {
            return Ok(None);
        }
        at = inner.map_or(at, |inner| inner.end);
    }
}

/// Takes each item of a section.
pub fn all<'a, T: wasmparser::FromReader<'a>>(
    section: wasmparser::SectionLimited<'a, T>,
    mut take: impl FnMut(T) -> Option<()>,
) -> Read<()> {
    for item in section {
        if take(item?).is_none() {
            return Ok(None);
        }
    }
    Ok(Some(()))
}
