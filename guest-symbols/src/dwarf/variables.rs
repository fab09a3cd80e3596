//! Arguments and local variables at an address: names, types, and where the compiler keeps them there.
//!
//! Scopes are followed inwards, through blocks and inlined functions: what is innermost comes last. Locations are those
//! of DWARF 4 and 5; frames are those of `.debug_frame`. What is not followed (pieces of a variable, values at the
//! function's entry, conversions of types) is told as such, never guessed.

use gimli::{
    AttributeValue, CfaRule, DebugFrame, EhFrame, EndianSlice, LittleEndian, Operation, SectionId,
    UnitOffset, UnwindSection, constants as dw,
};

use super::DebugSections;
use super::sections::{Dwarf, Entry, Slice, Unit, owned, text};

/// Scopes inside each other; malformed ones could go on for ever.
const SCOPES_MAX: usize = 64;
/// Types behind each other.
const TYPES_MAX: usize = 16;
/// Longest location.
const STEPS_MAX: usize = 64;

/// An argument or local variable of a function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LocalVariable {
    /// Its name.
    pub name: String,
    /// Its type.
    pub type_name: TypeName,
    /// Whether it is an argument.
    pub is_parameter: bool,
    /// Whether its function is inlined there.
    pub is_inlined: bool,
    /// Where it is at the address; or why that cannot be told.
    pub place: Result<VariablePlace, NoPlace>,
}

/// A type by its name, whatever else describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "as C has them")]
pub enum TypeName {
    Void,
    Int {
        bytes: u8,
        signed: bool,
    },
    Struct(String),
    Union(String),
    Enum(String),
    Typedef(String),
    Pointer(Box<Self>),
    Array(Box<Self>),
    /// One that has no name of its own.
    Nameless,
}

/// Where a variable is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum VariablePlace {
    /// The steps leave its value.
    Value(Vec<PlaceStep>),
    /// The steps leave its address.
    Memory(Vec<PlaceStep>),
}

/// A step of a stack machine, as DWARF has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs, reason = "as DWARF has them")]
pub enum PlaceStep {
    /// A register by the ABI's number: rax, rdx, rcx, rbx, rsi, rdi, rbp, rsp, r8 ...
    Register(u16),
    Const(u64),
    /// As linked.
    Address(u64),
    /// The number of so many bytes there.
    Load(u8),
    Add,
    Sub,
    Mul,
    And,
    Or,
    Xor,
    Shl,
    Shr,
    Sar,
    Neg,
    Not,
}

/// Why it cannot be told where a variable is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NoPlace {
    /// Optimised away.
    #[error("the compiler keeps it nowhere at this address")]
    NotKept,
    /// Known at the function's entry alone.
    #[error(
        "it was in a register when the function began, which has another value at this address"
    )]
    Gone,
    /// Spread over several places.
    #[error("the compiler keeps it in pieces at this address")]
    InPieces,
    /// An operation that is not followed.
    #[error("its place is computed in a way that is not followed")]
    NotFollowed,
}

/// The variables in scope at an address of a unit, innermost last.
pub(crate) fn variables(
    sections: &DebugSections,
    unit_number: usize,
    addr: u64,
) -> Option<Vec<LocalVariable>> {
    let dwarf = sections.dwarf();
    let unit = sections.unit(&dwarf, unit_number)?;
    let mut walk = Walk {
        sections,
        dwarf: &dwarf,
        unit: &unit,
        addr,
        frame_base: None,
        found: Vec::new(),
    };
    let mut tree = unit.entries_tree(None).ok()?;
    let root = tree.root().ok()?;
    let mut children = root.children();
    while let Ok(Some(child)) = children.next() {
        let entry = child.entry();
        if entry.tag() == dw::DW_TAG_subprogram && walk.covers(entry) {
            walk.frame_base = entry.attr_value(dw::DW_AT_frame_base).ok().flatten();
            walk.scope(child, 0, false);
            break;
        }
    }
    Some(walk.found)
}

struct Walk<'w, 'a> {
    sections: &'a DebugSections,
    dwarf: &'w Dwarf<'a>,
    unit: &'w Unit<'a>,
    addr: u64,
    frame_base: Option<AttributeValue<Slice<'a>>>,
    found: Vec<LocalVariable>,
}

impl<'a> Walk<'_, 'a> {
    /// Whether the code of a scope holds the address.
    fn covers(&self, entry: &Entry<'a, '_>) -> bool {
        let Ok(mut ranges) = self.dwarf.die_ranges(self.unit, entry) else {
            return false;
        };
        while let Ok(Some(range)) = ranges.next() {
            if (range.begin..range.end).contains(&self.addr) {
                return true;
            }
        }
        false
    }

    fn scope(
        &mut self,
        node: gimli::EntriesTreeNode<'_, '_, '_, Slice<'a>>,
        depth: usize,
        is_inlined: bool,
    ) {
        let mut inner = node.children();
        while let Ok(Some(child)) = inner.next() {
            let entry = child.entry();
            match entry.tag() {
                tag @ (dw::DW_TAG_formal_parameter | dw::DW_TAG_variable) => {
                    let is_parameter = tag == dw::DW_TAG_formal_parameter;
                    let variable = self.variable(entry, is_parameter, is_inlined);
                    self.found.extend(variable);
                }
                tag @ (dw::DW_TAG_lexical_block | dw::DW_TAG_inlined_subroutine)
                    if depth < SCOPES_MAX && self.covers(entry) =>
                {
                    let is_inlined = is_inlined || tag == dw::DW_TAG_inlined_subroutine;
                    self.scope(child, depth + 1, is_inlined);
                }
                _ => {}
            }
        }
    }

    fn variable(
        &self,
        entry: &Entry<'a, '_>,
        is_parameter: bool,
        is_inlined: bool,
    ) -> Option<LocalVariable> {
        let place = self.place(entry);
        // Code that was inlined or cloned refers to the variable as the source has it.
        let (mut name, mut type_name) = (self.name(entry), self.type_of(entry));
        let mut origin = reference(entry, dw::DW_AT_abstract_origin);
        for _ in 0..TYPES_MAX {
            let Some(at) = origin else { break };
            let Ok(entry) = self.unit.entry(at) else {
                break;
            };
            name = name.or_else(|| self.name(&entry));
            type_name = type_name.or_else(|| self.type_of(&entry));
            origin = reference(&entry, dw::DW_AT_abstract_origin);
        }
        Some(LocalVariable {
            name: name?,
            type_name: type_name.unwrap_or(TypeName::Nameless),
            is_parameter,
            is_inlined,
            place,
        })
    }

    fn name(&self, entry: &Entry<'a, '_>) -> Option<String> {
        let value = entry.attr_value(dw::DW_AT_name).ok().flatten()?;
        Some(owned(text(self.dwarf, self.unit, value))).filter(|name| !name.is_empty())
    }

    fn type_of(&self, entry: &Entry<'a, '_>) -> Option<TypeName> {
        let at = reference(entry, dw::DW_AT_type)?;
        Some(self.type_name(at, 0))
    }

    fn type_name(&self, at: UnitOffset, depth: usize) -> TypeName {
        let Ok(entry) = self.unit.entry(at) else {
            return TypeName::Nameless;
        };
        if depth > TYPES_MAX {
            return TypeName::Nameless;
        }
        let named =
            |make: fn(String) -> TypeName| self.name(&entry).map_or(TypeName::Nameless, make);
        let target = || match reference(&entry, dw::DW_AT_type) {
            Some(at) => self.type_name(at, depth + 1),
            None => TypeName::Void,
        };
        match entry.tag() {
            dw::DW_TAG_structure_type => named(TypeName::Struct),
            dw::DW_TAG_union_type => named(TypeName::Union),
            dw::DW_TAG_enumeration_type => named(TypeName::Enum),
            dw::DW_TAG_typedef => named(TypeName::Typedef),
            dw::DW_TAG_pointer_type => TypeName::Pointer(Box::new(target())),
            dw::DW_TAG_array_type => TypeName::Array(Box::new(target())),
            dw::DW_TAG_const_type
            | dw::DW_TAG_volatile_type
            | dw::DW_TAG_restrict_type
            | dw::DW_TAG_atomic_type => target(),
            dw::DW_TAG_base_type => integer(&entry),
            _ => TypeName::Nameless,
        }
    }

    fn place(&self, entry: &Entry<'a, '_>) -> Result<VariablePlace, NoPlace> {
        if let Some(value) = entry.attr_value(dw::DW_AT_const_value).ok().flatten() {
            let value = super::reader::constant(&value).ok_or(NoPlace::NotFollowed)?;
            let steps = vec![PlaceStep::Const(value.cast_unsigned())];
            return Ok(VariablePlace::Value(steps));
        }
        let location = entry.attr_value(dw::DW_AT_location).ok().flatten();
        let expression = self.expression(location.ok_or(NoPlace::NotKept)?)?;
        self.steps(expression, true)
    }

    /// The expression of a location that holds at the address.
    fn expression(
        &self,
        location: AttributeValue<Slice<'a>>,
    ) -> Result<gimli::Expression<Slice<'a>>, NoPlace> {
        if let AttributeValue::Exprloc(expression) = location {
            return Ok(expression);
        }
        let lists = self.dwarf.attr_locations(self.unit, location);
        let mut list = lists.ok().flatten().ok_or(NoPlace::NotFollowed)?;
        while let Ok(Some(entry)) = list.next() {
            if (entry.range.begin..entry.range.end).contains(&self.addr) {
                return Ok(entry.data);
            }
        }
        Err(NoPlace::NotKept)
    }

    fn steps(
        &self,
        expression: gimli::Expression<Slice<'a>>,
        with_frame: bool,
    ) -> Result<VariablePlace, NoPlace> {
        let mut steps = Vec::new();
        let mut operations = expression.operations(self.unit.encoding());
        let mut is_value = false;
        while let Some(operation) = operations.next().or(Err(NoPlace::NotFollowed))? {
            if is_value || steps.len() > STEPS_MAX {
                return Err(NoPlace::NotFollowed);
            }
            match operation {
                Operation::StackValue => is_value = true,
                Operation::Register { register } if steps.is_empty() => {
                    steps.push(PlaceStep::Register(register.0));
                    is_value = true;
                }
                Operation::FrameOffset { offset } if with_frame => {
                    steps.extend(self.frame_base()?);
                    steps.extend([PlaceStep::Const(offset.cast_unsigned()), PlaceStep::Add]);
                }
                Operation::CallFrameCFA => steps.extend(self.frame_address()?),
                operation => simple(&operation, &mut steps)?,
            }
        }
        match (steps.is_empty(), is_value) {
            // An empty expression is how compilers say that there is no value.
            (true, _) => Err(NoPlace::NotKept),
            (false, true) => Ok(VariablePlace::Value(steps)),
            (false, false) => Ok(VariablePlace::Memory(steps)),
        }
    }

    fn frame_base(&self) -> Result<Vec<PlaceStep>, NoPlace> {
        let location = self.frame_base.ok_or(NoPlace::NotFollowed)?;
        let expression = self.expression(location)?;
        match self.steps(expression, false)? {
            VariablePlace::Value(steps) | VariablePlace::Memory(steps) => Ok(steps),
        }
    }

    /// The stack pointer as it was before the function was called.
    fn frame_address(&self) -> Result<Vec<PlaceStep>, NoPlace> {
        let bytes = |id| EndianSlice::new(self.sections.section(id), LittleEndian);
        let mut frames: DebugFrame<Slice<'_>> = bytes(SectionId::DebugFrame).into();
        frames.set_address_size(8);
        // A kernel has the one, a program the other.
        let mut unwinding: EhFrame<Slice<'_>> = bytes(SectionId::EhFrame).into();
        unwinding.set_address_size(8);
        let place = frame_rule(&frames, self.sections, self.addr);
        place
            .or_else(|| frame_rule(&unwinding, self.sections, self.addr))
            .ok_or(NoPlace::NotFollowed)
    }
}

/// The rule for the frame at an address.
fn frame_rule<'a, S>(section: &S, sections: &DebugSections, addr: u64) -> Option<Vec<PlaceStep>>
where
    S: UnwindSection<Slice<'a>>,
    S::Offset: gimli::UnwindOffset<usize>,
{
    let bases = gimli::BaseAddresses::default().set_eh_frame(sections.unwinding_addr());
    let mut context = gimli::UnwindContext::new();
    let row = section
        .unwind_info_for_address(&bases, &mut context, addr, S::cie_from_offset)
        .ok()?;
    match row.cfa() {
        CfaRule::RegisterAndOffset { register, offset } => Some(vec![
            PlaceStep::Register(register.0),
            PlaceStep::Const(offset.cast_unsigned()),
            PlaceStep::Add,
        ]),
        CfaRule::Expression(_) => None,
    }
}

/// Operations that stand alone.
fn simple(operation: &Operation<Slice<'_>>, steps: &mut Vec<PlaceStep>) -> Result<(), NoPlace> {
    match *operation {
        Operation::RegisterOffset {
            register, offset, ..
        } => steps.extend([
            PlaceStep::Register(register.0),
            PlaceStep::Const(offset.cast_unsigned()),
            PlaceStep::Add,
        ]),
        Operation::Deref { size, .. } => steps.push(PlaceStep::Load(size)),
        Operation::Address { address } => steps.push(PlaceStep::Address(address)),
        Operation::UnsignedConstant { value } => steps.push(PlaceStep::Const(value)),
        Operation::SignedConstant { value } => steps.push(PlaceStep::Const(value.cast_unsigned())),
        Operation::PlusConstant { value } => {
            steps.extend([PlaceStep::Const(value), PlaceStep::Add]);
        }
        Operation::Plus => steps.push(PlaceStep::Add),
        Operation::Minus => steps.push(PlaceStep::Sub),
        Operation::Mul => steps.push(PlaceStep::Mul),
        Operation::And => steps.push(PlaceStep::And),
        Operation::Or => steps.push(PlaceStep::Or),
        Operation::Xor => steps.push(PlaceStep::Xor),
        Operation::Shl => steps.push(PlaceStep::Shl),
        Operation::Shr => steps.push(PlaceStep::Shr),
        Operation::Shra => steps.push(PlaceStep::Sar),
        Operation::Neg => steps.push(PlaceStep::Neg),
        Operation::Not => steps.push(PlaceStep::Not),
        Operation::Nop => {}
        Operation::Piece { .. } => return Err(NoPlace::InPieces),
        Operation::EntryValue { .. } | Operation::ParameterRef { .. } => return Err(NoPlace::Gone),
        Operation::ImplicitPointer { .. } | Operation::ImplicitValue { .. } => {
            return Err(NoPlace::NotKept);
        }
        _ => return Err(NoPlace::NotFollowed),
    }
    Ok(())
}

fn reference(entry: &Entry<'_, '_>, attribute: gimli::DwAt) -> Option<UnitOffset> {
    match entry.attr_value(attribute).ok().flatten()? {
        AttributeValue::UnitRef(at) => Some(at),
        _ => None,
    }
}

fn integer(entry: &Entry<'_, '_>) -> TypeName {
    let size = entry.attr_value(dw::DW_AT_byte_size).ok().flatten();
    let bytes = size.and_then(|size| size.udata_value());
    let bytes = bytes.and_then(|bytes| u8::try_from(bytes).ok());
    match (entry.attr_value(dw::DW_AT_encoding).ok().flatten(), bytes) {
        (Some(AttributeValue::Encoding(encoding)), Some(bytes @ (1 | 2 | 4 | 8))) => match encoding
        {
            dw::DW_ATE_signed | dw::DW_ATE_signed_char => TypeName::Int {
                bytes,
                signed: true,
            },
            dw::DW_ATE_unsigned | dw::DW_ATE_unsigned_char | dw::DW_ATE_boolean => TypeName::Int {
                bytes,
                signed: false,
            },
            _ => TypeName::Nameless,
        },
        _ => TypeName::Nameless,
    }
}
