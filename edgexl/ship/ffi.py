"""`edgexl.h` as Rust declares it, and a table of where the C compiler puts each field, by which that is checked."""

from __future__ import annotations

from edgexl.runtime.declarations import Declarations, Declared

_TYPES = {
    "void": "c_void", "char": "c_char", "int": "c_int", "int32_t": "i32", "uint32_t": "u32", "uint64_t": "u64",
    "size_t": "usize", "float": "f32", "double": "f64", "exl_status": "i32",
}  # fmt: skip
_FFI = """//! `edgexl.h`, which says what each of these does; generated from it.
#![allow(non_camel_case_types)]

use std::mem::{{size_of, MaybeUninit}};
use std::os::raw::{{c_char, c_int, c_void}};

{constants}

{status}

{opaque}

{structs}

extern "C" {{
{functions}
}}

/// # Safety
/// Of structs that begin with `struct_size`, and for which zeros are a value.
pub(crate) unsafe trait Sized: Copy {{}}

/// A struct of zeros that knows its size.
pub(crate) fn sized<Struct: Sized>() -> Struct {{
    let mut made = MaybeUninit::<Struct>::zeroed();
    // SAFETY: what `Sized` says
    unsafe {{
        made.as_mut_ptr().cast::<usize>().write(size_of::<Struct>());
        made.assume_init()
    }}
}}

#[cfg(test)]
mod tests {{
    use super::*;

    extern "C" {{
        static edgexl_layout: [usize; {count}];
    }}

    /// Where a field lies in its struct.
    macro_rules! place {{
        ($kind:ty, $field:ident) => {{{{
            let made = sized::<$kind>();
            std::ptr::addr_of!(made.$field) as usize - std::ptr::addr_of!(made) as usize
        }}}};
    }}

    #[test]
    fn structs_lie_as_the_c_compiler_lays_them() {{
        #[rustfmt::skip]
        let here = [
{layout}
        ];
        assert_eq!(here, unsafe {{ edgexl_layout }});
    }}
}}
"""
_LAYOUT = """/* The sizes of edgexl.h's structs and the places of their fields: src/ffi.rs compares them. */
#include "edgexl.h"

extern const size_t edgexl_layout[];
const size_t edgexl_layout[] = {{
{layout}
}};
"""


def write_ffi(declared: Declarations) -> str:
    """`ffi.rs`: what the header declares, as Rust has it."""
    constants = [
        f"pub const {name}: {'u32' if not enum else 'i32'} = {value};"
        for enum, values in declared.enums.items()
        for name, value in values.items()
        if enum != "exl_status"
    ]
    constants += [f"pub const {name}: i32 = {number};" for name, (number, _) in declared.statuses.items()]
    used = " ".join(_kinds(declared))
    opaque = [
        f"/// Opaque.\n#[repr(C)]\n#[derive(Debug)]\npub struct {name} {{\n    _private: [u8; 0],\n}}"
        for name in ("exl_bundle", "exl_session")
        if name in used
    ]
    return _FFI.format(
        constants="\n".join(constants),
        status=_status(declared),
        opaque="\n\n".join(opaque),
        structs="\n\n".join(_struct(name, fields) for name, fields in declared.structs.items()),
        functions="\n".join(f"    pub fn {_function(each, named=True)};" for each in declared.functions),
        count=sum(1 + len(fields) for fields in declared.structs.values()),
        layout="\n".join(
            f"            size_of::<{name}>(), {', '.join(f'place!({name}, {each.name})' for each in fields)},"
            for name, fields in declared.structs.items()
        ),
    )


def write_layout(declared: Declarations) -> str:
    """`layout.c`: sizes and places in the order in which `ffi.rs` has them."""
    rows = [
        f"    sizeof({name}), {', '.join(f'offsetof({name}, {each.name})' for each in fields)},"
        for name, fields in declared.structs.items()
    ]
    return _LAYOUT.format(layout="\n".join(rows))


def _kinds(declared: Declarations) -> list[str]:
    return [each.kind for function in declared.functions for each in (function, *(function.parameters or ()))]


def _struct(name: str, fields: tuple[Declared, ...]) -> str:
    lines = "\n".join(f"    pub {each.name}: {_type_of(each)}," for each in fields)
    head = f"#[repr(C)]\n#[derive(Clone, Copy, Debug)]\npub struct {name}"
    return f"{head} {{\n{lines}\n}}\n\nunsafe impl Sized for {name} {{}}"


def _type_of(declared: Declared) -> str:
    if declared.parameters is not None:
        return f'Option<unsafe extern "C" fn{_function(declared, named=False)}>'
    plain = _type(declared.kind)
    return f"[{plain}; {declared.count}]" if declared.count else plain


def _function(declared: Declared, named: bool) -> str:
    parameters = ", ".join(f"{each.name}: {_type_of(each)}" for each in declared.parameters or ())
    gives = "" if declared.kind == "void" else f" -> {_type(declared.kind)}"
    return f"{declared.name if named else ''}({parameters}){gives}"


def _type(kind: str) -> str:
    """A C type's: "const char *const *" is *const *const c_char."""
    first, *pointers = kind.replace(" ", "").replace("const", " const ").split("*")
    words = first.split()
    constant, bare = "const" in words, next(word for word in words if word != "const")
    rust = _TYPES.get(bare, bare)
    for pointer in pointers:
        rust = f"*{'const' if constant else 'mut'} {rust}"
        constant = "const" in pointer
    return rust


def _status(declared: Declarations) -> str:
    """The enum of what may go wrong, with the header's sentences."""
    wrong = [(_camel(name), name, said) for name, (number, said) in declared.statuses.items() if number]
    variants = "\n".join(f"    /// {said[0].upper()}{said[1:]}.\n    {variant}," for variant, _, said in wrong)
    arms = "\n".join(f"            {name} => Self::{variant}," for variant, name, _ in wrong)
    return (
        "/// Why the library refuses something.\n"
        "#[derive(Clone, Copy, Debug, PartialEq, Eq)]\n#[non_exhaustive]\n"
        f"pub enum Status {{\n{variants}\n    /// The library is newer than this.\n    Unknown,\n}}\n\n"
        "impl Status {\n    pub(crate) fn of(number: i32) -> Self {\n        match number {\n"
        f"{arms}\n            _ => Self::Unknown,\n        }}\n    }}\n}}"
    )


def _camel(name: str) -> str:
    """BadArgument of EXL_BAD_ARGUMENT."""
    return "".join(word.capitalize() for word in name.split("_")[1:])
