//! A suite as its file has it.

use std::ops::Range;

use serde::Deserialize;
use toml::Spanned;

use crate::fault::Problem;

/// The file.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawSuite {
    pub(crate) images: Option<String>,
    pub(crate) defaults: RawRun,
    pub(crate) run: Vec<Spanned<RawRun>>,
}

/// A run, or the defaults of all.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawRun {
    pub(crate) name: Option<String>,
    pub(crate) matrix: Option<RawMatrix>,
    pub(crate) kernel: Option<String>,
    pub(crate) vmlinux: Option<String>,
    pub(crate) image: Option<String>,
    pub(crate) initrd: Option<String>,
    pub(crate) rootfs: Option<String>,
    pub(crate) disk: Option<String>,
    pub(crate) boot: Option<String>,
    pub(crate) workload: Option<String>,
    pub(crate) events: Option<String>,
    pub(crate) smp: Option<u32>,
    pub(crate) memory: Option<u64>,
    pub(crate) append: Option<String>,
    pub(crate) options: Vec<String>,
    pub(crate) timeout: Option<String>,
    pub(crate) status: Option<i32>,
    pub(crate) same: Option<u32>,
    pub(crate) golden: Option<String>,
    pub(crate) compare: Option<String>,
    pub(crate) max_guest: Option<String>,
    pub(crate) max_wall: Option<String>,
    pub(crate) rules: Vec<String>,
    pub(crate) count: Vec<Spanned<toml::Table>>,
    pub(crate) never: Vec<Spanned<toml::Table>>,
    pub(crate) order: Vec<Spanned<toml::Table>>,
    pub(crate) latency: Vec<Spanned<toml::Table>>,
    pub(crate) state: Vec<Spanned<toml::Table>>,
    pub(crate) report: Vec<Spanned<toml::Table>>,
}

/// What a run is done with, each with each.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RawMatrix {
    pub(crate) kernel: Vec<String>,
    pub(crate) image: Vec<String>,
    pub(crate) workload: Vec<String>,
    pub(crate) events: Vec<String>,
    pub(crate) smp: Vec<u32>,
}

impl RawSuite {
    /// Reads the text; the line of an error goes with it.
    pub(crate) fn parse(text: &str) -> Result<Self, (usize, Problem)> {
        toml::from_str(text).map_err(|error| {
            let span = error.span().unwrap_or(0..0);
            let line = line_at(text, &span);
            let found = text.lines().nth(line - 1).unwrap_or("").trim();
            let problem = Problem::Syntax {
                message: error.message().replace('\n', ", "),
                found: found.chars().take(FOUND_MAX).collect(),
            };
            (line, problem)
        })
    }
}

/// Characters of a wrong line that are shown.
const FOUND_MAX: usize = 80;

impl RawRun {
    /// With what the defaults have and it has not; options, files of rules and rules are those of both.
    pub(crate) fn over(self, defaults: &Self) -> Self {
        let or = |own: Option<String>, of: &Option<String>| own.or_else(|| of.clone());
        let both = |of: &[String], own: Vec<String>| [of, &own].concat();
        let rules =
            |of: &[Spanned<toml::Table>], own: Vec<Spanned<toml::Table>>| [of, &own].concat();
        Self {
            name: self.name,
            matrix: self.matrix,
            kernel: or(self.kernel, &defaults.kernel),
            vmlinux: or(self.vmlinux, &defaults.vmlinux),
            image: or(self.image, &defaults.image),
            initrd: or(self.initrd, &defaults.initrd),
            rootfs: or(self.rootfs, &defaults.rootfs),
            disk: or(self.disk, &defaults.disk),
            boot: or(self.boot, &defaults.boot),
            workload: or(self.workload, &defaults.workload),
            events: or(self.events, &defaults.events),
            smp: self.smp.or(defaults.smp),
            memory: self.memory.or(defaults.memory),
            append: or(self.append, &defaults.append),
            options: both(&defaults.options, self.options),
            timeout: or(self.timeout, &defaults.timeout),
            status: self.status.or(defaults.status),
            same: self.same.or(defaults.same),
            golden: or(self.golden, &defaults.golden),
            compare: or(self.compare, &defaults.compare),
            max_guest: or(self.max_guest, &defaults.max_guest),
            max_wall: or(self.max_wall, &defaults.max_wall),
            rules: both(&defaults.rules, self.rules),
            count: rules(&defaults.count, self.count),
            never: rules(&defaults.never, self.never),
            order: rules(&defaults.order, self.order),
            latency: rules(&defaults.latency, self.latency),
            state: rules(&defaults.state, self.state),
            report: rules(&defaults.report, self.report),
        }
    }
}

/// The line of a place in a text, from 1.
pub(crate) fn line_at(text: &str, span: &Range<usize>) -> usize {
    let before = text.as_bytes().get(..span.start).unwrap_or(text.as_bytes());
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}
