//! Which components are plain: each import of the one module followed to the contract's function.

use std::collections::HashMap;

use wasmparser::{
    BinaryReader, CodeSectionReader, ElementItems, ElementKind, ExternalKind, Imports, Operator,
    Payload, TypeRef,
};

use super::outline::{
    CoreFunction, CoreInstance, Function, Options, Outer, Outline, Read, all, sections,
};
use super::{Ends, Import, Lifted, Plain};

/// The wiring of a plain component.
pub fn of(bytes: &[u8]) -> Option<Plain> {
    let outline = Outline::read(bytes).ok().flatten()?;
    Wiring { bytes, outline: &outline, used: Vec::new(), small: Vec::new() }.follow()
}

struct Wiring<'a> {
    bytes: &'a [u8],
    outline: &'a Outline<'a>,
    /// What the functions met on the way use.
    used: Vec<Options>,
    /// Core instances met on the way, the main module's left out.
    small: Vec<usize>,
}

/// An interface's name, and a function's in it.
type Named<'a> = (&'a str, &'a str);

impl<'a> Wiring<'a> {
    fn follow(mut self) -> Option<Plain> {
        let outline = self.outline;
        let (_, behaviour) = outline.exports.iter().find(|(name, _)| super::is_behaviour(name))?;
        let Outer::Exports(functions) = outline.instances.get(*behaviour)? else { return None };
        let mut lifted = |name| self.lifted(*functions.get(name)?);
        let (main, handle) = lifted("handle")?;
        let mut of_main = |name| {
            let (instance, lifted) = lifted(name)?;
            (instance == main).then_some(lifted)
        };
        let (start, save, restore) = (of_main("start")?, of_main("save")?, of_main("restore")?);
        let CoreInstance::Of { module, arguments } = outline.cores.get(main)? else { return None };
        let module = outline.modules.get(*module)?.clone();
        let mut imports = Vec::new();
        let bytes = self.bytes.get(module.clone())?;
        for (from, name, ty) in Module::read(bytes)?.imports {
            let (_, instance) = arguments.iter().find(|(argument, _)| *argument == from)?;
            let TypeRef::Func(_) = ty else { return None };
            let (interface, function) = self.export(*instance, name)?;
            let import = [from, name, interface, function].map(str::to_string);
            let [from, name, interface, function] = import;
            imports.push(Import { from, name, interface, function });
        }
        // What else is instantiated might do anything.
        self.small.sort_unstable();
        self.small.dedup();
        let modules = outline.cores.iter().filter(|core| matches!(core, CoreInstance::Of { .. }));
        if modules.count() != self.small.len() + 1 {
            return None;
        }
        let memory = self.one(main, |used| used.memory, |at| outline.memories.get(at).copied())?;
        let realloc = self.one(main, |used| used.realloc, |at| self.core(at))?;
        let ends = Ends::of(bytes);
        Some(Plain { module, imports, memory, realloc, start, handle, save, restore, ends })
    }

    /// The core instance and name of a function that is lifted.
    fn lifted(&mut self, function: usize) -> Option<(usize, Lifted)> {
        let Function::Lifted { function, options } = *self.outline.functions.get(function)? else {
            return None;
        };
        self.used.push(options);
        let (instance, name) = self.core(function)?;
        let after = match options.after.map(|after| self.core(after)) {
            Some(Some((of, after))) if of == instance => Some(after.to_string()),
            Some(_) => return None,
            None => None,
        };
        Some((instance, Lifted { name: name.to_string(), after }))
    }

    fn core(&self, function: usize) -> Option<(usize, &'a str)> {
        match self.outline.core_functions.get(function)? {
            CoreFunction::Of(instance, name) => Some((*instance, name)),
            CoreFunction::Lowered { .. } => None,
        }
    }

    /// The main instance's export that all functions met use as their memory, or their `realloc`.
    fn one(
        &self,
        main: usize,
        index: impl Fn(&Options) -> Option<usize>,
        export: impl Fn(usize) -> Option<(usize, &'a str)>,
    ) -> Option<String> {
        let mut exports = self.used.iter().filter_map(index).map(export);
        let first = exports.next()??;
        let same = exports.all(|other| other == Some(first));
        (same && first.0 == main).then(|| first.1.to_string())
    }

    /// What a core instance gives under a name.
    fn export(&mut self, instance: usize, name: &str) -> Option<Named<'a>> {
        let outline = self.outline;
        match outline.cores.get(instance)? {
            CoreInstance::Of { .. } => self.through(instance, name),
            CoreInstance::Exports(exports) => {
                let (ExternalKind::Func, function) = *exports.get(name)? else { return None };
                match outline.core_functions.get(function)? {
                    CoreFunction::Lowered { .. } => self.lowered(function),
                    CoreFunction::Of(shim, name) => self.through(*shim, name),
                }
            }
        }
    }

    fn lowered(&mut self, function: usize) -> Option<Named<'a>> {
        match self.outline.core_functions.get(function)? {
            CoreFunction::Lowered { interface, name, options } => {
                self.used.push(*options);
                Some((interface, name))
            }
            CoreFunction::Of(..) => None,
        }
    }

    /// What a shim's function calls through its table.
    fn through(&mut self, shim: usize, name: &str) -> Option<Named<'a>> {
        let outline = self.outline;
        let (module, _) = self.instance(shim)?;
        if !module.imports.is_empty() || !module.filled.is_empty() || module.fills_oddly {
            return None;
        }
        let (ExternalKind::Func, function) = *module.exports.get(name)? else { return None };
        let slot = (*module.forwards.get(function as usize)?)?;
        self.small.push(shim);
        let mut fixups = outline.cores.iter().enumerate().filter(|(_, core)| match core {
            CoreInstance::Of { arguments, .. } => {
                arguments.iter().any(|(_, given)| self.table(*given, None, shim).is_some())
            }
            CoreInstance::Exports(_) => false,
        });
        let (Some((fixup, _)), None) = (fixups.next(), fixups.next()) else { return None };
        self.small.push(fixup);
        let (filling, arguments) = self.instance(fixup)?;
        let given = |from| Some(arguments.iter().find(|(argument, _)| *argument == from)?.1);
        let is_table = |ty: &TypeRef| matches!(ty, TypeRef::Table(_));
        let mut tables = filling.imports.iter().filter(|(_, _, ty)| is_table(ty));
        let (Some((from, name, _)), None) = (tables.next(), tables.next()) else { return None };
        let table = self.table(given(*from)?, Some(name), shim)?;
        let first = module.exports.get(table) == Some(&(ExternalKind::Table, 0));
        // Its functions are all imported: it does nothing but fill the table.
        let fits = filling.filled.iter().all(|(place, _)| Some(u64::from(*place)) < module.places);
        if !first || !filling.forwards.is_empty() || filling.fills_oddly || !fits {
            return None;
        }
        let (_, filler) = filling.filled.iter().rfind(|(filled, _)| *filled == slot)?;
        let mut functions =
            filling.imports.iter().filter(|(_, _, ty)| matches!(ty, TypeRef::Func(_)));
        let (from, name, _) = functions.nth(*filler as usize)?;
        let CoreInstance::Exports(exports) = outline.cores.get(given(*from)?)? else { return None };
        let (ExternalKind::Func, function) = *exports.get(name)? else { return None };
        self.lowered(function)
    }

    /// The shim's name of its table that a core instance has under a name, or under any.
    fn table(&self, instance: usize, name: Option<&'a str>, shim: usize) -> Option<&'a str> {
        match self.outline.cores.get(instance)? {
            CoreInstance::Of { .. } => (instance == shim).then_some(name.unwrap_or_default()),
            CoreInstance::Exports(exports) => exports.iter().find_map(|(item, (kind, table))| {
                let wanted = *kind == ExternalKind::Table && name.is_none_or(|name| name == *item);
                let (of, name) = *self.outline.tables.get(*table).filter(|_| wanted)?;
                (of == shim).then_some(name)
            }),
        }
    }

    fn instance(&self, instance: usize) -> Option<(Module<'a>, &'a [(&'a str, usize)])> {
        let CoreInstance::Of { module, arguments } = self.outline.cores.get(instance)? else {
            return None;
        };
        let module = self.outline.modules.get(*module)?.clone();
        Some((Module::read(self.bytes.get(module)?)?, arguments))
    }
}

/// What is looked at in a core module.
#[derive(Default)]
struct Module<'a> {
    imports: Vec<(&'a str, &'a str, TypeRef)>,
    exports: HashMap<&'a str, (ExternalKind, u32)>,
    /// Places that its own first table has.
    places: Option<u64>,
    /// Places of its first table and the functions that it puts there.
    filled: Vec<(u32, u32)>,
    /// It puts something where this does not tell.
    fills_oddly: bool,
    /// For each function of its own, if all it does is to call another: its place in the table.
    forwards: Vec<Option<u32>>,
}

/// More functions than a shim has: there are no more in the contract.
const SHIM_FUNCTIONS: u32 = 64;

impl<'a> Module<'a> {
    /// `None` if it has a part that might do something on its own.
    fn read(bytes: &'a [u8]) -> Option<Self> {
        let mut module = Self::default();
        let mut types = Vec::new();
        let read = sections(bytes, |payload| match payload {
            Payload::ImportSection(section) => all(section, |imports| {
                let Imports::Single(_, import) = imports else { return None };
                module.imports.push((import.module, import.name, import.ty));
                Some(())
            }),
            Payload::FunctionSection(section) => all(section, |ty| {
                types.push(ty);
                Some(())
            }),
            Payload::TableSection(section) => all(section, |table| {
                module.places.get_or_insert(table.ty.initial);
                Some(())
            }),
            Payload::ExportSection(section) => all(section, |export| {
                module.exports.insert(export.name, (export.kind, export.index));
                Some(())
            }),
            Payload::ElementSection(section) => all(section, |element| {
                module.fill(element);
                Some(())
            }),
            Payload::CodeSectionStart { count, range, .. } if count <= SHIM_FUNCTIONS => {
                let code = BinaryReader::new(bytes.get(range).unwrap_or_default(), 0);
                let mut types = types.iter();
                all(CodeSectionReader::new(code)?, |body| {
                    module.forwards.push(forwards(&body, *types.next()?).ok().flatten());
                    Some(())
                })
            }
            Payload::StartSection { .. } => Ok(None),
            _ => Ok(Some(())),
        });
        read.ok().flatten().map(|()| module)
    }

    /// Notes what an element segment puts into the first table when the module is instantiated.
    fn fill(&mut self, element: wasmparser::Element<'_>) {
        let ElementKind::Active { table_index, offset_expr } = element.kind else { return };
        let mut offset = offset_expr.get_operators_reader();
        let read = (table_index.unwrap_or(0), offset.read(), offset.read(), element.items);
        match read {
            (
                0,
                Ok(Operator::I32Const { value }),
                Ok(Operator::End),
                ElementItems::Functions(items),
            ) => {
                let functions = items.into_iter().map_while(Result::ok);
                let places = value.cast_unsigned()..=u32::MAX;
                self.filled.extend(places.zip(functions));
            }
            _ => self.fills_oddly = true,
        }
    }
}

/// The place in the table of the function that this one calls with its own parameters, if that is
/// all it does.
fn forwards(body: &wasmparser::FunctionBody<'_>, ty: u32) -> Read<u32> {
    if body.get_locals_reader()?.get_count() > 0 {
        return Ok(None);
    }
    let mut operators = body.get_operators_reader()?;
    let mut parameters = 0..;
    loop {
        match operators.read()? {
            Operator::LocalGet { local_index } if parameters.next() == Some(local_index) => {}
            Operator::I32Const { value } => {
                let call = operators.read()?;
                let own = Operator::CallIndirect { type_index: ty, table_index: 0 };
                let ends = matches!(operators.read()?, Operator::End) && operators.eof();
                return Ok((call == own && ends).then_some(value.cast_unsigned()));
            }
            _ => return Ok(None),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wasm::World;
    use crate::wasm::contract::tests::component;

    /// An actor that does nothing, with imports of both kinds: with lists and without.
    const MODULE: &str = r#"(module
        (import "edge:actor/effects@0.1.0" "log" (func $log (param i32 i32)))
        (import "edge:actor/reads@0.1.0" "me" (func (result i32)))
        (import "edge:actor/effects@0.1.0" "disarm" (func (param i64)))
        (import "edge:actor/reads@0.1.0" "get" (func $get (param i32 i32 i32)))
        (memory (export "memory") 1)
        (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32) (i32.const 1024))
        (func (export "edge:actor/behaviour@0.1.0#start") (param i64 i32 i64 i64) (result i32)
            (i32.const 0))
        (func (export "edge:actor/behaviour@0.1.0#handle")
            (param i64 i32 i64 i64 i32 i64 i32 i32 i32 i32 i32 i32 i32 i32) (result i32)
            (i32.const 0))
        (func (export "edge:actor/behaviour@0.1.0#save") (result i32) (i32.const 0))
        (func (export "cabi_post_edge:actor/behaviour@0.1.0#save") (param i32))
        (func (export "edge:actor/behaviour@0.1.0#restore")
            (param i64 i32 i64 i64 i32 i32 i32 i32) (result i32) (i32.const 0)))"#;

    #[test]
    fn what_wit_component_makes_of_one_module_is_plain() {
        let bytes = component(MODULE, World::Actor);
        let plain = of(&bytes).unwrap();
        assert!(wasmparser::Parser::is_core_wasm(&bytes[plain.module.clone()]));
        let wired = plain.imports.iter().map(|import| (import.interface(), &import.function[..]));
        let expected =
            [("effects", "log"), ("reads", "me"), ("effects", "disarm"), ("reads", "get")];
        assert_eq!(wired.collect::<Vec<_>>(), expected);
        assert_eq!((&plain.memory[..], &plain.realloc[..]), ("memory", "cabi_realloc"));
        let after = |lifted: &Lifted| lifted.after.clone();
        assert_eq!(after(&plain.save).unwrap(), "cabi_post_edge:actor/behaviour@0.1.0#save");
        assert_eq!(after(&plain.start), None);
    }

    #[test]
    fn the_wiring_counts_and_not_the_names() {
        // Wired crosswise: `log` calls what the contract has as `fail`, of the same type.
        let module = MODULE.replace(
            r#"(import "edge:actor/reads@0.1.0" "me" (func (result i32)))"#,
            r#"(import "edge:actor/effects@0.1.0" "fail" (func (param i32 i32)))"#,
        );
        let bytes = component(&module, World::Actor);
        let names = |bytes: &[u8]| {
            let imports = of(bytes).unwrap().imports;
            imports[..2].iter().map(|import| import.function.clone()).collect::<Vec<_>>()
        };
        assert_eq!(names(&bytes), ["log", "fail"]);
        let text = wasmprinter::print_bytes(&bytes).unwrap();
        let slots = "(elem (;0;) (i32.const 0) func 0 1 2)";
        let crossed = text.replace(slots, "(elem (;0;) (i32.const 0) func 1 0 2)");
        assert_ne!(text, crossed, "{text}");
        assert_eq!(names(&wat::parse_str(crossed).unwrap()), ["fail", "log"]);
        // A later segment wins, as it does when the module is instantiated.
        let twice = format!("{slots} (elem (i32.const 1) func 0)");
        let twice = text.replace(slots, &twice);
        assert_eq!(names(&wat::parse_str(twice).unwrap()), ["log", "log"]);
        // One that does not fit ends that.
        let outside = format!("{slots} (elem (i32.const -1) func 0 0)");
        assert!(of(&wat::parse_str(text.replace(slots, &outside)).unwrap()).is_none());
    }

    #[test]
    fn what_might_do_more_is_not_plain() {
        let text = wasmprinter::print_bytes(component(MODULE, World::Actor)).unwrap();
        let changed = |from: &str, to: &str| {
            let changed = text.replacen(from, to, 1);
            assert_ne!(text, changed, "no {from:?} in {text}");
            of(&wat::parse_str(changed).unwrap())
        };
        assert!(
            changed("i32.const 0\n      call_indirect", "i32.const 0\n nop call_indirect")
                .is_none()
        );
        let inner = text.trim_end().strip_suffix(')').unwrap();
        let with = |more: &str| of(&wat::parse_str(format!("{inner} {more})")).unwrap());
        assert!(with("(core module $more)").is_some());
        assert!(with("(core module $more) (core instance (instantiate $more))").is_none());
        assert!(changed("(memory (;0;) 1)", "(memory (;0;) 1) (func $s) (start $s)").is_none());
        assert!(changed("string-encoding=utf8", "string-encoding=utf16").is_none());
    }

    #[test]
    fn damaged_bytes_are_not_plain() {
        let bytes = component(MODULE, World::Actor);
        assert!(of(b"").is_none());
        for end in 0..bytes.len() {
            let _ = of(&bytes[..end]);
        }
        for at in 0..bytes.len() {
            let mut bytes = bytes.clone();
            bytes[at] ^= 0xff;
            let _ = of(&bytes);
        }
    }
}
