//! Results for people and programs, piece by piece. Invariant: every format gives the column names even when there are no rows, but for
//! JSON, whose rows carry them.

use arrow::array::RecordBatch;
use arrow::csv;
use arrow::datatypes::SchemaRef;
use arrow::ipc::writer::StreamWriter;
use arrow::json::ArrayWriter;
use arrow::util::pretty::pretty_format_batches;

use crate::StoreError;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// An Arrow IPC stream.
    Arrow,
    /// With a header; bytes in hex.
    Csv,
    /// An array of objects; bytes in hex, absent values left out.
    Json,
    /// A table with borders, for people: all of it is held until the end.
    Pretty,
}

/// Turns the batches of one result into bytes.
pub struct Encoder {
    schema: SchemaRef,
    kind: Kind,
}

enum Kind {
    Arrow(Box<StreamWriter<Vec<u8>>>),
    Csv { begun: bool },
    Json(ArrayWriter<Vec<u8>>),
    Pretty(Vec<RecordBatch>),
}

impl Encoder {
    pub fn new(format: Format, schema: SchemaRef) -> Result<Encoder, StoreError> {
        let kind = match format {
            Format::Arrow => Kind::Arrow(Box::new(StreamWriter::try_new(Vec::new(), &schema)?)),
            Format::Csv => Kind::Csv { begun: false },
            Format::Json => Kind::Json(ArrayWriter::new(Vec::new())),
            Format::Pretty => Kind::Pretty(Vec::new()),
        };
        Ok(Encoder { schema, kind })
    }

    /// The bytes that may go out now.
    pub fn push(&mut self, batch: RecordBatch) -> Result<Vec<u8>, StoreError> {
        match &mut self.kind {
            Kind::Arrow(writer) => {
                writer.write(&batch)?;
                Ok(std::mem::take(writer.get_mut()))
            }
            Kind::Csv { begun } => {
                let mut bytes = Vec::new();
                csv::WriterBuilder::new().with_header(!*begun).build(&mut bytes).write(&batch)?;
                *begun = true;
                Ok(bytes)
            }
            Kind::Json(writer) => {
                writer.write(&batch)?;
                Ok(std::mem::take(writer.get_mut()))
            }
            Kind::Pretty(batches) => {
                batches.push(batch);
                Ok(Vec::new())
            }
        }
    }

    /// The bytes behind those of the last batch.
    pub fn finish(mut self) -> Result<Vec<u8>, StoreError> {
        match &mut self.kind {
            Kind::Arrow(writer) => {
                writer.finish()?;
                Ok(std::mem::take(writer.get_mut()))
            }
            Kind::Csv { begun: true } => Ok(Vec::new()),
            Kind::Csv { begun: false } => self.push(RecordBatch::new_empty(self.schema.clone())),
            Kind::Json(writer) => {
                writer.finish()?;
                let mut bytes = std::mem::take(writer.get_mut());
                bytes.push(b'\n');
                Ok(bytes)
            }
            Kind::Pretty(batches) => {
                batches.push(RecordBatch::new_empty(self.schema.clone()));
                Ok(format!("{}\n", pretty_format_batches(batches)?).into_bytes())
            }
        }
    }
}
