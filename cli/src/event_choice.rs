//! Which events: the options that `record`, `plan` and `list` share, and what they mean for a kernel.

use std::fs;

use anyhow::{Context as _, Result};
use clap::Args;
use guest_symbols::Kernel;
use guesttrace_events::{EventTable, USER_ID_FIRST};
use plan_compiler::{
    CallSite, Compiled, ContextChoice, ProbeSpec, Selection, StackChoice, Wanted, add_probe,
    compile,
};
use trace_format::Schema;

use crate::modules::ModuleArgs;
use crate::programs::ProgramFiles;
use crate::{Hint, Usage};

/// For a function that the kernel does not have.
const NO_MODULES: Hint = Hint(
    "is it in a module? then pass the modules of the guest's kernel as --modules /lib/modules/RELEASE",
);

/// Events to watch.
#[derive(Clone, Debug, Args)]
pub(crate) struct EventArgs {
    /// Events: names, categories, globs, `core`, `ltt`, `all`, `tracepoint:SYSTEM:NAME` with globs, a file of rows `mine.toml`;
    /// `-NAME` leaves one out
    #[arg(
        long,
        value_name = "SPEC",
        default_value = "core",
        allow_hyphen_values = true
    )]
    pub(crate) events: String,
    /// An event of your own: `[NAME=]FUNCTION[+OFFSET|%return] [FIELD=EXPRESSION]...`, also at FILE.c:LINE or 0xADDRESS;
    /// without fields, all arguments
    #[arg(long, value_name = "PROBE")]
    pub(crate) probe: Vec<String>,
    /// Record call stacks too: `kernel`, `user` or `both`, with all chosen events or, behind `=`, with some: `kernel=sched,irq`
    #[arg(long, value_name = "WHICH[=SPEC]")]
    pub(crate) stack: Vec<StackChoice>,
    /// Record of the running thread too, with all chosen events or, behind `=`, with some: uid, gid, ppid, pgrp, sid, cgroup,
    /// cgroup_id, pid_ns, mnt_ns, net_ns, user_ns, uts_ns, ipc_ns, cgroup_ns: `uid,gid=file_system`
    #[arg(long, value_name = "NAMES[=SPEC]")]
    pub(crate) context: Vec<ContextChoice>,
    /// An event of your own in a program: `[NAME=]PROGRAM:SYMBOL[+OFFSET|%return] [FIELD=EXPRESSION]...`, in every process
    /// that maps the file; without debug information arguments are arg0 to arg5
    #[arg(long, value_name = "UPROBE")]
    pub(crate) uprobe: Vec<String>,
    /// Where their programs are looked for.
    #[arg(skip)]
    pub(crate) program_files: ProgramFiles,
    /// Address that a system call records as `ip`, found by frame pointers: depth:N is the return address N frames up,
    /// range:0xFROM-0xTO the first address there
    #[arg(long, value_name = "WHICH")]
    pub(crate) syscall_ip: Option<CallSite>,
    #[command(flatten)]
    pub(crate) modules: ModuleArgs,
}

impl EventArgs {
    /// Everything that decides what is watched, the contents of files included: for caches.
    pub(crate) fn cache_key(&self) -> Result<String> {
        let mut key = format!(
            "{:?}\n{:?}\n{:?}\n{:?}\n{:?}\n",
            self.events, self.probe, self.syscall_ip, self.stack, self.context
        );
        key += &format!("{:?}\n", self.uprobe);
        key += &self.modules.cache_key();
        for file in Selection::parse(&self.events).files() {
            key += &format!("{:?}\n", read(file)?);
        }
        for program in self.programs(&self.table()?)? {
            key += &format!("{program:?} {}\n", self.program_files.stamp(&program));
        }
        Ok(key)
    }

    /// Names of the events of a plan that were chosen, and are not there for another reason.
    pub(crate) fn chosen(&self, schema: &Schema) -> Result<Vec<String>> {
        let selection = Selection::parse(&self.events);
        let table = self.table()?;
        let rows = selection.rows(&table)?;
        // Probes and tracepoints have no other reason to be there.
        let own = schema
            .events
            .iter()
            .filter(|event| event.id.0 >= USER_ID_FIRST);
        let names = rows.iter().map(|row| &row.name);
        Ok(names.chain(own.map(|event| &event.name)).cloned().collect())
    }

    /// The built-in rows and those of the user's files.
    fn table(&self) -> Result<EventTable> {
        let mut table = EventTable::builtin();
        for file in Selection::parse(&self.events).files() {
            table.add(file, &read(file)?)?;
        }
        Ok(table)
    }

    /// The programs that any probe or row is in.
    fn programs(&self, table: &EventTable) -> Result<Vec<String>> {
        let hooks = table.events().iter().flat_map(|row| &row.sites);
        let hooks = hooks.flat_map(|site| &site.hooks);
        let mut names: Vec<String> = hooks
            .filter_map(|hook| hook.program().map(str::to_owned))
            .collect();
        for text in &self.uprobe {
            let spec = ProbeSpec::parse_in_program(text)?;
            names.extend(spec.program().map(str::to_owned));
        }
        Ok(names)
    }

    /// Compiles the plan for a kernel.
    ///
    /// The kernel is given the modules and programs that are needed for it.
    pub(crate) fn compile(&self, kernel: &mut Kernel) -> Result<Compiled> {
        let mut selection = Selection::parse(&self.events);
        let mut table = self.table()?;
        if let Some(call_site) = self.syscall_ip {
            call_site.apply(&mut table);
        }
        let specs = self.probe.iter().map(|text| ProbeSpec::parse(text));
        let mut specs = specs.collect::<Result<Vec<_>, _>>()?;
        let wanted = Wanted::of(kernel, &table, &selection, &specs);
        self.modules.add_wanted(kernel, &wanted)?;
        let programs = self.programs(&table)?;
        self.program_files.add_to(kernel, &programs)?;
        for text in &self.uprobe {
            specs.push(ProbeSpec::parse_in_program(text)?);
        }
        for spec in specs {
            let name = match add_probe(&mut table, kernel, &spec) {
                Err(error) if self.modules.is_empty() && !wanted.functions().is_empty() => {
                    return Err(error).context(NO_MODULES);
                }
                result => result?,
            };
            selection.add(&name);
        }
        for StackChoice(additions) in &self.stack {
            selection.add_fields(additions.clone());
        }
        for ContextChoice(additions) in &self.context {
            selection.add_fields(additions.clone());
        }
        Ok(compile(kernel, &table, &selection)?)
    }
}

fn read(file: &str) -> Result<String> {
    fs::read_to_string(file).map_err(|error| {
        Usage::new(format!("cannot read the events in {file}: {error}"))
            .hint("is the name right, and may you read it?")
            .into()
    })
}
