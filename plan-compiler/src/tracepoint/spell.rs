//! Types as C writes them, without a declared name: `struct task_struct *`.

use guest_symbols::{Type, TypeId, Types};

/// Deeper types are loops of damaged ones.
const DEPTH_MAX: usize = 16;

/// Spells a type in C.
pub(super) fn c_type(types: &Types, type_id: TypeId) -> String {
    spell(types, type_id, String::new(), 0)
}

/// Spells a type around `inner`, which is what C puts in the place of the declared name.
fn spell(types: &Types, type_id: TypeId, inner: String, depth: usize) -> String {
    if depth > DEPTH_MAX {
        return join("...", &inner);
    }
    match types.get(type_id) {
        Type::Void => join("void", &inner),
        Type::Int { name, .. } | Type::Float { name, .. } | Type::Typedef { name, .. } => {
            join(name, &inner)
        }
        Type::Pointer(target) => {
            let pointer = match types.get(*target) {
                Type::Function { .. } | Type::Array { .. } => format!("(*{inner})"),
                _ => format!("*{inner}"),
            };
            spell(types, *target, pointer, depth + 1)
        }
        Type::Struct(found) => {
            let keyword = if found.is_union { "union" } else { "struct" };
            join(&tagged(keyword, found.name.as_deref()), &inner)
        }
        Type::Enum { name, .. } => join(&tagged("enum", name.as_deref()), &inner),
        Type::Forward { name, is_union } => join(
            &tagged(if *is_union { "union" } else { "struct" }, Some(name)),
            &inner,
        ),
        Type::Array { element, count } => {
            spell(types, *element, format!("{inner}[{count}]"), depth + 1)
        }
        Type::Function { returns, params } => {
            let params: Vec<_> = params
                .iter()
                .map(|(_, param)| spell(types, *param, String::new(), depth + 1))
                .collect();
            let params = if params.is_empty() {
                "void".to_owned()
            } else {
                params.join(", ")
            };
            spell(types, *returns, format!("{inner}({params})"), depth + 1)
        }
    }
}

fn tagged(keyword: &str, name: Option<&str>) -> String {
    format!("{keyword} {}", name.unwrap_or("{...}"))
}

fn join(left: &str, right: &str) -> String {
    if right.is_empty() {
        left.to_owned()
    } else {
        format!("{left} {right}")
    }
}
