//! Makes a large trace: the chunks of a trace again and again, each time later.
//!
//! `cargo run --release -p trace-format --example large -- TRACE OUT MIB`. For figures of opening and reading only: the
//! guest lives through the same time over and over.

use std::error::Error;
use std::fs::File;
use std::io::BufWriter;

use trace_format::{
    ChunkMeta, RecordBuffer, TraceFile, TraceWriter, Trailer, Value, WriterOptions,
};

/// Bytes of the buffers that chunks are made from.
const BUFFER_BYTES: usize = 1 << 20;

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, source, out, mib] = &arguments[..] else {
        return Err("usage: large TRACE OUT MIB".into());
    };
    let (file, bytes_max) = (TraceFile::open(source)?, mib.parse::<u64>()? << 20);
    let options = WriterOptions {
        compression_level: 1,
    };
    let out = BufWriter::new(File::create(out)?);
    let mut writer = TraceWriter::new(out, file.header(), options)?;
    let table = file.symbols();
    writer.write_symbols(table.kernel_slide.unwrap_or(0), &table.symbols)?;
    let last = file.chunks().iter().map(|chunk| chunk.last_tsc).max();
    let length = last.unwrap_or(0).saturating_sub(file.origin_tsc()) + 1000;
    let mut buffer = RecordBuffer::new(BUFFER_BYTES);
    let mut shift = 0;
    while writer.bytes_written() < bytes_max {
        for index in 0..file.chunks().len() {
            let chunk = file.read_chunk(index)?;
            let meta = ChunkMeta {
                cpu: chunk.info().cpu,
                lost_before: 0,
            };
            buffer.clear();
            let schema = &file.header().schema;
            for record in chunk.records() {
                if buffer.begin(record.tsc() + shift, record.event()).is_err() {
                    writer.write_chunk(&meta, &buffer, |stamp| stamp)?;
                    buffer.clear();
                }
                let Ok(mut encoder) = buffer.begin(record.tsc() + shift, record.event()) else {
                    continue;
                };
                let fields = schema
                    .event(record.event())
                    .map_or(&[][..], |event| &event.fields);
                for (position, field) in fields.iter().enumerate() {
                    match record.field(position) {
                        Value::Number(number) => encoder.push_number(number),
                        Value::Bytes(bytes) => encoder.push_bytes(bytes),
                        Value::Missing if field.kind.is_bytes() => encoder.push_missing_bytes(),
                        Value::Missing => encoder.push_missing_number(),
                    }
                }
                encoder.finish();
            }
            writer.write_chunk(&meta, &buffer, |stamp| stamp)?;
        }
        shift += length;
    }
    writer.finish(&Trailer {
        end_reason: "power_off".to_owned(),
        kernel_slide: table.kernel_slide,
        ..Trailer::default()
    })?;
    Ok(())
}
