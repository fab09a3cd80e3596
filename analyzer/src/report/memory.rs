//! `memory`: pages that processes took and gave back, what is still taken at the end, page faults, swapping.
//!
//! Whoever runs when pages are taken has them, until they are given back by anybody: pages of the page cache are of the
//! process that read or wrote the file first. What interrupts take is nobody's.

use std::collections::BTreeMap;

use super::largest::largest;
use super::names::Leaders;
use super::needs::{need, with_needs};
use super::options::Options;
use super::pass::{Analysis, Pass, run};
use super::selection::Selection;
use super::table::{Cell, Report, Shape, Table, column};
use crate::model::{
    Cause, CpuId, GuestNanos, KernelEvent, Machine, Moment, Observer, Pages, Pid, pages_of_order,
};
use crate::sources::{Trace, TraceError};

/// Makes the report.
pub(super) fn report(trace: &Trace, options: &Options) -> Result<Report, TraceError> {
    let pass = run(trace, &options.selection, Memory::new(&options.selection))?;
    let needs = [
        need(
            &["mm_page_alloc", "mm_page_free"],
            "who took memory and gave it back is not known",
        ),
        need(
            &["handle_mm_fault"],
            "page faults are missing; `report traps` has those of the processor",
        ),
        need(&["swap_in", "swap_out"], "it is not known what was swapped"),
    ];
    Ok(Report {
        name: "memory",
        tables: vec![
            sum_table(&pass),
            process_table(&pass, options.top),
            order_table(&pass),
        ],
        findings: with_needs(trace, pass.findings, &needs),
    })
}

/// Memory within a selection.
struct Memory {
    selection: Selection,
    pages: Pages<Taken>,
    owners: BTreeMap<Owner, Account>,
    orders: BTreeMap<u64, Account>,
    failed: u64,
}

/// Who has pages. Nobody stands for interrupts.
type Owner = Option<Pid>;

/// A block of pages that is taken.
#[derive(Clone, Copy, Debug)]
struct Taken {
    owner: Owner,
    order: u64,
}

#[derive(Clone, Debug, Default)]
struct Account {
    allocs: u64,
    alloc_pages: u64,
    frees: u64,
    free_pages: u64,
    /// Of the pages that it took, those that are not given back at the end.
    kept_pages: u64,
    faults: u64,
    write_faults: u64,
    swap_ins: u64,
    swap_outs: u64,
}

impl Account {
    fn add(&mut self, other: &Self) {
        self.allocs += other.allocs;
        self.alloc_pages += other.alloc_pages;
        self.frees += other.frees;
        self.free_pages += other.free_pages;
        self.kept_pages += other.kept_pages;
        self.faults += other.faults;
        self.write_faults += other.write_faults;
        self.swap_ins += other.swap_ins;
        self.swap_outs += other.swap_outs;
    }
}

/// `FAULT_FLAG_WRITE` of the kernel.
const FAULT_FLAG_WRITE: u64 = 1;

impl Memory {
    fn new(selection: &Selection) -> Self {
        Self {
            selection: selection.clone(),
            pages: Pages::default(),
            owners: BTreeMap::new(),
            orders: BTreeMap::new(),
            failed: 0,
        }
    }

    fn account(&mut self, owner: Owner) -> &mut Account {
        self.owners.entry(owner).or_default()
    }

    fn alloc(&mut self, owner: Owner, page: Option<u64>, order: u64) {
        let Some(page) = page.filter(|page| *page != 0) else {
            self.failed += 1;
            return;
        };
        self.pages.take(page, order, Taken { owner, order });
        for account in [
            self.owners.entry(owner).or_default(),
            self.orders.entry(order).or_default(),
        ] {
            account.allocs += 1;
            account.alloc_pages += pages_of_order(order);
        }
    }

    fn free(&mut self, owner: Owner, order: u64) {
        for account in [
            self.owners.entry(owner).or_default(),
            self.orders.entry(order).or_default(),
        ] {
            account.frees += 1;
            account.free_pages += pages_of_order(order);
        }
    }

    /// The accounts of owners and of orders, with what is still taken.
    fn with_kept(&self) -> (BTreeMap<Owner, Account>, BTreeMap<u64, Account>) {
        let (mut owners, mut orders) = (self.owners.clone(), self.orders.clone());
        for (taken, pages) in self.pages.taken() {
            owners.entry(taken.owner).or_default().kept_pages += pages;
            orders.entry(taken.order).or_default().kept_pages += pages;
        }
        (owners, orders)
    }
}

fn owner(machine: &Machine, cpu: CpuId) -> Owner {
    match machine.acting(cpu) {
        Cause::Thread(thread) => Some(machine.threads()[thread].process()),
        _ => None,
    }
}

impl Analysis for Memory {}

impl Observer for Memory {
    fn event(&mut self, machine: &Machine, moment: Moment, event: &KernelEvent<'_>) {
        use KernelEvent as E;
        // Whoever gives a page back, it is free.
        if let E::MmPageFree(free) = event
            && let Some(page) = free.page
        {
            self.pages.give_back(page, free.order);
        }
        let is_memory = matches!(
            event,
            E::MmPageAlloc(_)
                | E::MmPageFree(_)
                | E::HandleMmFault(_)
                | E::SwapIn(_)
                | E::SwapOut(_)
        );
        if !is_memory || !self.selection.has_moment(machine, moment) {
            return;
        }
        let owner = owner(machine, moment.cpu);
        match event {
            E::MmPageAlloc(alloc) => self.alloc(owner, alloc.page, alloc.order),
            E::MmPageFree(free) => self.free(owner, free.order),
            E::HandleMmFault(fault) => {
                let account = self.account(owner);
                account.faults += 1;
                let is_write = fault
                    .flags
                    .is_some_and(|flags| flags & FAULT_FLAG_WRITE != 0);
                account.write_faults += u64::from(is_write);
            }
            E::SwapIn(_) => self.account(owner).swap_ins += 1,
            E::SwapOut(_) => self.account(owner).swap_outs += 1,
            _ => {}
        }
    }

    fn lost(&mut self, _machine: &Machine, _cpu: CpuId, _at: GuestNanos) {
        // What was given back meanwhile would look as if it were kept.
        self.pages = Pages::default();
    }
}

fn sum_table(pass: &Pass<Memory>) -> Table {
    let (owners, _) = pass.analysis.with_kept();
    let mut sum = Account::default();
    owners.values().for_each(|account| sum.add(account));
    Table {
        name: "sums",
        title: "Memory (pages of 4 KiB)".to_owned(),
        shape: Shape::Record,
        columns: vec![
            column("allocs", "Allocations"),
            column("alloc_pages", "Pages taken"),
            column("failed", "Allocations that failed"),
            column("frees", "Frees"),
            column("free_pages", "Pages given back"),
            column("kept_pages", "Taken and not given back"),
            column("faults", "Page faults"),
            column("swap_ins", "Pages swapped in"),
            column("swap_outs", "Pages swapped out"),
        ],
        rows: vec![vec![
            Cell::Count(sum.allocs),
            Cell::Count(sum.alloc_pages),
            Cell::Count(pass.analysis.failed),
            Cell::Count(sum.frees),
            Cell::Count(sum.free_pages),
            Cell::Count(sum.kept_pages),
            Cell::Count(sum.faults),
            Cell::Count(sum.swap_ins),
            Cell::Count(sum.swap_outs),
        ]],
    }
}

fn process_table(pass: &Pass<Memory>, top: usize) -> Table {
    let leaders = Leaders::new(&pass.machine);
    let (owners, _) = pass.analysis.with_kept();
    let owners = largest(&owners, top, |account| {
        (account.kept_pages, account.alloc_pages, account.faults)
    });
    let rows = owners.rows(|owner, account| {
        let name = owner.map_or_else(
            || "(interrupts)".to_owned(),
            |pid| leaders.name(&pass.machine, pid),
        );
        vec![
            Cell::Text(name),
            Cell::count_or_absent(owner.map(|pid| u64::from(pid.0))),
            Cell::Count(account.kept_pages),
            Cell::Count(account.allocs),
            Cell::Count(account.alloc_pages),
            Cell::Count(account.frees),
            Cell::Count(account.free_pages),
            Cell::Count(account.faults),
            Cell::Count(account.write_faults),
            Cell::Count(account.swap_ins),
            Cell::Count(account.swap_outs),
        ]
    });
    let what = "Processes by the pages that they took and nobody gave back; what they took, what they gave back of \
        anybody's, page faults and of these writes, pages swapped in and out";
    Table {
        name: "processes",
        title: what.to_owned(),
        shape: owners.shape(),
        columns: vec![
            column("comm", "Process"),
            column("pid", "PID"),
            column("kept_pages", "Kept"),
            column("allocs", "Taken"),
            column("alloc_pages", "Pages"),
            column("frees", "Given back"),
            column("free_pages", "Pages"),
            column("faults", "Faults"),
            column("write_faults", "Writes"),
            column("swap_ins", "In"),
            column("swap_outs", "Out"),
        ],
        rows,
    }
}

fn order_table(pass: &Pass<Memory>) -> Table {
    let (_, orders) = pass.analysis.with_kept();
    let rows = orders.iter().map(|(order, account)| {
        vec![
            Cell::Count(*order),
            Cell::Count(account.allocs),
            Cell::Count(account.frees),
            Cell::Count(account.kept_pages),
        ]
    });
    Table {
        name: "orders",
        title: "Blocks by order: 2 to the power of it is how many pages follow each other; a block may be given back in \
            parts"
            .to_owned(),
        shape: Shape::Rows,
        columns: vec![
            column("order", "Order"),
            column("allocs", "Taken"),
            column("frees", "Given back"),
            column("kept_pages", "Pages kept"),
        ],
        rows: rows.collect(),
    }
}
