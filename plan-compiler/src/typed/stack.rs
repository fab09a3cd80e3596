//! `stack(kernel)` and `stack(user)`.

use probe_plan::{AddressSpace, FRAMES_MAX, Field, Op, Output, Register};

use super::compile::{Compiler, fail};
use super::scope::Scope;
use super::value::Value;
use crate::expression::{Expr, ExprError, ExprKind, ExprProblem, parse};

/// The registers with which the running thread left user space: the last thing on its kernel stack, whose upper end each
/// CPU knows (since 6.15 and to 6.1 in a variable of its own, which is a macro for the third to 5.12).
const USER_REGISTERS: &str = "((struct pt_regs *)either((u64)percpu(cpu_current_top_of_stack), \
     (u64)percpu(pcpu_hot).top_of_stack, (u64)((struct tss_struct *)&percpu(cpu_tss_rw))->x86_tss.sp1) - 1)";

impl Compiler<'_> {
    /// Compiles the expression of a field that holds a call stack.
    pub(super) fn stack_field(&mut self, expr: &Expr) -> Result<Field, ExprError> {
        match &expr.kind {
            ExprKind::Stack { space, max } => self.stack(*space, *max, expr.at),
            ExprKind::Either(alternatives) => self.first(alternatives, Self::stack_field),
            ExprKind::Name(name) if name == "missing" => {
                let mut ops = Value::missing().ops;
                ops.push(Op::Const(0));
                let (space, max) = (AddressSpace::Any, 1);
                Ok(Field {
                    ops,
                    output: Output::FramePointers { space, max },
                })
            }
            _ => fail(
                expr.at,
                ExprProblem::WrongOutput {
                    expected: "stack(kernel) or stack(user)",
                },
            ),
        }
    }

    fn stack(&self, space: AddressSpace, max: Option<u8>, at: usize) -> Result<Field, ExprError> {
        let max = max.unwrap_or(FRAMES_MAX);
        if space != AddressSpace::User {
            return match self.facts.why_no_unwind() {
                None => Ok(Field {
                    ops: Vec::new(),
                    output: Output::CallStack { max },
                }),
                Some(reason) => fail(at, ExprProblem::NoStacks { reason }),
            };
        }
        if self.facts.is_program() {
            let ops = vec![Op::ProbeAddress, Op::Register(Register::Rbp)];
            let output = Output::FramePointers { space, max };
            return Ok(Field { ops, output });
        }
        // Names of the probe's must not come between.
        let scope = Scope::default();
        let mut compiler = Compiler::new(self.facts, &scope, &[]);
        let mut ops = Vec::new();
        for register in ["ip", "bp"] {
            // A thread of the kernel has no such registers; one that has just begun has some that are not of user mode.
            let text = format!(
                "current->mm && (({USER_REGISTERS}->cs & 3) == 3) ? (u64){USER_REGISTERS}->{register} : missing"
            );
            let value = parse(&text).and_then(|expr| compiler.scalar(&expr));
            // Where it is wrong is within a text that nobody wrote.
            let value = value.map_err(|error| ExprError {
                at,
                problem: error.problem,
            })?;
            ops.extend(value.ops);
        }
        let space = AddressSpace::User;
        Ok(Field {
            ops,
            output: Output::FramePointers { space, max },
        })
    }
}
