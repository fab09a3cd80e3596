//! Bytes of a trace: writer, reader, index, recovery.
//!
//! Input: plain records and a schema. Output: a self-describing file, `FORMAT.md` is its contract.
//! Knows neither QEMU nor Linux.

// In the order in which to read them; rustfmt sorts what has no blank line between.
mod schema;

mod call_stack;
mod record;

mod header;
mod part;
mod stats;

mod block;
mod column;
mod columns;
mod packed;
mod varint;

mod chunk_info;
mod contents;
mod index;
mod symbols;

mod write_error;
mod writer;

mod diagnostic;
mod mapping;
mod recovery;

mod chunk;
mod decode;

mod part_files;
mod reader;
mod verify;
mod volume;

mod growing;
mod tail;

mod cut;
mod merge;
mod plain;
mod salvage;

pub use block::{BlockKind, FORMAT_VERSION};
pub use call_stack::{CUT, addresses, within_function};
pub use chunk::{Chunk, RecordRef, Value};
pub use chunk_info::ChunkInfo;
pub use column::ColumnError;
pub use columns::COLUMN_BYTES_MAX;
pub use cut::{Cut, CutWish, cut};
pub use decode::DECODED_BYTES_MAX;
pub use diagnostic::{Diagnostic, Fault};
pub use growing::{create_growing, is_growing};
pub use header::{
    AbsentEvent, ChunkRule, ClockInfo, ClockMode, END_CONTINUED, END_CUT, Exactness, HandlerCount,
    Header, HookCount, KernelInfo, MachineInfo, ModuleState, ModuleUse, Trailer,
};
pub use mapping::Mapping;
pub use merge::{MergeError, Merged, merge};
pub use part::{CpuPlace, Piece, TscSpan};
pub use part_files::{is_later_part, later_part_files, part_path, partial_path};
pub use reader::{ReadError, TraceFile};
pub use record::{
    BUFFER_BYTES_MAX, BufferFull, FIELD_BYTES_MAX, RECORD_BYTES_MAX, RECORD_HEADER_BYTES, Record,
    RecordBuffer, RecordEncoder, Records,
};
pub use salvage::{END_CUT_OFF, Gap, Salvage, salvage};
pub use schema::{
    EnumSchema, EventId, EventSchema, FIELDS_MAX, FieldKind, FieldSchema, Schema, SchemaError,
};
pub use stats::{Counter, Severity, Stats};
pub use symbols::SymbolTable;
pub use tail::{PackedChunk, Part, Tail};
pub use write_error::WriteError;
pub use writer::{ChunkMeta, JSON_BYTES_MAX, TraceWriter, WriterOptions};
