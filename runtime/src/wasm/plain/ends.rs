//! Where a guest's stack ends and its heap begins: near both is what each call touches.

use wasmparser::{ConstExpr, DataKind, Operator, Payload};

use super::outline::{all, sections};

/// Where a module's stack ends and its heap begins, in bytes of its memory; as wasm-ld lays it out,
/// and 0 where it can't be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Ends {
    /// What its first global begins with: the stack's pointer.
    pub stack: u32,
    /// Past the stack, and past its data.
    pub heap: u32,
}

impl Ends {
    /// Reads a core module.
    pub fn of(module: &[u8]) -> Self {
        let (mut stack, mut data) = (None, 0);
        // What is damaged is not run: nothing hangs on how far this came.
        let _ = sections(module, |payload| match payload {
            Payload::GlobalSection(section) => all(section, |global| {
                let first = constant(&global.init_expr).filter(|_| global.ty.mutable);
                stack.get_or_insert(first.unwrap_or(0));
                Some(())
            }),
            Payload::DataSection(section) => all(section, |segment| {
                if let DataKind::Active { offset_expr, .. } = &segment.kind {
                    let length = u32::try_from(segment.data.len()).unwrap_or(u32::MAX);
                    data = data.max(constant(offset_expr).unwrap_or(0).saturating_add(length));
                }
                Some(())
            }),
            _ => Ok(Some(())),
        });
        let stack = stack.unwrap_or(0);
        Self { stack, heap: stack.max(data) }
    }
}

fn constant(expression: &ConstExpr<'_>) -> Option<u32> {
    match expression.get_operators_reader().read() {
        Ok(Operator::I32Const { value }) => Some(value.cast_unsigned()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stack_ends_where_its_pointer_begins_and_the_heap_past_all_data() {
        let module = wat::parse_str(
            r#"(module (memory 2)
            (global $stack (mut i32) (i32.const 1024)) (global (mut i32) (i32.const 7))
            (data (i32.const 1024) "some") (data (i32.const 2000) "data") (data "passive"))"#,
        );
        let ends = Ends::of(&module.unwrap());
        assert_eq!(ends, Ends { stack: 1024, heap: 2004 });
    }

    #[test]
    fn where_it_can_not_be_told_it_is_nowhere() {
        assert_eq!(Ends::of(&wat::parse_str("(module (memory 1))").unwrap()), Ends::default());
        assert_eq!(Ends::of(b"\0asm"), Ends::default());
        let odd = r#"(module (memory 1) (global i32 (i32.const 9)) (data (i32.const -1) "x"))"#;
        let ends = Ends::of(&wat::parse_str(odd).unwrap());
        assert_eq!(ends, Ends { stack: 0, heap: u32::MAX });
    }
}
