//! How a trace is read: steps for its packets, and for each kind of event its steps or the fixed places of its fields.

use std::collections::HashMap;

use trace_format::{EventId, EventSchema, FieldKind, Schema};

use super::class::{Class, EventClass, Metadata, StreamClass, TypeRef};
use super::compile::{Budget, Compiler, Unusable};
use super::fixed::Fixed;
use super::program::Step;
use super::scope::Scope;

/// Most kinds of events that a description can have.
const EVENTS_MAX: usize = 65_534;
/// Ids up to which events are found by a table.
const DENSE_IDS: u64 = 1 << 16;

/// How a trace is read.
#[derive(Debug, Default)]
pub(super) struct Plan {
    pub(super) packet_header: Vec<Step>,
    pub(super) streams: Vec<StreamPlan>,
    /// Places for numbers that the steps of any event need.
    pub(super) keeps: usize,
    /// Kinds of events that cannot be read, by name with the reason.
    pub(super) unusable: Vec<(String, String)>,
}

/// How the packets of a kind of stream are read.
#[derive(Debug, Default)]
pub(super) struct StreamPlan {
    pub(super) id: u64,
    pub(super) packet_context: Vec<Step>,
    pub(super) event_header: Vec<Step>,
    events: Vec<EventPlan>,
    /// By id, the place in `events` and one more; 0 for none.
    dense: Vec<u32>,
    sparse: HashMap<u64, u32>,
}

/// How a kind of event is read.
#[derive(Debug)]
pub(super) struct EventPlan {
    pub(super) event: EventId,
    /// Number of its fields.
    pub(super) fields: usize,
    pub(super) decoding: Decoding,
    /// Fields that say which thread it is of, and of which process that is.
    pub(super) tid: Option<usize>,
    pub(super) pid: Option<usize>,
}

/// How its fields are read.
#[derive(Debug)]
pub(super) enum Decoding {
    /// They lie at fixed places.
    Fixed(Fixed),
    /// Step by step.
    Steps(Vec<Step>),
}

impl StreamPlan {
    /// The event with that id. A stream without ids has one kind of event.
    #[inline]
    pub(super) fn event(&self, id: Option<u64>) -> Option<&EventPlan> {
        let Some(id) = id else {
            return self.events.first();
        };
        let place = match self.dense.get(usize::try_from(id).ok()?) {
            Some(place) => *place,
            None => *self.sparse.get(&id)?,
        };
        self.events.get((place as usize).checked_sub(1)?)
    }

    fn add(&mut self, id: u64, event: EventPlan) {
        self.events.push(event);
        let place = u32::try_from(self.events.len()).unwrap_or(0);
        if id >= DENSE_IDS {
            self.sparse.insert(id, place);
            return;
        }
        let index = usize::try_from(id).unwrap_or(0);
        if self.dense.len() <= index {
            self.dense.resize(index + 1, 0);
        }
        self.dense[index] = place;
    }
}

/// Plans to read a trace; the schema of its events is made on the way.
pub(super) fn plan(metadata: &Metadata) -> Result<(Plan, Schema), Unusable> {
    let mut planner = Planner {
        budget: Budget::default(),
        plan: Plan::default(),
        schema: Schema::default(),
        ids: HashMap::new(),
        enums: HashMap::new(),
        is_kernel: metadata.env("domain") != Some("ust"),
    };
    let mut compiler = Compiler::new(metadata.version);
    if let Some(header) = &metadata.packet_header {
        let mut steps = Vec::new();
        compiler.own(&mut steps, &mut planner.budget, Scope::PacketHeader, header)?;
        planner.plan.packet_header = steps;
    }
    for stream in &metadata.streams {
        planner.stream(compiler.clone(), stream)?;
    }
    let Planner {
        budget,
        mut plan,
        schema,
        ..
    } = planner;
    finish(&mut plan, &budget);
    Ok((plan, schema))
}

struct Planner {
    budget: Budget,
    plan: Plan,
    schema: Schema,
    /// Events of the schema by name.
    ids: HashMap<String, Vec<usize>>,
    /// Enumerations of the schema by their values.
    enums: HashMap<Vec<(u64, String)>, String>,
    is_kernel: bool,
}

impl Planner {
    fn stream(&mut self, mut compiler: Compiler, stream: &StreamClass) -> Result<(), Unusable> {
        let mut plan = StreamPlan {
            id: stream.id,
            ..StreamPlan::default()
        };
        if let Some(context) = &stream.packet_context {
            compiler.own(
                &mut plan.packet_context,
                &mut self.budget,
                Scope::PacketContext,
                context,
            )?;
        }
        if let Some(header) = &stream.event_header {
            compiler.own(
                &mut plan.event_header,
                &mut self.budget,
                Scope::EventHeader,
                header,
            )?;
        }
        self.plan.keeps = self.plan.keeps.max(compiler.keeps());
        for event in &stream.events {
            // Numbers of events are kept in the same places: what one depends on says nothing about others.
            let used = std::mem::take(&mut self.budget.used);
            let made = self.event(compiler.clone(), stream.event_context.as_ref(), event);
            self.budget.used.extend(used);
            match made {
                Ok(event_plan) => plan.add(event.id, event_plan),
                Err(Unusable(why)) => self.plan.unusable.push((event.name.clone(), why)),
            }
        }
        self.plan.streams.push(plan);
        Ok(())
    }

    fn event(
        &mut self,
        mut compiler: Compiler,
        common: Option<&TypeRef>,
        event: &EventClass,
    ) -> Result<EventPlan, Unusable> {
        let (common_fields, own_fields) = (members(common)?, members(event.context.as_ref())?);
        let payload = members(event.payload.as_ref())?;
        let contexts = [common_fields, own_fields].concat();
        let (mut payload_slots, mut slots) = compiler.place(&mut self.budget, payload, &contexts);
        let mut steps = Vec::new();
        let scopes = [
            (Scope::CommonContext, common, common_fields),
            (Scope::Context, event.context.as_ref(), own_fields),
        ];
        for (scope, class, fields) in scopes {
            steps.extend(class.map(|class| Step::Align(class.align)));
            compiler.members(&mut steps, &mut self.budget, scope, fields, &mut slots)?;
        }
        slots.finish(&mut steps, &mut self.budget)?;
        steps.extend(event.payload.as_ref().map(|class| Step::Align(class.align)));
        compiler.members(
            &mut steps,
            &mut self.budget,
            Scope::Payload,
            payload,
            &mut payload_slots,
        )?;
        payload_slots.finish(&mut steps, &mut self.budget)?;
        self.plan.keeps = self.plan.keeps.max(compiler.keeps());
        strip(&mut steps, &self.budget);
        let fixed = Fixed::of(&steps, compiler.fields.len());
        let field = |names: &[&str]| {
            let index = |name: &&str| {
                compiler
                    .fields
                    .iter()
                    .position(|field| field.name == **name)
            };
            names.iter().find_map(index)
        };
        let (tid, pid) = match self.is_kernel {
            true => (
                field(&["ctx_tid", "ctx_perf_tid"]),
                field(&["ctx_pid", "ctx_perf_pid"]),
            ),
            false => (field(&["ctx_vtid"]), field(&["ctx_vpid"])),
        };
        Ok(EventPlan {
            fields: compiler.fields.len(),
            event: self.schema_event(&event.name, compiler)?,
            decoding: fixed.map_or(Decoding::Steps(steps), Decoding::Fixed),
            tid,
            pid,
        })
    }

    /// The event of the schema with that name and these fields.
    fn schema_event(&mut self, name: &str, compiler: Compiler) -> Result<EventId, Unusable> {
        let mut event = EventSchema {
            id: EventId(u16::try_from(self.schema.events.len()).unwrap_or(u16::MAX)),
            name: name.to_owned(),
            category: name
                .split_once(':')
                .map_or("", |(group, _)| group)
                .to_owned(),
            ltt: None,
            doc: String::new(),
            sticky: false,
            fields: compiler.fields,
        };
        // Names of values belong to one event, or to all that share them.
        for mut names in compiler.enums {
            let own = names.name.clone();
            let full = match self.enums.get(&names.values) {
                Some(known) => known.clone(),
                None => {
                    let full = format!("{name}.{own}.{}", self.schema.enums.len());
                    self.enums.insert(names.values.clone(), full.clone());
                    names.name.clone_from(&full);
                    self.schema.enums.push(names);
                    full
                }
            };
            let field = event.fields.iter_mut().find(|field| field.name == own);
            if let Some(field) = field {
                field.kind = FieldKind::Enum(full);
            }
        }
        let known = self.ids.entry(name.to_owned()).or_default();
        let same = known
            .iter()
            .find(|index| self.schema.events[**index].fields == event.fields);
        if let Some(index) = same {
            return Ok(self.schema.events[*index].id);
        }
        if self.schema.events.len() >= EVENTS_MAX {
            return Err(Unusable(format!(
                "there are more than {EVENTS_MAX} kinds of events"
            )));
        }
        known.push(self.schema.events.len());
        let id = event.id;
        self.schema.events.push(event);
        Ok(id)
    }
}

/// Members of a structure that an event has.
fn members(class: Option<&TypeRef>) -> Result<&[(String, TypeRef)], Unusable> {
    match class.map(|class| &class.class) {
        None => Ok(&[]),
        Some(Class::Struct(fields)) => Ok(fields),
        Some(_) => Err(Unusable("its fields are no structure".to_owned())),
    }
}

/// Leaves out of packets and headers what no event needs.
fn finish(plan: &mut Plan, budget: &Budget) {
    strip(&mut plan.packet_header, budget);
    for stream in &mut plan.streams {
        strip(&mut stream.packet_context, budget);
        strip(&mut stream.event_header, budget);
    }
}

/// Leaves out that numbers are kept which nothing depends on.
fn strip(steps: &mut Vec<Step>, budget: &Budget) {
    let mut align_before = 0;
    steps.retain(|step| match step {
        // An array says so, and its element again.
        Step::Align(align) => std::mem::replace(&mut align_before, *align) < *align,
        _ => {
            align_before = 0;
            true
        }
    });
    for step in steps {
        match step {
            Step::Number { keep, .. } | Step::VarInt { keep, .. } => {
                *keep = keep.filter(|keep| budget.used.contains(keep));
            }
            Step::Repeat { body, .. } => strip(body, budget),
            Step::Choose { choices, .. } => {
                choices.iter_mut().for_each(|(_, body)| strip(body, budget));
            }
            _ => {}
        }
    }
}
