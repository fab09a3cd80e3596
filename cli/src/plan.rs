//! `guesttrace plan`: what would be watched in a kernel, as people can read it.

use std::io::{self, Write};
use std::process::ExitCode;

use anyhow::Result;
use clap::Args;
use guest_symbols::{Kernel, LinkAddr};
use plan_compiler::{Compiled, Resolution};
use probe_plan::{Field, Op, Output, Program, UserPage};
use serde_json::json;

use crate::Usage;
use crate::console::Console;
use crate::event_choice::EventArgs;
use crate::kernel_image::KernelArgs;
use crate::report::Format;

/// Show what would be watched in a kernel: hooks, addresses, and why others were not taken
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  guesttrace plan --kernel bzImage --events sched,irq -v\n  \
guesttrace plan --kernel bzImage --events 'tracepoint:block:*'\n  \
guesttrace plan --kernel bzImage --events none --probe 'do_filp_open dfd=dfd name=pathname->name' -v"
)]
pub(crate) struct PlanArgs {
    #[command(flatten)]
    kernel: KernelArgs,
    #[command(flatten)]
    events: EventArgs,
    /// Show the programs that fetch the fields
    #[arg(long, short)]
    verbose: bool,
    /// How to write it
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
}

/// Runs the verb.
pub(crate) fn run(args: &PlanArgs, console: &mut Console<'_>) -> Result<ExitCode> {
    if args.format == Format::Csv {
        return Err(Usage::new("a plan is not a table")
            .hint("use --format json")
            .into());
    }
    let mut kernel = args.kernel.load()?;
    let compiled = args.events.compile(&mut kernel)?;
    if args.format == Format::Json {
        for resolution in &compiled.resolutions {
            writeln!(console.out, "{}", object(resolution))?;
        }
        return Ok(ExitCode::SUCCESS);
    }
    let text = PlanText {
        kernel: &kernel,
        compiled: &compiled,
        verbose: args.verbose,
    };
    text.write(console.out)?;
    Ok(ExitCode::SUCCESS)
}

fn object(resolution: &Resolution) -> serde_json::Value {
    let candidates = resolution
        .candidates
        .iter()
        .map(|(hook, result)| match result {
            Ok(addrs) => {
                let addrs = addrs.iter().filter(|_| !is_recorders(hook));
                let addrs: Vec<String> = addrs.map(|addr| format!("{:#x}", addr.0)).collect();
                json!({ "hook": hook, "addresses": addrs })
            }
            Err(reason) => json!({ "hook": hook, "reason": reason }),
        });
    json!({
        "event": resolution.event, "site": resolution.site, "chosen": resolution.chosen,
        "candidates": candidates.collect::<Vec<_>>(), "notes": resolution.notes,
    })
}

struct PlanText<'a> {
    kernel: &'a Kernel,
    compiled: &'a Compiled,
    verbose: bool,
}

impl PlanText<'_> {
    fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let Compiled { plan, resolutions } = self.compiled;
        writeln!(
            out,
            "kernel {} (build id {})",
            plan.kernel.release, plan.kernel.build_id
        )?;
        let found = plan.schema.events.len();
        let places = plan.sites.len();
        writeln!(
            out,
            "{found} events at {places} places with {} programs",
            plan.programs.len()
        )?;
        let mut last = "";
        for resolution in resolutions {
            if resolution.event != last {
                writeln!(out, "\n{}", resolution.event)?;
                last = &resolution.event;
            }
            self.write_resolution(resolution, out)?;
        }
        Ok(())
    }

    fn write_resolution(&self, resolution: &Resolution, out: &mut dyn Write) -> io::Result<()> {
        for (index, (hook, result)) in resolution.candidates.iter().enumerate() {
            let is_chosen = resolution.chosen == Some(index);
            match result {
                Ok(addrs) => {
                    let mark = if is_chosen { '*' } else { ' ' };
                    writeln!(out, "  {mark} {hook}")?;
                    if is_chosen && is_recorders(hook) {
                        writeln!(out, "      made by the recorder itself")?;
                    } else if is_chosen {
                        self.write_places(resolution, hook, addrs, out)?;
                    }
                }
                Err(reason) => writeln!(out, "  - {hook}: {reason}")?,
            }
        }
        for note in &resolution.notes {
            writeln!(out, "    note: {note}")?;
        }
        Ok(())
    }

    fn write_places(
        &self,
        resolution: &Resolution,
        hook: &str,
        addrs: &[probe_plan::LinkAddr],
        out: &mut dyn Write,
    ) -> io::Result<()> {
        let plan = &self.compiled.plan;
        let mut last = None;
        for addr in addrs {
            let shown = addr.0 % UserPage::PROGRAM_BYTES;
            match addr.is_user() {
                // Which program it is stands in the hook.
                true => writeln!(out, "      {shown:#x}")?,
                false => writeln!(out, "      {:#x} {}", addr.0, self.place(addr.0))?,
            }
            let site = plan.sites.iter().find(|site| {
                let of_hook = plan.hooks.get(site.hook as usize);
                site.addr == *addr
                    && of_hook.is_some_and(|of| of.hook == hook && of.event == resolution.event)
            });
            let Some(site) = site.filter(|site| self.verbose && last != Some(site.program)) else {
                continue;
            };
            last = Some(site.program);
            let names = plan
                .schema
                .event(site.event)
                .map(|event| event.fields.as_slice())
                .unwrap_or_default();
            let names: Vec<&str> = names.iter().map(|field| field.name.as_str()).collect();
            if let Some(program) = plan.programs.get(site.program as usize) {
                write_program(program, &names, out)?;
            }
        }
        Ok(())
    }

    /// The function that an address lies in.
    fn place(&self, addr: u64) -> String {
        let view = self.kernel.view_at(LinkAddr(addr));
        let place = match view.symbols().at(LinkAddr(addr)) {
            Some((symbol, 0)) => symbol.name.to_owned(),
            Some((symbol, offset)) => format!("{}+{offset:#x}", symbol.name),
            None => String::new(),
        };
        match view.module() {
            Some(module) => format!("{place} [{}]", module.name()),
            None => place,
        }
    }
}

/// Whether a hook stands for no place in the kernel.
fn is_recorders(hook: &str) -> bool {
    hook.starts_with("recorder:")
}

fn write_program(program: &Program, names: &[&str], out: &mut dyn Write) -> io::Result<()> {
    for (slot, ops) in program.bindings.iter().enumerate() {
        writeln!(out, "        slot {slot} = {}", ops_text(ops))?;
    }
    if let Some(condition) = &program.condition {
        writeln!(out, "        when {}", ops_text(condition))?;
    }
    for (index, Field { ops, output }) in program.fields.iter().enumerate() {
        let name = names.get(index).copied().unwrap_or("?");
        let output = match output {
            Output::Number => String::new(),
            Output::String { space, max } => {
                format!("; string in {space:?} memory, at most {max} bytes")
            }
            Output::Bytes { space, max } => format!("; bytes in {space:?} memory, at most {max}"),
            Output::CallStack { max } => {
                writeln!(out, "        {name} = call stack, at most {max} frames")?;
                continue;
            }
            Output::FramePointers { space, max } => {
                format!("; frame pointers in {space:?} memory, at most {max}")
            }
        };
        writeln!(out, "        {name} = {}{output}", ops_text(ops))?;
    }
    Ok(())
}

/// Steps in the order in which they run, on a stack.
fn ops_text(ops: &[Op]) -> String {
    let texts: Vec<String> = ops
        .iter()
        .map(|op| match op {
            Op::Const(value) if *value < 10 => format!("{value}"),
            Op::Const(value) => format!("{value:#x}"),
            Op::LinkAddr(addr) => format!("image:{addr:#x}"),
            Op::Register(register) => format!("{register:?}").to_lowercase(),
            Op::Slot(slot) => format!("slot{slot}"),
            Op::Load(bytes) => format!("load{}", u32::from(*bytes) * 8),
            other => format!("{other:?}").to_lowercase(),
        })
        .collect();
    if texts.is_empty() {
        "missing".to_owned()
    } else {
        texts.join(" ")
    }
}
