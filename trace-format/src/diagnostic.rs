//! What is wrong with a trace file that can be read all the same.

use thiserror::Error;

use crate::block::BlockKind;
use crate::column::ColumnError;
use crate::schema::SchemaError;
use crate::stats::Severity;

/// One finding.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Diagnostic {
    /// The recorder is still writing, or was killed.
    #[error(
        "the file has no end: the recording was cut or still goes on; its last whole block ends at {end:#x}"
    )]
    Unfinished {
        /// End of the last whole block.
        end: u64,
    },
    /// The file was cut behind its trailer.
    #[error("the file is cut after its trailer, at {end:#x}: nothing is missing but the index")]
    IndexMissing {
        /// End of the last whole block.
        end: u64,
    },
    /// The last block is not whole.
    #[error("the block at {offset:#x} is cut: {present} of its {expected} bytes are there")]
    Torn {
        /// Place of the block.
        offset: u64,
        /// Bytes of it in the file.
        present: u64,
        /// Bytes that it must have.
        expected: u64,
    },
    /// There is no block where one must be.
    #[error("{bytes} bytes at {offset:#x} are not a block; they were skipped")]
    NotABlock {
        /// First of the bytes.
        offset: u64,
        /// How many.
        bytes: u64,
    },
    /// The header of a block is damaged, and with it the block is lost.
    #[error("the block at {offset:#x} is damaged: its header does not fit its checksum")]
    BlockHeader {
        /// Place of the block.
        offset: u64,
    },
    /// A block is damaged; it was skipped.
    #[error(
        "block {kind} at {offset:#x} is damaged: its checksum is {found:#010x}, not {expected:#010x}"
    )]
    Checksum {
        /// Place of the block.
        offset: u64,
        /// What it held.
        kind: BlockKind,
        /// Checksum in its header.
        expected: u32,
        /// Checksum of its bytes.
        found: u32,
    },
    /// A block has the right checksum but no sense; it was skipped.
    #[error("block {kind} at {offset:#x} cannot be read: {fault}")]
    Invalid {
        /// Place of the block.
        offset: u64,
        /// What it holds.
        kind: BlockKind,
        /// Why.
        fault: Fault,
    },
    /// A newer recorder wrote a block that this version does not know; it was skipped.
    #[error("block {kind} at {offset:#x} is of a kind that this version does not know")]
    UnknownBlock {
        /// Place of the block.
        offset: u64,
        /// Its kind.
        kind: BlockKind,
    },
    /// The header is damaged; its copy was read.
    #[error("the header is damaged; its copy at {offset:#x} was used")]
    HeaderCopyUsed {
        /// Place of the copy.
        offset: u64,
    },
    /// Chunks of a CPU are missing.
    #[error("CPU {cpu}: {missing} chunks are missing before the one at {offset:#x}")]
    MissingChunks {
        /// The CPU.
        cpu: u32,
        /// Number of chunks.
        missing: u64,
        /// Place of the chunk after the gap.
        offset: u64,
    },
    /// A chunk begins before the one before it ends.
    #[error("CPU {cpu}: the chunk at {offset:#x} begins before the one before it ends")]
    Backwards {
        /// The CPU.
        cpu: u32,
        /// Place of the later chunk.
        offset: u64,
    },
    /// A block is where none of its kind may be.
    #[error("block {kind} at {offset:#x} is out of its place")]
    Order {
        /// Place of the block.
        offset: u64,
        /// Its kind.
        kind: BlockKind,
    },
    /// The trailer counts something else than the file has.
    #[error("the trailer says {counter} {told}, but the chunks have {found}")]
    Count {
        /// Name of the counter.
        counter: &'static str,
        /// What the trailer says.
        told: u64,
        /// What there is.
        found: u64,
    },
    /// A file of the recording is not there.
    #[error("file {number} of the recording is missing, and what happened then is not known")]
    FileMissing {
        /// Which: the first is 0.
        number: u32,
    },
    /// A file beside the first has the name of a later one, but is of another recording.
    #[error("file {number} of the recording does not follow those before it; it was left out")]
    FileForeign {
        /// Which.
        number: u32,
    },
    /// A file of the recording cannot be read.
    #[error("file {number} of the recording cannot be read: {reason}")]
    FileUnreadable {
        /// Which.
        number: u32,
        /// Why.
        reason: String,
    },
    /// A finding in a later file of the recording.
    #[error("file {number} of the recording: {finding}")]
    InFile {
        /// Which.
        number: u32,
        /// What.
        finding: Box<Diagnostic>,
    },
    /// There are more findings than anyone reads.
    #[error("{count} more findings")]
    More {
        /// How many.
        count: u64,
    },
}

/// What makes no sense in a block with the right checksum.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Fault {
    /// It is not what another block said is there.
    #[error("another kind of block was expected")]
    Kind,
    /// Its payload is too short, or its numbers contradict each other.
    #[error("its numbers contradict each other")]
    Numbers,
    /// It is not what the index says.
    #[error("it is not the chunk that the index describes")]
    Index,
    /// A chunk comes again, or behind a later one.
    #[error("a chunk with its sequence number, or a later one, came before")]
    Sequence,
    /// Its records are earlier than what was said to be complete.
    #[error("it has records from before a time up to which all was said to be there")]
    Late,
    /// The index leaves out something that it holds.
    #[error("the index does not list all that it holds")]
    Contents,
    /// It repeats an event that does not stay true.
    #[error("it repeats an event that is not sticky")]
    Repetition,
    /// It is not what it is a copy of.
    #[error("it is not what it is a copy of")]
    Copy,
    /// It belongs to another recording than the header.
    #[error("it belongs to another recording")]
    Foreign,
    /// It is larger than a reader may accept.
    #[error("it has {bytes} bytes, at most {max} are possible")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        max: u64,
    },
    /// zstd refuses it, or it has another size than it says.
    #[error("its compressed data is broken")]
    Compression,
    /// Its columns are not right.
    #[error(transparent)]
    Columns(#[from] ColumnError),
    /// It is not the JSON that was expected.
    #[error("{0}")]
    Json(String),
    /// Its schema breaks a rule.
    #[error(transparent)]
    Schema(#[from] SchemaError),
}

/// Most findings that are kept: a hostile file can have one in every twenty bytes.
const KEPT_MAX: usize = 1000;

/// Findings in the order in which they were made.
#[derive(Debug, Default)]
pub(crate) struct Diagnostics {
    list: Vec<Diagnostic>,
    more: u64,
}

impl Diagnostics {
    pub(crate) fn push(&mut self, item: Diagnostic) {
        if self.list.len() < KEPT_MAX {
            self.list.push(item);
        } else {
            self.more += 1;
        }
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Adds a finding unless it is already there.
    pub(crate) fn push_new(&mut self, item: Diagnostic) {
        if !self.list.contains(&item) {
            self.push(item);
        }
    }

    pub(crate) fn into_list(mut self) -> Vec<Diagnostic> {
        if self.more > 0 {
            self.list.push(Diagnostic::More { count: self.more });
        }
        self.list
    }
}

impl Diagnostic {
    /// The finding in the file of that number; the first goes without saying.
    pub(crate) fn in_file(self, number: u32) -> Self {
        match self {
            finding @ Self::InFile { .. } => finding,
            finding if number == 0 => finding,
            finding => Self::InFile {
                number,
                finding: Box::new(finding),
            },
        }
    }

    /// How bad it is.
    #[must_use]
    pub fn severity(&self) -> Severity {
        match self {
            Self::UnknownBlock { .. } => Severity::Info,
            Self::HeaderCopyUsed { .. } | Self::IndexMissing { .. } => Severity::Notice,
            Self::Checksum { kind, .. } | Self::Invalid { kind, .. }
                if [BlockKind::INDEX, BlockKind::HEADER_COPY, BlockKind::END].contains(kind) =>
            {
                Severity::Notice
            }
            Self::InFile { finding, .. } => finding.severity(),
            Self::Unfinished { .. }
            | Self::Backwards { .. }
            | Self::Order { .. }
            | Self::Count { .. }
            | Self::FileMissing { .. }
            | Self::FileForeign { .. }
            | Self::FileUnreadable { .. }
            | Self::Torn { .. }
            | Self::NotABlock { .. }
            | Self::BlockHeader { .. }
            | Self::Checksum { .. }
            | Self::Invalid { .. }
            | Self::MissingChunks { .. }
            | Self::More { .. } => Severity::DataLoss,
        }
    }
}
