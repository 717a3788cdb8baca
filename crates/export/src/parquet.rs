//! A table as Parquet, by the writer that polars has.
//!
//! Only that writer and its arrays: the `polars` crate itself comes with a runtime for queries, and its lock file with
//! an HTTP stack.

use std::borrow::Cow;
use std::io::Write;

use polars_arrow::array::{Array, BooleanArray, MutablePlString, PrimitiveArray};
use polars_arrow::datatypes::{ArrowDataType, ArrowSchema, Field};
use polars_arrow::record_batch::RecordBatchT;
use polars_buffer::Buffer;
use polars_parquet::write::{
    CompressionOptions, Encoding, FileWriter, RowGroupIterator, StatisticsOptions, Version,
    WriteOptions,
};

use crate::error::ExportError;
use crate::table::{Column, Table, Values};

/// Writes a table: one row group, compressed by zstd, numbers as `INT64`, text as UTF-8.
///
/// # Errors
///
/// If `out` does not take the bytes.
pub fn write_parquet(table: &Table<'_>, out: impl Write) -> Result<(), ExportError> {
    let fields = table.columns.iter().map(field).map(|field| (field.name.clone(), field));
    let schema: ArrowSchema = fields.collect();
    let encodings: Vec<Vec<Encoding>> =
        table.columns.iter().map(|column| vec![encoding(&column.values)]).collect();
    let arrays = table.columns.iter().map(|column| array(&column.values)).collect();
    let options = WriteOptions {
        statistics: StatisticsOptions::default(),
        version: Version::V1,
        compression: CompressionOptions::Zstd(None),
        data_page_size: None,
    };
    let write = || {
        let batch = RecordBatchT::try_new(table.rows, schema.clone().into(), arrays);
        let mut writer = FileWriter::try_new(out, schema.clone(), options)?;
        let encodings = Buffer::from(encodings);
        let batches = std::iter::once(batch).filter(|_| table.rows > 0);
        let rows = table.rows as u64;
        for group in RowGroupIterator::try_new(batches, &schema, options, encodings)? {
            writer.write(rows, group?)?;
        }
        writer.end(None)?;
        writer.into_inner().flush()?;
        Ok(())
    };
    write().map_err(|error: Box<dyn std::error::Error>| ExportError::Parquet(error.to_string()))
}

fn field(column: &Column<'_>) -> Field {
    let kind = match column.values {
        Values::Integer(_) => ArrowDataType::Int64,
        Values::Flag(_) => ArrowDataType::Boolean,
        Values::Text(_) => ArrowDataType::Utf8View,
    };
    Field::new(column.name.into(), kind, true)
}

/// Names and ids repeat; the writer goes back to plain values where a dictionary would not pay.
fn encoding(values: &Values<'_>) -> Encoding {
    match values {
        Values::Flag(_) => Encoding::Plain,
        Values::Integer(_) | Values::Text(_) => Encoding::RleDictionary,
    }
}

fn array(values: &Values<'_>) -> Box<dyn Array> {
    match values {
        Values::Integer(values) => PrimitiveArray::<i64>::from(values.as_slice()).boxed(),
        Values::Flag(values) => BooleanArray::from(values.as_slice()).boxed(),
        Values::Text(values) => {
            let texts = values.iter().map(|text: &Option<Cow<'_, str>>| text.as_deref());
            MutablePlString::from_iterator(texts).freeze().boxed()
        }
    }
}
