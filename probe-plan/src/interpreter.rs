//! Runs fetch programs: the only code that fetches anything from a guest.
//!
//! Budget: no allocation, no lock; one guest read per 128-byte line that a program touches, however many fields lie in it.
//! Does not decide what to fetch, nor what a value means.

use std::sync::Arc;

use crate::addr::{LinkAddr, RuntimeAddr, Slide};
use crate::guest_view::{GuestView, Register};
use crate::module_map::ModuleMap;
use crate::program::{
    AddressSpace, Op, Output, Program, SAVED_MAX, SLOTS_MAX, STACK_MAX, STRING_BYTES_MAX,
};
use crate::unwind::{FRAMES_MAX, Unwind};

/// Divides the page size, so that a line never crosses into another page.
const LINE_BYTES: usize = 128;
const LINE_COUNT: usize = 8;
const ADDRESS_BYTES: usize = 8;
/// No kernel maps anything below: what an address there was made of is a null pointer.
const NULL_PAGE_BYTES: u64 = 4096;

// One more than its frames, for the mark of a stack that was cut.
const _: () = assert!((FRAMES_MAX as usize + 1) * ADDRESS_BYTES <= STRING_BYTES_MAX as usize);

/// Takes the values of a record, field by field, in order.
pub trait FieldSink {
    /// A number.
    fn number(&mut self, value: Option<u64>);
    /// A run of bytes.
    fn bytes(&mut self, value: Option<&[u8]>);
}

/// Whether an address is in the upper, kernel half. Bit 63 tells with 4-level and with 5-level paging.
#[must_use]
pub fn is_kernel_address(addr: u64) -> bool {
    addr >> 63 == 1
}

/// State of the interpreter; one per CPU, reused from probe to probe.
#[derive(Debug)]
pub struct Interpreter {
    slide: Slide,
    modules: ModuleMap,
    lines: [Line; LINE_COUNT],
    line_count: usize,
    slots: [Result<u64, Lack>; SLOTS_MAX],
    /// Which of the slots were evaluated at this probe, as bits.
    known_slots: u16,
    entry: Entry,
    /// Which fields of the last record there are and could not be fetched, as bits.
    unread: u32,
    text: Box<[u8; STRING_BYTES_MAX as usize]>,
    pub(crate) unwind: Option<Arc<Unwind>>,
}

/// What is known at a function's return of its entry.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Entry {
    /// Values saved there, by index.
    pub saved: [Option<u64>; SAVED_MAX],
    /// Nanoseconds of the guest since then.
    pub elapsed_nanos: Option<u64>,
}

/// Why a value is not there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Lack {
    /// There is none: the program says so, or a null pointer does.
    None,
    /// It could not be read.
    Unread,
}

impl Lack {
    /// Why nothing could be read at an address.
    fn at(addr: u64) -> Self {
        if addr < NULL_PAGE_BYTES {
            Self::None
        } else {
            Self::Unread
        }
    }
}

#[derive(Clone, Copy, Debug)]
struct Line {
    addr: u64,
    readable: bool,
    bytes: [u8; LINE_BYTES],
}

impl Interpreter {
    /// Makes an interpreter for a kernel that runs at that slide.
    #[must_use]
    pub fn new(slide: Slide) -> Self {
        Self {
            slide,
            modules: ModuleMap::default(),
            lines: [Line {
                addr: 0,
                readable: false,
                bytes: [0; LINE_BYTES],
            }; LINE_COUNT],
            line_count: 0,
            slots: [Err(Lack::None); SLOTS_MAX],
            known_slots: 0,
            entry: Entry::default(),
            unread: 0,
            text: Box::new([0; STRING_BYTES_MAX as usize]),
            unwind: None,
        }
    }

    /// The same, which can climb the call stacks of a plan.
    #[must_use]
    pub fn with_unwind(self, unwind: Option<Arc<Unwind>>) -> Self {
        Self { unwind, ..self }
    }

    /// What the programs that follow find of their function's entry.
    pub fn set_entry(&mut self, entry: Entry) {
        self.entry = entry;
    }

    /// Knows the addresses of modules too.
    #[must_use]
    pub fn with_modules(self, modules: ModuleMap) -> Self {
        Self { modules, ..self }
    }

    fn runtime_address(&self, addr: LinkAddr) -> Option<RuntimeAddr> {
        if self.modules.holds(addr) {
            self.modules.to_runtime(addr)
        } else {
            Some(self.slide.to_runtime(addr))
        }
    }

    /// Evaluates the condition. Returns whether the record is wanted; [`Interpreter::fetch`] must follow then.
    ///
    /// A binding is evaluated where it is first used: most records are not wanted for a reason that needs few of them.
    pub fn begin(
        &mut self,
        program: &Program,
        probe: RuntimeAddr,
        guest: &mut impl GuestView,
    ) -> bool {
        self.line_count = 0;
        self.known_slots = 0;
        match &program.condition {
            Some(ops) => self
                .evaluate(ops, program, probe, guest)
                .is_ok_and(|stack| stack[0] != 0),
            None => true,
        }
    }

    /// Evaluates the fields and hands them to `sink`.
    pub fn fetch(
        &mut self,
        program: &Program,
        probe: RuntimeAddr,
        guest: &mut impl GuestView,
        sink: &mut impl FieldSink,
    ) {
        self.unread = 0;
        for (index, field) in program.fields.iter().enumerate() {
            let stack = self.evaluate(&field.ops, program, probe, guest);
            let lack = if field.output == Output::Number {
                sink.number(stack.ok().map(|stack| stack[0]));
                stack.err()
            } else {
                let length =
                    stack.and_then(|stack| self.run_of_bytes(field.output, stack, probe, guest));
                sink.bytes(length.ok().map(|length| &self.text[..length]));
                length.err()
            };
            if lack == Some(Lack::Unread) {
                self.unread |= 1 << (index & 31);
            }
        }
    }

    /// Which fields of the record that was fetched last are missing though the guest has them, as bits. What has no value
    /// by its nature is not among them.
    #[must_use]
    pub fn unread(&self) -> u32 {
        self.unread
    }

    /// Reads what a field of bytes holds into the text; its length.
    fn run_of_bytes(
        &mut self,
        output: Output,
        stack: [u64; STACK_MAX],
        probe: RuntimeAddr,
        guest: &mut impl GuestView,
    ) -> Result<usize, Lack> {
        let [first, second, ..] = stack;
        let length = match output {
            Output::Number => None,
            Output::String { space, max } => lies_in(space, first)
                .then(|| self.read_string(first, max.into(), guest))
                .flatten(),
            Output::Bytes { space, max } => {
                let length = usize::try_from(second)
                    .unwrap_or(usize::MAX)
                    .min(max.into());
                lies_in(space, first)
                    .then(|| self.read_text(first, length, guest))
                    .flatten()
            }
            Output::CallStack { max } => {
                return self.call_stack(probe, max, guest).ok_or(Lack::Unread);
            }
            Output::FramePointers { space, max } => {
                Some(self.frame_pointers((first, second), space, max, guest))
            }
        };
        length.ok_or(Lack::at(first))
    }

    /// Evaluates a program of one number.
    pub fn number(
        &mut self,
        program: &Program,
        probe: RuntimeAddr,
        guest: &mut impl GuestView,
    ) -> Option<u64> {
        if !self.begin(program, probe, guest) {
            return None;
        }
        self.evaluate(&program.fields.first()?.ops, program, probe, guest)
            .ok()
            .map(|stack| stack[0])
    }

    /// Runs one evaluation; why there is no value when a load fails or a slot has none. Validation bounds stack and jumps.
    #[inline]
    fn evaluate(
        &mut self,
        ops: &[Op],
        program: &Program,
        probe: RuntimeAddr,
        guest: &mut impl GuestView,
    ) -> Result<[u64; STACK_MAX], Lack> {
        let mut stack = [0_u64; STACK_MAX];
        let mut depth = 0;
        let mut step = 0;
        while let Some(op) = ops.get(step) {
            step += 1;
            let pushed = match *op {
                Op::Const(value) => value,
                Op::LinkAddr(addr) => self.runtime_address(LinkAddr(addr)).ok_or(Lack::Unread)?.0,
                Op::Register(register) => guest.register(register).ok_or(Lack::Unread)?,
                Op::CpuBase => cpu_base(guest).ok_or(Lack::Unread)?,
                Op::ProbeAddress => probe.0,
                Op::FromProbe(distance) => probe.0.wrapping_add(distance),
                Op::Slot(slot) => self.slot(slot, program, probe, guest)?,
                Op::Saved(index) => self.entry.saved[usize::from(index)].ok_or(Lack::Unread)?,
                Op::Elapsed => self.entry.elapsed_nanos.ok_or(Lack::Unread)?,
                Op::Missing => return Err(Lack::None),
                Op::Jump(by) => {
                    step += usize::from(by);
                    continue;
                }
                Op::JumpIfZero(by) => {
                    depth -= 1;
                    if stack[depth] == 0 {
                        step += usize::from(by);
                    }
                    continue;
                }
                Op::Load(_)
                | Op::SignExtend(_)
                | Op::ZeroExtend(_)
                | Op::Not
                | Op::Neg
                | Op::IsZero => {
                    depth -= 1;
                    let top = stack[depth];
                    match *op {
                        Op::Load(bytes) => {
                            self.load(top, bytes.into(), guest).ok_or(Lack::at(top))?
                        }
                        Op::SignExtend(bits) => sign_extend(top, bits),
                        Op::ZeroExtend(bits) => top & (u64::MAX >> (64 - u32::from(bits))),
                        Op::Not => !top,
                        Op::Neg => top.wrapping_neg(),
                        _ => u64::from(top == 0),
                    }
                }
                _ => {
                    depth -= 2;
                    binary(*op, stack[depth], stack[depth + 1])
                }
            };
            stack[depth] = pushed;
            depth += 1;
        }
        Ok(stack)
    }

    /// The value of a binding. Validation sees to it that a binding uses only those before it, which bounds the depth.
    fn slot(
        &mut self,
        slot: u8,
        program: &Program,
        probe: RuntimeAddr,
        guest: &mut impl GuestView,
    ) -> Result<u64, Lack> {
        let index = usize::from(slot);
        let bit = 1_u16 << slot;
        if self.known_slots & bit == 0 {
            let ops = program.bindings.get(index).ok_or(Lack::None)?;
            let stack = self.evaluate(ops, program, probe, guest);
            self.slots[index] = stack.map(|stack| stack[0]);
            self.known_slots |= bit;
        }
        self.slots[index]
    }

    pub(crate) fn slide(&self) -> Slide {
        self.slide
    }

    /// Puts an address behind `length` bytes of the text; the new length. A plan's limit on frames leaves room for all.
    pub(crate) fn push_address(&mut self, length: usize, addr: u64) -> usize {
        let end = length + ADDRESS_BYTES;
        match self.text.get_mut(length..end) {
            Some(place) => {
                place.copy_from_slice(&addr.to_le_bytes());
                end
            }
            None => length,
        }
    }

    pub(crate) fn load(
        &mut self,
        addr: u64,
        bytes: usize,
        guest: &mut impl GuestView,
    ) -> Option<u64> {
        let mut value = [0_u8; 8];
        self.read(addr, &mut value[..bytes], guest)
            .then(|| u64::from_le_bytes(value))
    }

    /// Reads the string at `addr` into `self.text`; its length, without the NUL.
    ///
    /// A string that runs into an unreadable page is as missing as one that begins there.
    fn read_string(&mut self, addr: u64, max: usize, guest: &mut impl GuestView) -> Option<usize> {
        let mut length = 0;
        while length < max {
            let at = addr.wrapping_add(length as u64);
            let piece = piece_bytes(at).min(max - length);
            let mut bytes = [0_u8; LINE_BYTES];
            if !self.read(at, &mut bytes[..piece], guest) {
                return None;
            }
            let end = bytes[..piece].iter().position(|byte| *byte == 0);
            let taken = end.unwrap_or(piece);
            self.text[length..length + taken].copy_from_slice(&bytes[..taken]);
            length += taken;
            if end.is_some() {
                break;
            }
        }
        Some(length)
    }

    fn read_text(&mut self, addr: u64, length: usize, guest: &mut impl GuestView) -> Option<usize> {
        let mut done = 0;
        while done < length {
            let at = addr.wrapping_add(done as u64);
            let piece = piece_bytes(at).min(length - done);
            let mut bytes = [0_u8; LINE_BYTES];
            if !self.read(at, &mut bytes[..piece], guest) {
                return None;
            }
            self.text[done..done + piece].copy_from_slice(&bytes[..piece]);
            done += piece;
        }
        Some(length)
    }

    /// Reads through the lines of this probe.
    fn read(&mut self, addr: u64, out: &mut [u8], guest: &mut impl GuestView) -> bool {
        let first = piece_bytes(addr).min(out.len());
        let (head, tail) = out.split_at_mut(first);
        if !self.read_in_line(addr, head, guest) {
            return false;
        }
        tail.is_empty() || self.read_in_line(addr.wrapping_add(first as u64), tail, guest)
    }

    fn read_in_line(&mut self, addr: u64, out: &mut [u8], guest: &mut impl GuestView) -> bool {
        let line_addr = addr & !(LINE_BYTES as u64 - 1);
        let known = self.lines[..self.line_count]
            .iter()
            .position(|line| line.addr == line_addr);
        let index = known.unwrap_or_else(|| {
            // The last line is the one that is given up when a program touches more than LINE_COUNT.
            let index = self.line_count.min(LINE_COUNT - 1);
            self.line_count = index + 1;
            let line = &mut self.lines[index];
            line.addr = line_addr;
            line.readable = guest.read(line_addr, &mut line.bytes);
            index
        });
        let line = &self.lines[index];
        if line.readable {
            let start = usize::try_from(addr - line_addr).expect("an offset within a line");
            out.copy_from_slice(&line.bytes[start..start + out.len()]);
        }
        line.readable
    }
}

/// Whether the kernel itself would look there. A program may pass the kernel's addresses: they are refused, so that a
/// record does not show as a path what the call never saw. The halves do not touch, so the first address tells.
fn lies_in(space: AddressSpace, addr: u64) -> bool {
    match space {
        AddressSpace::Kernel => is_kernel_address(addr),
        AddressSpace::User => !is_kernel_address(addr),
        AddressSpace::Any => true,
    }
}

/// Bytes from `addr` to the end of its line.
fn piece_bytes(addr: u64) -> usize {
    LINE_BYTES - usize::try_from(addr % LINE_BYTES as u64).expect("less than a line")
}

fn cpu_base(guest: &mut impl GuestView) -> Option<u64> {
    // Between an entry from user mode and its swapgs the two are exchanged.
    let gs_base = guest.register(Register::GsBase)?;
    if is_kernel_address(gs_base) {
        Some(gs_base)
    } else {
        guest.register(Register::KernelGsBase)
    }
}

fn sign_extend(value: u64, bits: u8) -> u64 {
    let unused = 64 - u32::from(bits);
    ((value << unused).cast_signed() >> unused).cast_unsigned()
}

fn binary(op: Op, a: u64, b: u64) -> u64 {
    match op {
        Op::Add => a.wrapping_add(b),
        Op::Sub => a.wrapping_sub(b),
        Op::Mul => a.wrapping_mul(b),
        Op::Div => a.checked_div(b).unwrap_or(0),
        Op::Rem => a.checked_rem(b).unwrap_or(0),
        Op::And => a & b,
        Op::Or => a | b,
        Op::Xor => a ^ b,
        Op::Shl => {
            if b > 63 {
                0
            } else {
                a << b
            }
        }
        Op::Shr => {
            if b > 63 {
                0
            } else {
                a >> b
            }
        }
        Op::Sar => (a.cast_signed() >> b.min(63)).cast_unsigned(),
        Op::Equal => u64::from(a == b),
        Op::Less => u64::from(a < b),
        Op::LessSigned => u64::from(a.cast_signed() < b.cast_signed()),
        // Validation knows the arity of every other step; none of them comes here.
        _ => 0,
    }
}
