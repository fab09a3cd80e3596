//! Programs of user space in a plan: where their addresses go, what their pages hold, and how it is known that one of
//! their instructions executes again.

use std::collections::BTreeSet;

use guest_symbols::Kernel;
use guesttrace_events::{FieldType, Hook};
use probe_plan::{LinkAddr, Op, Pairing, Plan, Program, Retry, Site, UserPage};

use crate::expression::parse;
use crate::hook::{HookSite, resolve};
use crate::site::Probe;
use crate::typed::Compiler;

/// `arch/x86/mm/fault.c`, since 5.8: takes every page fault, with the interrupted registers as its first argument.
const FAULT: &str = "exc_page_fault";
const FAULTING: [&str; 2] = ["regs->ip", "regs->sp"];

/// Adds a program's base to what was compiled for it, and makes its addresses relative to the places that use them.
pub(crate) fn place(
    kernel: &Kernel,
    program: &str,
    probes: &mut [Probe],
    pairing: Option<&mut Pairing>,
) {
    let base = base(kernel, program);
    let compiled = probes
        .iter_mut()
        .map(|probe| (&mut probe.addr, &mut probe.program));
    let entering = pairing.map(|pairing| &mut pairing.entering);
    let entering = entering.map(|entering| (&mut entering.addr, &mut entering.program));
    for (addr, program) in compiled.chain(entering) {
        let fields = program.fields.iter_mut().map(|field| &mut field.ops);
        let parts = program.bindings.iter_mut().chain(&mut program.condition);
        for op in parts.chain(fields).flatten() {
            if let Op::LinkAddr(target) = *op
                && LinkAddr(target).is_user()
            {
                *op = Op::FromProbe(target.wrapping_sub(addr.0));
            }
        }
        addr.0 += base;
    }
}

fn base(kernel: &Kernel, program: &str) -> u64 {
    let mut names = kernel.program_names();
    let number = names.position(|name| name == program).unwrap_or(0) as u64;
    (number + 1) * UserPage::PROGRAM_BYTES
}

/// What a plan has for places in programs; nothing where there are none.
pub(crate) fn user_space(kernel: &Kernel, sites: &[Site], pairings: &[Pairing]) -> Plan {
    let user_pages = pages(kernel, sites, pairings);
    Plan {
        retries: match user_pages.as_slice() {
            [] => Vec::new(),
            _ => retries(kernel),
        },
        user_pages,
        ..Plan::default()
    }
}

/// The pages of programs that sites and pairings are in.
fn pages(kernel: &Kernel, sites: &[Site], pairings: &[Pairing]) -> Vec<UserPage> {
    let entering = pairings.iter().map(|pairing| pairing.entering.addr);
    let addrs = sites.iter().map(|site| site.addr).chain(entering);
    let starts: BTreeSet<u64> = addrs
        .filter(|addr| addr.is_user())
        .map(|addr| addr.0 & !(UserPage::BYTES as u64 - 1))
        .collect();
    let programs: Vec<&str> = kernel.program_names().collect();
    let page = |start: u64| {
        let number = usize::try_from(start / UserPage::PROGRAM_BYTES).ok()?;
        let name = programs.get(number.checked_sub(1)?)?;
        let program = kernel.program_view(name)?.program()?;
        let addr = guest_symbols::LinkAddr(start % UserPage::PROGRAM_BYTES);
        Some(UserPage {
            addr: LinkAddr(start),
            bytes: program.page(addr)?.to_vec(),
        })
    };
    starts.into_iter().filter_map(page).collect()
}

/// Where the kernel takes page faults.
fn retries(kernel: &Kernel) -> Vec<Retry> {
    let hook = Hook::Entry {
        function: FAULT.to_owned(),
        offset: 0,
    };
    let sites = resolve(kernel, &hook).map_or_else(|_| Vec::new(), |found| found.sites);
    let retry = |site: HookSite| {
        let mut compiler = Compiler::new(kernel, &site.scope, &[]);
        let field = |text| compiler.field(&parse(text).ok()?, &FieldType::Hex).ok();
        let fields = FAULTING.into_iter().map(field).collect::<Option<_>>()?;
        Some(Retry {
            addr: site.addr,
            program: Program {
                bindings: compiler.into_slots(),
                condition: None,
                fields,
            },
        })
    };
    sites.into_iter().filter_map(retry).collect()
}
