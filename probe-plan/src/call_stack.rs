//! Climbs call stacks: by the plan's rules in the kernel, by frame pointers where there are none.
//!
//! The addresses go into the interpreter's text, 8 bytes each: the place itself, then return addresses and interrupted
//! places from the inside out. A stack that could not be climbed to its end closes with [`trace_format::CUT`].
//!
//! Budget: a bounded number of frames, at most seven words of the guest for each, and what it takes to find the rules of
//! code that was loaded later. What a hostile stack says is followed
//! no further than that.

use crate::addr::RuntimeAddr;
use crate::guest_view::{GuestView, Register};
use crate::interpreter::{Interpreter, is_kernel_address};
use crate::loaded_rules::Owners;
use crate::program::AddressSpace;
use crate::unwind::{FramePointer, FrameRule, Reached, StackTop, Unwind};

/// In user mode these bits of the code segment are set.
const PRIVILEGE: u64 = 3;

/// A frame on the way up.
#[derive(Clone, Copy, Debug)]
struct Frame {
    instruction: u64,
    /// Whether `instruction` has not been executed yet; a return address is behind the call that counts.
    is_exact: bool,
    stack_pointer: u64,
    frame_pointer: u64,
    others: Others,
}

/// Where the other registers of a frame are.
#[derive(Clone, Copy, Debug)]
enum Others {
    /// In the CPU.
    Live,
    /// Saved here.
    Saved(u64),
    /// The code in between has used them.
    Lost,
}

/// What is above a frame.
enum Above {
    Frame(Frame),
    /// Nothing of the kernel's.
    End,
}

impl Interpreter {
    /// The call stack at a probe; the number of bytes in the text. `None` when there is no stack pointer to begin with.
    pub(crate) fn call_stack(
        &mut self,
        probe: RuntimeAddr,
        max: u8,
        guest: &mut impl GuestView,
    ) -> Option<usize> {
        let unwind = self.unwind.clone()?;
        let mut frame = Frame {
            instruction: probe.0,
            is_exact: true,
            stack_pointer: guest.register(Register::Rsp)?,
            frame_pointer: guest.register(Register::Rbp)?,
            others: Others::Live,
        };
        let mut owners = Owners::new();
        let mut length = self.push_address(0, frame.instruction);
        for _ in 1..max {
            match self.above((&unwind, &mut owners), &frame, guest) {
                Some(Above::Frame(next)) => frame = next,
                Some(Above::End) => return Some(length),
                None => return Some(self.push_address(length, trace_format::CUT)),
            }
            length = self.push_address(length, frame.instruction);
        }
        let is_whole = matches!(
            self.above((&unwind, &mut owners), &frame, guest),
            Some(Above::End)
        );
        Some(if is_whole {
            length
        } else {
            self.push_address(length, trace_format::CUT)
        })
    }

    /// `None` when that is not known.
    fn above(
        &mut self,
        (unwind, owners): (&Unwind, &mut Owners),
        frame: &Frame,
        guest: &mut impl GuestView,
    ) -> Option<Above> {
        let within = frame.instruction.wrapping_sub(u64::from(!frame.is_exact));
        let of_image = unwind.rule_at(self.slide().to_link(RuntimeAddr(within)));
        let rule = match (of_image, &unwind.loaded) {
            (None, Some(loaded)) => self.loaded_rule(loaded, owners, within, guest),
            (of_image, _) => of_image,
        };
        let (top, frame_pointer, reached) = match rule? {
            FrameRule::Unknown => return None,
            FrameRule::Outermost => return Some(Above::End),
            FrameRule::Inner {
                top,
                frame_pointer,
                reached,
            } => (top, frame_pointer, reached),
        };
        let top = self.stack_top(unwind, frame, top, guest)?;
        let mut next = *frame;
        match reached {
            Reached::Called => {
                next.instruction = self.word(top.wrapping_sub(8), guest)?;
                next.is_exact = false;
                next.stack_pointer = top;
                next.others = Others::Lost;
            }
            Reached::Interrupted | Reached::InterruptedBriefly => {
                let saved = &unwind.saved;
                let instruction = u64::from(saved.instruction);
                let is_brief = reached == Reached::InterruptedBriefly;
                let area = top.wrapping_sub(if is_brief { instruction } else { 0 });
                let segment = area.wrapping_add(saved.code_segment.into());
                if self.word(segment, guest)? & PRIVILEGE != 0 {
                    return Some(Above::End);
                }
                let stack_pointer = saved.offset_of(Register::Rsp)?;
                next.instruction = self.word(area.wrapping_add(instruction), guest)?;
                next.is_exact = true;
                next.stack_pointer = self.word(area.wrapping_add(stack_pointer), guest)?;
                if !is_brief {
                    next.others = Others::Saved(area);
                }
            }
        }
        next.frame_pointer = match frame_pointer {
            FramePointer::FromTop(offset) => self.word(offset_by(top, offset), guest)?,
            FramePointer::FromItself(offset) => {
                self.word(offset_by(frame.frame_pointer, offset), guest)?
            }
            FramePointer::Kept => match next.others {
                Others::Saved(area) if reached == Reached::Interrupted => {
                    let offset = unwind.saved.offset_of(Register::Rbp)?;
                    self.word(area.wrapping_add(offset), guest)?
                }
                _ => frame.frame_pointer,
            },
        };
        // Code of the kernel is nowhere else.
        is_kernel_address(next.instruction).then_some(Above::Frame(next))
    }

    fn stack_top(
        &mut self,
        unwind: &Unwind,
        frame: &Frame,
        top: StackTop,
        guest: &mut impl GuestView,
    ) -> Option<u64> {
        let register = match (top.register, frame.others) {
            (Register::Rsp, _) => frame.stack_pointer,
            (Register::Rbp, _) => frame.frame_pointer,
            (register, Others::Live) => guest.register(register)?,
            (register, Others::Saved(area)) => {
                let offset = unwind.saved.offset_of(register)?;
                self.word(area.wrapping_add(offset), guest)?
            }
            (_, Others::Lost) => return None,
        };
        let place = offset_by(register, top.offset);
        match top.behind {
            None => Some(place),
            Some(offset) => Some(offset_by(self.word(place, guest)?, offset)),
        }
    }

    /// An address and those above it by frame pointers; the number of bytes in the text.
    ///
    /// A frame pointer of 0 is the end, as the ABI has it. One that does not lead upwards in its own space is no frame
    /// pointer: code without them uses the register otherwise.
    pub(crate) fn frame_pointers(
        &mut self,
        (instruction, frame_pointer): (u64, u64),
        space: AddressSpace,
        max: u8,
        guest: &mut impl GuestView,
    ) -> usize {
        let is_inside = |addr: u64| match space {
            AddressSpace::User => !is_kernel_address(addr),
            AddressSpace::Kernel => is_kernel_address(addr),
            AddressSpace::Any => true,
        };
        let mut at = frame_pointer;
        let mut length = self.push_address(0, instruction);
        for _ in 1..max {
            if at == 0 {
                return length;
            }
            let is_aligned = at.is_multiple_of(8) && is_inside(at);
            let next = if is_aligned {
                self.word(at, guest)
            } else {
                None
            };
            let caller = next.and_then(|_| self.word(at.wrapping_add(8), guest));
            let (Some(next), Some(caller)) = (next, caller) else {
                break;
            };
            if caller == 0 {
                return length;
            }
            if !is_inside(caller) {
                break;
            }
            length = self.push_address(length, caller);
            if next != 0 && next <= at {
                break;
            }
            at = next;
        }
        if at == 0 {
            length
        } else {
            self.push_address(length, trace_format::CUT)
        }
    }

    fn word(&mut self, addr: u64, guest: &mut impl GuestView) -> Option<u64> {
        self.load(addr, 8, guest)
    }
}

fn offset_by(addr: u64, offset: i16) -> u64 {
    addr.wrapping_add_signed(i64::from(offset))
}
