//! What a name means: a binding, an argument, a built-in, a constant, a variable or a function, in this order.

use probe_plan::{Op, Register};

use super::compile::{Compiler, fail};
use super::scope::{Argument, Local};
use super::ty::{Shape, Ty};
use super::value::{Place, Value};
use crate::expression::{ExprError, ExprProblem, Name};
use crate::suggest::nearest;

impl Compiler<'_> {
    pub(super) fn name(&mut self, name: &str, at: usize) -> Result<Value, ExprError> {
        if let Some(bound) = self.binding(name, at) {
            return bound;
        }
        if let Some(local) = self.scope.locals.iter().find(|local| local.name == name) {
            return self.local(local, at);
        }
        let scope = self.scope;
        let arguments = &scope.arguments;
        if let Some(argument) = arguments
            .iter()
            .find(|argument| argument.name.as_deref() == Some(name))
        {
            self.note_entry();
            return self.argument(name, argument, at);
        }
        match name {
            "missing" => return Ok(Value::missing()),
            "current" => return self.current(at),
            "cpu" => return self.cpu(at),
            "caller" => return self.caller(at),
            "retval" | "elapsed" if self.scope.is_paired => {
                self.note_entry();
                return match name {
                    "elapsed" => Ok(Value::number(vec![Op::Elapsed], Ty::U64)),
                    _ => self.result(name, at),
                };
            }
            "ret" | "retval" | "elapsed" => return self.result(name, at),
            _ => {}
        }
        if let Some(value) = self.facts.enum_value(name) {
            let bytes = if i32::try_from(value).is_ok() { 4 } else { 8 };
            return Ok(Value::constant(
                value.cast_unsigned(),
                Ty::Int {
                    bytes,
                    signed: true,
                },
            ));
        }
        if let Some(argument) = numbered(name).and_then(|index| arguments.get(index)) {
            self.note_entry();
            return self.argument(name, argument, at);
        }
        self.global(name, at)
    }

    /// What the function returns, at its return.
    fn result(&self, name: &str, at: usize) -> Result<Value, ExprError> {
        if let (Some(ty), "ret" | "retval") = (&self.scope.returns, name) {
            return Ok(self.narrow(vec![Op::Register(Register::Rax)], ty.clone()));
        }
        let reason = self.scope.why_no_arguments.clone();
        let reason = reason.unwrap_or_else(|| "only a `return:` hook has it".to_owned());
        fail(
            at,
            ExprProblem::NoArgument {
                name: name.to_owned(),
                reason,
            },
        )
    }

    fn global(&self, name: &str, at: usize) -> Result<Value, ExprError> {
        if self.facts.per_cpu(name).is_some() {
            return fail(
                at,
                ExprProblem::NeedsPerCpu {
                    name: name.to_owned(),
                },
            );
        }
        if let Some(symbol) = self.facts.symbol(name) {
            let ops = vec![Op::LinkAddr(symbol.addr.0)];
            if symbol.is_function {
                return Ok(Value::number(ops, Ty::Void.pointer_to()));
            }
            return Ok(Value::memory(
                ops,
                self.facts.variable(name).map_or(Ty::U64, Ty::Of),
            ));
        }
        if let Some(reason) = &self.scope.why_no_arguments {
            return fail(
                at,
                ExprProblem::NoArgument {
                    name: name.to_owned(),
                    reason: reason.clone(),
                },
            );
        }
        let known = self
            .scope
            .arguments
            .iter()
            .filter_map(|argument| argument.name.as_deref())
            .chain(self.scope.locals.iter().map(|local| local.name.as_str()));
        let arguments = known.clone().map(str::to_owned).collect();
        let suggestion = nearest(
            name,
            known.chain([
                "current", "caller", "cpu", "ret", "retval", "elapsed", "missing",
            ]),
        );
        fail(
            at,
            ExprProblem::UnknownName {
                name: name.to_owned(),
                suggestion,
                arguments,
            },
        )
    }

    /// Where the function was called from: its return address.
    fn caller(&self, at: usize) -> Result<Value, ExprError> {
        if self.scope.has_caller {
            let ops = vec![Op::Register(Register::Rsp), Op::Load(8)];
            return Ok(Value::number(ops, Ty::Void.pointer_to()));
        }
        let reason = "the return address is on top of the stack only at a function's first instruction and at its return";
        fail(
            at,
            ExprProblem::NoArgument {
                name: "caller".to_owned(),
                reason: reason.to_owned(),
            },
        )
    }

    fn argument(&self, name: &str, argument: &Argument, at: usize) -> Result<Value, ExprError> {
        match &argument.ops {
            Ok(ops) => Ok(self.narrow(ops.clone(), argument.ty.clone())),
            Err(reason) => fail(
                at,
                ExprProblem::NoArgument {
                    name: name.to_owned(),
                    reason: reason.clone(),
                },
            ),
        }
    }

    fn local(&self, local: &Local, at: usize) -> Result<Value, ExprError> {
        match &local.value {
            Ok((ops, Place::Memory)) => Ok(Value::memory(ops.clone(), local.ty.clone())),
            Ok((ops, _)) => Ok(self.narrow(ops.clone(), local.ty.clone())),
            Err(reason) => fail(
                at,
                ExprProblem::NoArgument {
                    name: local.name.clone(),
                    reason: reason.clone(),
                },
            ),
        }
    }

    /// The ABI leaves the upper bits of small numbers undefined.
    fn narrow(&self, ops: Vec<Op>, ty: Ty) -> Value {
        let shape = ty.shape(self.facts);
        let mut value = Value::number(ops, ty);
        if let Shape::Int { bytes, signed } = shape {
            value.extend(bytes, signed);
        }
        value
    }

    /// A per-CPU variable; without a type it is one number of 64 bits.
    pub(super) fn per_cpu(&self, name: &str, at: usize) -> Result<Value, ExprError> {
        let Some(offset) = self.facts.per_cpu(name) else {
            return fail(
                at,
                ExprProblem::UnknownPerCpu {
                    name: name.to_owned(),
                    suggestion: self.near_per_cpu(name),
                },
            );
        };
        let ty = self.facts.variable(name).map_or(Ty::U64, Ty::Of);
        Ok(Value::memory(vec![Op::CpuBase, offset.op(), Op::Add], ty))
    }

    /// The nearest name of a per-CPU variable.
    fn near_per_cpu(&self, name: &str) -> Option<String> {
        let names = self.facts.variable_names();
        let near = nearest(name, names);
        near.filter(|name| self.facts.per_cpu(name).is_some())
    }

    /// The thread that this CPU runs: in `pcpu_hot` from 6.2 to 6.14, else in `current_task`.
    fn current(&self, at: usize) -> Result<Value, ExprError> {
        let Some(task) = self.facts.kernel_struct("task_struct") else {
            let problem = ExprProblem::UnknownType {
                name: "struct task_struct".to_owned(),
                suggestion: None,
            };
            return fail(at, problem);
        };
        let mut place = if self.facts.per_cpu("current_task").is_some() {
            self.per_cpu("current_task", at)?
        } else {
            self.hot("current_task").ok_or(ExprError {
                at,
                problem: ExprProblem::NoCurrent,
            })?
        };
        place.ty = Ty::Of(task).pointer_to();
        self.load(place, at)
    }

    /// The number of this CPU.
    fn cpu(&self, at: usize) -> Result<Value, ExprError> {
        let mut place = match self.hot("cpu_number") {
            Some(place) => place,
            None => self.per_cpu("cpu_number", at)?,
        };
        place.ty = Ty::U32;
        self.load(place, at)
    }

    fn hot(&self, member: &str) -> Option<Value> {
        let offset = self.facts.per_cpu("pcpu_hot")?;
        let hot = Ty::Of(self.facts.kernel_struct("pcpu_hot")?);
        let member = Name {
            at: 0,
            text: member.to_owned(),
        };
        let member = self.offset_of(&hot, &[member]).ok()?;
        Some(Value::memory(
            vec![Op::CpuBase, offset.plus(member).op(), Op::Add],
            Ty::U64,
        ))
    }
}

/// `arg0`, `arg1`, ...: arguments whose names are not known.
fn numbered(name: &str) -> Option<usize> {
    name.strip_prefix("arg")?.parse().ok()
}
