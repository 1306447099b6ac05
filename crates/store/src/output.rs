//! Results for people and programs. Invariant: every writer gives the column names even when there are no rows.

use std::io::Write;

use arrow::csv;
use arrow::json::ArrayWriter;
use arrow::record_batch::RecordBatch;
use arrow::util::pretty::pretty_format_batches;

use crate::StoreError;

/// A table with borders.
pub fn write_pretty(batches: &[RecordBatch], out: &mut dyn Write) -> Result<(), StoreError> {
    Ok(writeln!(out, "{}", pretty_format_batches(batches)?).map_err(arrow::error::ArrowError::from)?)
}

/// CSV with a header; bytes in hex.
pub fn write_csv(batches: &[RecordBatch], out: &mut dyn Write) -> Result<(), StoreError> {
    let mut writer = csv::Writer::new(out);
    batches.iter().try_for_each(|batch| writer.write(batch))?;
    Ok(())
}

/// An array of objects; bytes in hex, absent values left out.
pub fn write_json(batches: &[RecordBatch], out: &mut dyn Write) -> Result<(), StoreError> {
    let mut writer = ArrayWriter::new(&mut *out);
    batches.iter().try_for_each(|batch| writer.write(batch))?;
    writer.finish()?;
    Ok(writeln!(out).map_err(arrow::error::ArrowError::from)?)
}
