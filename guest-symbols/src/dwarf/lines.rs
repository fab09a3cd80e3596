//! Which line of the source an address comes from, and back.

use std::collections::BTreeSet;
use std::sync::{Arc, OnceLock};

use gimli::constants as dw;
use rayon::prelude::*;

use super::DebugSections;
use super::sections::{Dwarf, Slice, Unit, owned};
use crate::LinkAddr;

/// A place in the source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceLine {
    /// The file as the compiler was given it, without `./` and `../`: `kernel/sched/core.c`.
    pub file: String,
    /// Line, from 1.
    pub line: u64,
    /// Column, from 1; 0 when not known.
    pub column: u64,
}

/// The line tables of a vmlinux, read unit by unit as they are asked for.
#[derive(Debug)]
pub(crate) struct Lines {
    sections: Arc<DebugSections>,
    /// First and last address and unit of each piece of code, by address.
    ranges: Vec<(u64, u64, usize)>,
    rows: Vec<OnceLock<Vec<Row>>>,
}

#[derive(Clone, Copy, Debug)]
struct Row {
    start: u64,
    end: u64,
    file: u64,
    line: u64,
    column: u64,
    is_statement: bool,
}

impl Lines {
    pub(crate) fn open(sections: Arc<DebugSections>) -> Self {
        let dwarf = sections.dwarf();
        let mut ranges: Vec<_> = (0..sections.unit_count())
            .into_par_iter()
            .flat_map_iter(|number| unit_ranges(&sections, &dwarf, number).unwrap_or_default())
            .collect();
        ranges.sort_unstable();
        let rows = (0..sections.unit_count())
            .map(|_| OnceLock::new())
            .collect();
        drop(dwarf);
        Self {
            sections,
            ranges,
            rows,
        }
    }

    /// The number of the unit that an address belongs to.
    pub(crate) fn unit_at(&self, addr: LinkAddr) -> Option<usize> {
        let after = self.ranges.partition_point(|(start, ..)| *start <= addr.0);
        let &(_, end, number) = self.ranges.get(after.checked_sub(1)?)?;
        (addr.0 < end).then_some(number)
    }

    /// The line that the instruction at an address comes from.
    pub(crate) fn at(&self, addr: LinkAddr) -> Option<SourceLine> {
        let number = self.unit_at(addr)?;
        let dwarf = self.sections.dwarf();
        let unit = self.sections.unit(&dwarf, number)?;
        let rows = self
            .rows
            .get(number)?
            .get_or_init(|| rows(&unit).unwrap_or_default());
        let row = rows.get(
            rows.partition_point(|row| row.start <= addr.0)
                .checked_sub(1)?,
        )?;
        let file = Files {
            dwarf: &dwarf,
            unit: &unit,
        }
        .path(row.file)?;
        (addr.0 < row.end && row.line > 0).then_some(SourceLine {
            file,
            line: row.line,
            column: row.column,
        })
    }

    /// Where the statements of a line start; `file` is a path or the end of one.
    pub(crate) fn addresses(&self, file: &str, line: u64) -> Vec<LinkAddr> {
        let found: BTreeSet<LinkAddr> = (0..self.sections.unit_count())
            .into_par_iter()
            .flat_map_iter(|number| self.addresses_in(number, file, line).unwrap_or_default())
            .collect();
        found.into_iter().collect()
    }

    fn addresses_in(&self, number: usize, file: &str, line: u64) -> Option<Vec<LinkAddr>> {
        let dwarf = self.sections.dwarf();
        let unit = self.sections.unit(&dwarf, number)?;
        let files = Files {
            dwarf: &dwarf,
            unit: &unit,
        }
        .ending_with(file);
        if files.is_empty() {
            return None;
        }
        let rows = self
            .rows
            .get(number)?
            .get_or_init(|| rows(&unit).unwrap_or_default());
        let mut out = Vec::new();
        let mut last = None;
        for row in rows {
            let here = row.line == line && files.contains(&row.file);
            // Rows of one line in a row are one statement, so only where it begins counts.
            if here && row.is_statement && last != Some(row.start) {
                out.push(LinkAddr(row.start));
            }
            last = here.then_some(row.end);
        }
        Some(out)
    }
}

fn unit_ranges<'a>(
    sections: &'a DebugSections,
    dwarf: &Dwarf<'a>,
    number: usize,
) -> Option<Vec<(u64, u64, usize)>> {
    let unit = sections.unit(dwarf, number)?;
    let root = unit
        .entry(gimli::UnitOffset(unit.header.size_of_header()))
        .ok()?;
    let attribute = |name| root.attr_value(name).ok().flatten();
    let mut out = Vec::new();
    let mut add = |start: u64, end: u64| {
        // What the linker dropped starts at 0.
        if start > 0 && start < end {
            out.push((start, end, number));
        }
    };
    if let Some(list) = attribute(dw::DW_AT_ranges) {
        let mut ranges = dwarf.attr_ranges(&unit, list).ok()??;
        while let Ok(Some(range)) = ranges.next() {
            add(range.begin, range.end);
        }
    } else {
        // Not left to gimli, whose sum of both may overflow.
        let start = dwarf
            .attr_address(&unit, attribute(dw::DW_AT_low_pc)?)
            .ok()??;
        let high = attribute(dw::DW_AT_high_pc)?;
        let end = match dwarf.attr_address(&unit, high).ok()? {
            Some(end) => end,
            None => start.checked_add(high.udata_value()?)?,
        };
        add(start, end);
    }
    Some(out)
}

/// Runs a unit's line program.
fn rows(unit: &Unit<'_>) -> Option<Vec<Row>> {
    let mut program = unit.line_program.clone()?.rows();
    let mut out: Vec<Row> = Vec::new();
    let mut open: Option<Row> = None;
    while let Ok(Some((_, row))) = program.next_row() {
        if let Some(last) = open.take() {
            // Several lines may begin at one address: the last one has the code, the others only begin there.
            let end = row.address().max(last.start);
            if end > last.start || last.is_statement {
                out.push(Row { end, ..last });
            }
        }
        if !row.end_sequence() {
            open = Some(Row {
                start: row.address(),
                end: row.address(),
                file: row.file_index(),
                line: row.line().map_or(0, std::num::NonZero::get),
                column: match row.column() {
                    gimli::ColumnType::LeftEdge => 0,
                    gimli::ColumnType::Column(column) => column.get(),
                },
                is_statement: row.is_stmt(),
            });
        }
    }
    out.sort_by_key(|row| row.start);
    Some(out)
}

/// The files that a unit's line program names.
struct Files<'f, 'a> {
    dwarf: &'f Dwarf<'a>,
    unit: &'f Unit<'a>,
}

impl Files<'_, '_> {
    fn path(&self, index: u64) -> Option<String> {
        let header = self.unit.line_program.as_ref()?.header();
        let file = header.file(index)?;
        let text = |value: gimli::AttributeValue<Slice<'_>>| match self
            .dwarf
            .attr_string(self.unit, value)
        {
            Ok(text) => owned(text.slice()),
            Err(_) => String::new(),
        };
        let name = text(file.path_name());
        let directory = file
            .directory(header)
            .map(text)
            .filter(|_| !name.starts_with('/'));
        Some(clean(&directory.unwrap_or_default(), &name))
    }

    fn ending_with(&self, path: &str) -> Vec<u64> {
        let count = self
            .unit
            .line_program
            .as_ref()
            .map_or(0, |program| program.header().file_names().len() as u64);
        (0..=count)
            .filter(|index| self.path(*index).is_some_and(|it| is_end_of(path, &it)))
            .collect()
    }
}

/// Says whether `end` is the whole path or follows a slash in it.
fn is_end_of(end: &str, path: &str) -> bool {
    path.strip_suffix(end)
        .is_some_and(|rest| rest.is_empty() || rest.ends_with('/') || end.starts_with('/'))
}

/// Joins a directory and a name; drops `.` and resolves `..`.
fn clean(directory: &str, name: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in directory.split('/').chain(name.split('/')) {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let root = if directory.starts_with('/') || name.starts_with('/') {
        "/"
    } else {
        ""
    };
    format!("{root}{}", parts.join("/"))
}
