//! Bytes of a trace: writer, reader, index, recovery.
//!
//! Input: plain records and a schema. Output: a self-describing file, `FORMAT.md` is its contract.
//! Knows neither QEMU nor Linux.

mod schema;
mod record;
mod header;
mod stats;

pub use header::{
    ClockInfo, ClockMode, CpuIdentity, Exactness, Header, HookCount, KernelInfo, MachineInfo, Trailer,
};
pub use record::{
    BufferFull, FIELD_BYTES_MAX, RECORD_BYTES_MAX, RECORD_HEADER_BYTES, Record, RecordBuffer, RecordEncoder, Records,
};
pub use schema::{EnumSchema, EventId, EventSchema, FIELDS_MAX, FieldKind, FieldSchema, Schema};
pub use stats::{Counter, Severity, Stats};
