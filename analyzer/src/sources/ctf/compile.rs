//! From types to the steps that read them.
//!
//! A field that is one number or one run of bytes is a field of the record; what has parts becomes text. Numbers that
//! others depend on are kept under a place of their own; those of packet and header stay while the packet is read.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use trace_format::{EnumSchema, FieldSchema};

use super::class::{
    Class, Encoding, Int, Length, Names, Path, Ranges, Role, Type, TypeRef, Version,
};
use super::fields::{Run, Slots};
use super::program::{Count, Shape, Step, To};
use super::scope::Scope;

/// Most steps of a trace: shared types can expand to much more than the metadata is long.
const STEPS_MAX: usize = 1 << 20;

/// A type cannot be read, because of this.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unusable(pub(super) String);

type Compiled = Result<(), Unusable>;

/// A number that others may depend on.
#[derive(Clone, Debug)]
struct Known {
    keep: usize,
    is_signed: bool,
    names: Option<Rc<Names>>,
}

/// Where the values of a type go.
#[derive(Clone, Copy, Debug)]
enum Target {
    /// To the reader.
    Own(Scope),
    /// Field of the record.
    Field(usize),
    /// Into the text under way.
    Text,
}

/// Makes steps; a clone goes on where the original is.
#[derive(Clone, Debug)]
pub(super) struct Compiler {
    version: Version,
    /// By path, its names joined.
    known: HashMap<String, Known>,
    keeps: usize,
    path: Vec<String>,
    /// Fields of the record, those of the payload first.
    pub(super) fields: Vec<FieldSchema>,
    /// Names of the fields' values.
    pub(super) enums: Vec<EnumSchema>,
}

/// What all steps of a trace share.
#[derive(Debug, Default)]
pub(super) struct Budget {
    steps: usize,
    /// Names of values that were written out.
    pub(super) values: usize,
    /// Places of numbers that something depends on.
    pub(super) used: HashSet<usize>,
}

impl Compiler {
    pub(super) fn new(version: Version) -> Self {
        Self {
            version,
            known: HashMap::new(),
            keeps: 0,
            path: Vec::new(),
            fields: Vec::new(),
            enums: Vec::new(),
        }
    }

    /// How many places for numbers the steps so far may need.
    pub(super) fn keeps(&self) -> usize {
        self.keeps
    }

    /// Adds the steps that read what only the reader needs.
    pub(super) fn own(
        &mut self,
        steps: &mut Vec<Step>,
        budget: &mut Budget,
        scope: Scope,
        class: &Type,
    ) -> Compiled {
        self.path = vec![scope.name().to_owned()];
        self.class(steps, budget, class, Target::Own(scope))
    }

    /// Adds the steps that read members of an event.
    pub(super) fn members(
        &mut self,
        steps: &mut Vec<Step>,
        budget: &mut Budget,
        scope: Scope,
        members: &[(String, TypeRef)],
        slots: &mut Slots,
    ) -> Compiled {
        for (name, class) in members {
            self.path = vec![scope.name().to_owned(), name.clone()];
            if slots.next < slots.end {
                let index = slots.next;
                slots.next += 1;
                self.class(steps, budget, class, Target::Field(index))?;
                continue;
            }
            if !slots.is_begun {
                budget.step(steps, Step::Begin)?;
            }
            let before = if slots.is_begun { ", " } else { "{" };
            slots.is_begun = true;
            let label = format!("{before}{} = ", self.shown(name));
            budget.step(steps, Step::Write(label.into()))?;
            self.class(steps, budget, class, Target::Text)?;
        }
        Ok(())
    }

    /// Names without the underscore that keeps them apart from the words of TSDL.
    pub(super) fn shown<'n>(&self, name: &'n str) -> &'n str {
        match self.version {
            Version::Ctf1 => name.strip_prefix('_').unwrap_or(name),
            Version::Ctf2 => name,
        }
    }

    fn class(
        &mut self,
        steps: &mut Vec<Step>,
        budget: &mut Budget,
        class: &Type,
        target: Target,
    ) -> Compiled {
        if class.align > 1 {
            budget.step(steps, Step::Align(class.align))?;
        }
        let to = |plain: To| match target {
            Target::Own(_) => plain,
            Target::Field(index) => To::Field(index),
            Target::Text => To::Text,
        };
        match &class.class {
            Class::Int(int, names) => {
                let step = self.int(int, names.as_ref(), target);
                budget.step(steps, step)
            }
            Class::VarInt {
                is_signed,
                shown,
                names,
                role,
            } => {
                let keep = Some(self.keep(*is_signed, names.as_ref()));
                let to = to(self.own_number(*role, false, 64, target));
                let shape = Shape {
                    is_signed: *is_signed,
                    shown: *shown,
                };
                budget.step(steps, Step::VarInt { shape, keep, to })
            }
            Class::Float { bits, order, .. } => {
                let (bits, order, to) = (*bits, *order, to(To::Nowhere));
                budget.step(steps, Step::Float { bits, order, to })
            }
            Class::Text(encoding) => {
                let (encoding, to) = (*encoding, to(To::Nowhere));
                budget.step(steps, Step::Text { encoding, to })
            }
            Class::Bytes { length, text } => {
                let count = self.count(length, 1, budget)?;
                let (text, to) = (*text, to(To::Nowhere));
                budget.step(steps, Step::Bytes { count, text, to })
            }
            Class::Struct(fields) => self.structure(steps, budget, fields, target),
            Class::Array { element, length } => self.array(steps, budget, element, length, target),
            Class::Variant { .. } | Class::Optional { .. } => {
                self.choice(steps, budget, &class.class, target)
            }
        }
    }

    fn int(&mut self, int: &Int, names: Option<&Rc<Names>>, target: Target) -> Step {
        let keep = Some(self.keep(int.is_signed, names));
        let to = match target {
            Target::Own(_) => self.own_number(int.role, int.is_clock, int.bits, target),
            Target::Field(index) => To::Field(index),
            Target::Text => To::Text,
        };
        Step::Number {
            bits: int.bits,
            order: int.order,
            shape: Shape {
                is_signed: int.is_signed,
                shown: int.shown,
            },
            keep,
            to,
        }
    }

    /// Where a number of the reader's own goes.
    fn own_number(&self, role: Option<Role>, is_clock: bool, bits: u32, target: Target) -> To {
        let Target::Own(scope) = target else {
            return To::Nowhere;
        };
        let name = self.path.last().map_or("", String::as_str);
        let role = role.or_else(|| scope.role_of(name, self.version));
        let is_clock = is_clock || (scope == Scope::EventHeader && name == "timestamp");
        match (role, scope) {
            (Some(Role::PacketStart), _) => To::RoleAndClock(Role::PacketStart, bits),
            (Some(Role::PacketEnd), _) => To::Later(Role::PacketEnd, bits),
            (Some(role), _) => To::Role(role),
            (None, Scope::PacketContext) if is_clock => To::RoleAndClock(Role::PacketStart, bits),
            (None, Scope::EventHeader) if is_clock => To::Clock(bits),
            (None, _) => To::Nowhere,
        }
    }

    fn keep(&mut self, is_signed: bool, names: Option<&Rc<Names>>) -> usize {
        let keep = self.keeps;
        self.keeps += 1;
        let known = Known {
            keep,
            is_signed,
            names: names.map(Rc::clone),
        };
        self.known.insert(joined(&self.path), known);
        keep
    }

    fn structure(
        &mut self,
        steps: &mut Vec<Step>,
        budget: &mut Budget,
        fields: &[(String, TypeRef)],
        target: Target,
    ) -> Compiled {
        let inner = self.open(steps, budget, target, "{")?;
        for (index, (name, class)) in fields.iter().enumerate() {
            if matches!(inner, Target::Text) {
                let comma = if index == 0 { "" } else { ", " };
                let label = format!("{comma}{} = ", self.shown(name));
                budget.step(steps, Step::Write(label.into()))?;
            }
            self.path.push(name.clone());
            self.class(steps, budget, class, inner)?;
            self.path.pop();
        }
        close(steps, budget, target, "}")
    }

    fn array(
        &mut self,
        steps: &mut Vec<Step>,
        budget: &mut Budget,
        element: &TypeRef,
        length: &Length,
        target: Target,
    ) -> Compiled {
        let run = Run::of(element)
            .filter(|run| *run != Run::Addresses || !matches!(target, Target::Text));
        if let Some(run) = run {
            let count = self.count(length, run.bytes(), budget)?;
            let text = matches!(run, Run::Text).then_some(Encoding::Utf8);
            let to = match target {
                Target::Own(_) => To::Nowhere,
                Target::Field(index) => To::Field(index),
                Target::Text => To::Text,
            };
            return budget.step(steps, Step::Bytes { count, text, to });
        }
        let count = self.count(length, 1, budget)?;
        let inner = self.open(steps, budget, target, "[")?;
        let mut body = Vec::new();
        self.class(&mut body, budget, element, inner)?;
        budget.step(steps, Step::Repeat { count, body })?;
        close(steps, budget, target, "]")
    }

    fn choice(
        &mut self,
        steps: &mut Vec<Step>,
        budget: &mut Budget,
        class: &Class,
        target: Target,
    ) -> Compiled {
        let mut ways: Vec<(Ranges, Vec<Step>)> = Vec::new();
        let (known, inner) = match class {
            Class::Optional { tag, values, class } => {
                let known = self.resolve(tag)?;
                let mut body = Vec::new();
                self.class(&mut body, budget, class, target)?;
                ways.push((values.clone(), body));
                (known, None)
            }
            Class::Variant { tag, choices } => {
                let tag = tag
                    .as_ref()
                    .ok_or_else(|| Unusable("a variant has no tag".to_owned()))?;
                let known = self.resolve(tag)?;
                let inner = self.open(steps, budget, target, "")?;
                for choice in choices {
                    let by_name = || self.named_values(&known, &choice.name);
                    let Some(values) = choice.values.clone().or_else(by_name) else {
                        continue;
                    };
                    let mut body = Vec::new();
                    self.path.push(choice.name.clone());
                    self.class(&mut body, budget, &choice.class, inner)?;
                    self.path.pop();
                    ways.push((values, body));
                }
                (known, Some(inner))
            }
            _ => return Ok(()),
        };
        budget.used.insert(known.keep);
        let choose = Step::Choose {
            tag: known.keep,
            is_signed: known.is_signed,
            choices: ways,
        };
        budget.step(steps, choose)?;
        match inner {
            Some(_) => close(steps, budget, target, ""),
            None => Ok(()),
        }
    }

    /// Begins what has parts; where the parts go.
    fn open(
        &self,
        steps: &mut Vec<Step>,
        budget: &mut Budget,
        target: Target,
        bracket: &str,
    ) -> Result<Target, Unusable> {
        if let Target::Own(_) = target {
            return Ok(target);
        }
        if let Target::Field(_) = target {
            budget.step(steps, Step::Begin)?;
        }
        if !bracket.is_empty() {
            budget.step(steps, Step::Write(bracket.into()))?;
        }
        Ok(Target::Text)
    }

    fn count(&self, length: &Length, factor: u64, budget: &mut Budget) -> Result<Count, Unusable> {
        Ok(match length {
            Length::Fixed(count) => Count::Fixed(count.saturating_mul(factor)),
            Length::Field(path) => {
                let keep = self.resolve(path)?.keep;
                budget.used.insert(keep);
                Count::Kept(keep, factor)
            }
        })
    }

    /// The number that a path means: in the same structure or further out, then in what was read before.
    fn resolve(&self, path: &Path) -> Result<Known, Unusable> {
        let absolute = Scope::absolute(path);
        let outward = (1..=self.path.len())
            .rev()
            .map(|count| self.path[..count].to_vec());
        let scopes = Scope::ALL
            .iter()
            .rev()
            .map(|scope| vec![scope.name().to_owned()]);
        let candidates = outward.chain(scopes).map(|mut prefix| {
            prefix.extend_from_slice(path);
            prefix
        });
        let mut all = absolute.into_iter().chain(candidates);
        let found = all.find_map(|full| self.known.get(&joined(&full)));
        let missing = || Unusable(format!("there is no field {} before it", path.join(".")));
        found.cloned().ok_or_else(missing)
    }

    /// Values of an enumeration's name.
    fn named_values(&self, known: &Known, name: &str) -> Option<Ranges> {
        let names = known.names.as_ref()?.iter();
        let own = names.filter(|(own, _, _)| self.shown(own) == self.shown(name));
        let values: Ranges = own.map(|(_, from, to)| (*from, *to)).collect();
        (!values.is_empty()).then_some(values)
    }
}

fn close(steps: &mut Vec<Step>, budget: &mut Budget, target: Target, bracket: &str) -> Compiled {
    if matches!(target, Target::Own(_)) {
        return Ok(());
    }
    if !bracket.is_empty() {
        budget.step(steps, Step::Write(bracket.into()))?;
    }
    match target {
        Target::Field(index) => budget.step(steps, Step::End(index)),
        Target::Own(_) | Target::Text => Ok(()),
    }
}

fn joined(path: &[String]) -> String {
    path.join("\0")
}

impl Slots {
    /// Ends the text of the members that have no field of their own, if there are any.
    pub(super) fn finish(&self, steps: &mut Vec<Step>, budget: &mut Budget) -> Compiled {
        if self.is_begun {
            budget.step(steps, Step::Write("}".into()))?;
            budget.step(steps, Step::End(self.end))?;
        }
        Ok(())
    }
}

impl Budget {
    fn step(&mut self, steps: &mut Vec<Step>, step: Step) -> Compiled {
        self.steps += 1;
        if self.steps > STEPS_MAX {
            let text = "its types have more fields than can be";
            return Err(Unusable(text.to_owned()));
        }
        steps.push(step);
        Ok(())
    }
}
