//! Reads event tables and checks them.

use std::collections::BTreeMap;

use toml::Spanned;

use crate::check::{check_name, check_names, check_sites};
use crate::error::{EventError, RowProblem};
use crate::raw::{RawEnum, RawEvent, RawField, RawFile, RawSite};
use crate::row::{BindRow, EnumRow, EnumValues, EventRow, FieldRow, FieldType, SiteRow, Source};

/// Ids from here on go to rows without one of their own: a user's, which live no longer than their trace.
pub const USER_ID_FIRST: u16 = 0x8000;

/// Ids from here on go to the kernel's own tracepoints, in the order of their names.
pub const TRACEPOINT_ID_FIRST: u16 = 0xc000;

macro_rules! builtin_files {
    ($($name:literal),* $(,)?) => {
        [$(($name, include_str!(concat!("../linux/", $name)))),*]
    };
}

/// The rows, in the order in which a newcomer should read them.
const BUILTIN: [(&str, &str); 20] = builtin_files![
    "context.toml",
    "syscall.toml",
    "trap.toml",
    "irq.toml",
    "softirq.toml",
    "sched.toml",
    "process.toml",
    "timer.toml",
    "power.toml",
    "file.toml",
    "block.toml",
    "writeback.toml",
    "memory.toml",
    "socket.toml",
    "network.toml",
    "ipc.toml",
    "module.toml",
    "initcall.toml",
    "printk.toml",
    "recording.toml",
];

/// Events and the enumerations that they refer to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventTable {
    events: Vec<EventRow>,
    enums: Vec<EnumRow>,
    /// What rows may be made like besides events.
    templates: Vec<EventRow>,
}

impl EventTable {
    /// The table that guesttrace has built in.
    #[must_use]
    pub fn builtin() -> Self {
        let mut table = Self::default();
        for (file, text) in BUILTIN {
            // A test reads every file, so that this can only fail in a build that its tests refuse.
            if let Err(error) = table.add(file, text) {
                unreachable!("the built-in event table is wrong: {error}");
            }
        }
        for event in table.events.iter_mut().chain(&mut table.templates) {
            event.source = Source::Builtin;
        }
        table
    }

    /// A table of one file.
    ///
    /// # Errors
    /// The first rule that is broken, with file and row.
    pub fn from_toml(file: &str, text: &str) -> Result<Self, EventError> {
        let mut table = Self::default();
        table.add(file, text)?;
        Ok(table)
    }

    /// Adds the rows of a file, which may refer to the enumerations that are there.
    ///
    /// # Errors
    /// The first rule that is broken, with file and row; the table is then unchanged.
    pub fn add(&mut self, file: &str, text: &str) -> Result<(), EventError> {
        let raw: RawFile = toml::from_str(text).map_err(|source| EventError::Syntax {
            file: file.to_owned(),
            source: Box::new(source),
        })?;
        let lines = Lines(text);
        let row_error = |row: String, line: usize| {
            move |problem| EventError::Row {
                file: file.to_owned(),
                line,
                row,
                problem,
            }
        };
        let mut next = self.clone();
        check_name(&raw.category).map_err(row_error("category".to_owned(), 1))?;
        for item in raw.enums {
            let line = lines.of(&item.name);
            let row = format!("enum {:?}", item.name.get_ref());
            next.add_enum(item).map_err(row_error(row, line))?;
        }
        let templates = raw.templates.into_iter().map(|row| (row, true));
        let events = raw.events.into_iter().map(|row| (row, false));
        for (event, is_template) in templates.chain(events) {
            let line = lines.of(&event.name);
            let what = if is_template { "template" } else { "event" };
            let row = format!("{what} {:?}", event.name.get_ref());
            let source = Source::File {
                name: file.to_owned(),
                line,
            };
            let group = Group {
                category: &raw.category,
                core: raw.core,
                source,
            };
            let added = if is_template {
                next.add_template(event, group, &lines)
            } else {
                next.add_event(event, group, &lines)
            };
            added.map_err(row_error(row, line))?;
        }
        *self = next;
        Ok(())
    }

    /// Adds a row that was not read from a file. Its id is 0 when the next free one will do.
    ///
    /// # Errors
    /// The rule that it breaks: the name of another row, two fields with one name, too many fields, no hooks.
    pub fn push(&mut self, mut event: EventRow) -> Result<(), RowProblem> {
        self.check_unique(&event.name)?;
        if event.id == 0 {
            event.id = self.id(None)?;
        }
        check_names(&event)?;
        check_sites(&event)?;
        for field in &event.fields {
            self.check_enum(&field.name, &field.field_type)?;
        }
        self.events.push(event);
        Ok(())
    }

    /// Fetches a field of an event by another expression, with further bindings for it. Does nothing where there is no
    /// such field.
    pub fn refetch(&mut self, event: &str, binds: Vec<(String, String)>, field: &str, fetch: &str) {
        let Some(event) = self.events.iter_mut().find(|row| row.name == event) else {
            return;
        };
        let Some(field) = event.fields.iter_mut().find(|row| row.name == field) else {
            return;
        };
        field.fetch = Some(fetch.to_owned());
        event
            .bind
            .extend(binds.into_iter().map(|(name, fetch)| BindRow {
                name,
                fetch: Some(fetch),
                line: 0,
            }));
    }

    /// The events, in the order of the files.
    #[must_use]
    pub fn events(&self) -> &[EventRow] {
        &self.events
    }

    /// The event with that name.
    #[must_use]
    pub fn event(&self, name: &str) -> Option<&EventRow> {
        self.events.iter().find(|event| event.name == name)
    }

    /// The enumerations.
    #[must_use]
    pub fn enums(&self) -> &[EnumRow] {
        &self.enums
    }

    fn add_enum(&mut self, raw: RawEnum) -> Result<(), RowProblem> {
        check_name(raw.name.get_ref())?;
        if self
            .enums
            .iter()
            .any(|item| item.name == *raw.name.get_ref())
        {
            return Err(RowProblem::DuplicateEnum);
        }
        let values = match (raw.source.as_deref(), raw.values.is_empty()) {
            (None, false) => EnumValues::Fixed(enum_values(raw.values)?),
            (Some("syscalls:x64"), true) => EnumValues::SyscallsX64,
            (Some("syscalls:ia32"), true) => EnumValues::SyscallsIa32,
            (Some(text), true) => {
                return Err(RowProblem::BadEnumSource {
                    text: text.to_owned(),
                });
            }
            _ => return Err(RowProblem::BadEnumShape),
        };
        self.enums.push(EnumRow {
            name: raw.name.into_inner(),
            values,
        });
        Ok(())
    }

    fn check_unique(&self, name: &str) -> Result<(), RowProblem> {
        match self.model(name) {
            Some(other) => Err(RowProblem::DuplicateEvent {
                category: other.category.clone(),
            }),
            None => Ok(()),
        }
    }

    fn add_event(
        &mut self,
        raw: RawEvent,
        group: Group<'_>,
        lines: &Lines<'_>,
    ) -> Result<(), RowProblem> {
        let id = raw.id;
        let mut event = self.row(raw, group, lines)?;
        event.id = self.id(id)?;
        if !event.retired {
            check_sites(&event)?;
        }
        self.events.push(event);
        Ok(())
    }

    /// Has no number, and may lack what the rows made like it add.
    fn add_template(
        &mut self,
        raw: RawEvent,
        group: Group<'_>,
        lines: &Lines<'_>,
    ) -> Result<(), RowProblem> {
        let template = self.row(raw, group, lines)?;
        self.templates.push(template);
        Ok(())
    }

    /// The event or template with that name.
    fn model(&self, name: &str) -> Option<&EventRow> {
        let mut all = self.events.iter().chain(&self.templates);
        all.find(|row| row.name == name)
    }

    /// The row as written, with what it takes from others; without a number.
    fn row(
        &self,
        raw: RawEvent,
        group: Group<'_>,
        lines: &Lines<'_>,
    ) -> Result<EventRow, RowProblem> {
        check_name(raw.name.get_ref())?;
        self.check_unique(raw.name.get_ref())?;
        if raw.doc.trim().is_empty() {
            return Err(RowProblem::NoDoc {
                of: "the event".to_owned(),
            });
        }
        let end = raw
            .end
            .map(|text| text.parse().map_err(|()| RowProblem::BadEnd { text }))
            .transpose()?;
        let mut own_sites = sites(raw.hooks, raw.sites)?;
        let (mut bind, mut fields) = (Vec::new(), Vec::new());
        if let Some(name) = raw.like {
            let model = self
                .model(&name)
                .filter(|_| own_sites.is_empty())
                .ok_or(RowProblem::BadLike { name })?;
            own_sites.clone_from(&model.sites);
            bind.clone_from(&model.bind);
        }
        if let Some(name) = raw.fields_like {
            let model = self
                .model(&name)
                .ok_or(RowProblem::BadFieldsLike { name })?;
            let shared = model.bind.iter().filter(|shared| !bind.contains(shared));
            let shared: Vec<BindRow> = shared.cloned().collect();
            bind.extend(shared);
            fields.clone_from(&model.fields);
        }
        for text in raw.bind {
            bind.push(binding(text, lines)?);
        }
        let shared = fields.len();
        for field in raw.fields {
            let field = self.field(field, lines)?;
            let model = { fields[..shared].iter_mut() }.find(|model| model.name == field.name);
            match model {
                Some(model) => *model = field,
                None => fields.push(field),
            }
        }
        let event = EventRow {
            id: 0,
            category: group.category.to_owned(),
            core: raw.core.unwrap_or(group.core),
            source: group.source,
            sticky: raw.sticky,
            end,
            sites: own_sites,
            bind,
            when: raw.when,
            fields,
            name: raw.name.into_inner(),
            ltt: raw.ltt,
            doc: raw.doc,
            retired: raw.retired,
        };
        check_names(&event)?;
        Ok(event)
    }

    fn id(&self, wanted: Option<u16>) -> Result<u16, RowProblem> {
        match wanted {
            Some(id) if id >= USER_ID_FIRST => Err(RowProblem::ReservedId {
                id,
                first: USER_ID_FIRST,
            }),
            Some(id) => match self.events.iter().find(|event| event.id == id) {
                Some(other) => Err(RowProblem::DuplicateId {
                    id,
                    other: other.name.clone(),
                }),
                None => Ok(id),
            },
            None => {
                let last = self
                    .events
                    .iter()
                    .map(|event| event.id)
                    .filter(|id| (USER_ID_FIRST..TRACEPOINT_ID_FIRST).contains(id))
                    .max();
                last.map_or(Some(USER_ID_FIRST), |id| id.checked_add(1))
                    .filter(|id| *id < TRACEPOINT_ID_FIRST)
                    .ok_or(RowProblem::OutOfIds)
            }
        }
    }

    fn check_enum(&self, field: &str, field_type: &FieldType) -> Result<(), RowProblem> {
        match field_type {
            FieldType::Enum(name) if !self.enums.iter().any(|item| item.name == *name) => {
                Err(RowProblem::UnknownEnum {
                    field: field.to_owned(),
                    name: name.clone(),
                })
            }
            _ => Ok(()),
        }
    }

    fn field(&self, raw: RawField, lines: &Lines<'_>) -> Result<FieldRow, RowProblem> {
        let line = lines.of(&raw.name);
        let name = raw.name.into_inner();
        check_name(&name)?;
        if raw.doc.trim().is_empty() {
            return Err(RowProblem::NoDoc {
                of: format!("field {name:?}"),
            });
        }
        let Ok(field_type) = raw.type_name.parse() else {
            return Err(RowProblem::BadType {
                field: name,
                type_name: raw.type_name,
            });
        };
        self.check_enum(&name, &field_type)?;
        Ok(FieldRow {
            name,
            field_type,
            unit: raw.unit,
            doc: raw.doc,
            fetch: raw.fetch,
            line,
        })
    }
}

/// What the rows of a file have in common.
struct Group<'a> {
    category: &'a str,
    core: bool,
    source: Source,
}

/// The lines of a file, from 1.
struct Lines<'a>(&'a str);

impl Lines<'_> {
    fn of<T>(&self, item: &Spanned<T>) -> usize {
        let before = self.0.as_bytes().get(..item.span().start);
        1 + before.map_or(0, |before| {
            before.iter().filter(|byte| **byte == b'\n').count()
        })
    }
}

fn enum_values(raw: BTreeMap<String, String>) -> Result<BTreeMap<u64, String>, RowProblem> {
    raw.into_iter()
        .map(|(key, name)| {
            match key
                .strip_prefix("0x")
                .map_or_else(|| key.parse(), |hex| u64::from_str_radix(hex, 16))
            {
                Ok(value) => Ok((value, name)),
                Err(_) => Err(RowProblem::BadEnumValue { key }),
            }
        })
        .collect()
}

/// `hooks` of the event itself is its first site.
fn sites(hooks: Vec<String>, sites: Vec<RawSite>) -> Result<Vec<SiteRow>, RowProblem> {
    let own = (!hooks.is_empty()).then(|| RawSite {
        hooks,
        unless: None,
        set: BTreeMap::new(),
        when: None,
    });
    own.into_iter()
        .chain(sites)
        .map(|raw| {
            let hooks = raw
                .hooks
                .iter()
                .map(|text| text.parse())
                .collect::<Result<Vec<_>, _>>()?;
            let unless = raw.unless.map(|text| text.parse()).transpose()?;
            Ok(SiteRow {
                hooks,
                unless,
                set: raw.set,
                when: raw.when,
            })
        })
        .collect()
}

fn binding(text: Spanned<String>, lines: &Lines<'_>) -> Result<BindRow, RowProblem> {
    let line = lines.of(&text);
    let text = text.into_inner();
    let (name, fetch) = match text.split_once('=') {
        Some((name, fetch)) => (name.trim(), Some(fetch.trim())),
        None => (text.trim(), None),
    };
    if check_name(name).is_err() || fetch.is_some_and(str::is_empty) {
        return Err(RowProblem::BadBinding { text });
    }
    Ok(BindRow {
        name: name.to_owned(),
        fetch: fetch.map(str::to_owned),
        line,
    })
}
