//! Parquet, read back by polars' reader. The notebooks read it with polars in Python and with DuckDB.

use std::io::Cursor;

use coldcase_export::{Table, Values, write_parquet};
use polars_arrow::array::{Array, BooleanArray, PrimitiveArray, Utf8ViewArray};
use polars_buffer::Buffer;
use polars_parquet::read::{
    BasicDecompressor, column_iter_to_arrays, get_page_iterator, infer_schema, read_metadata,
};

use crate::support::Export;

#[test]
fn what_is_written_is_what_is_read() {
    let export = Export::of("hashmap-resize/capture.data.zst");
    for table in export.tables() {
        let mut bytes = Vec::new();
        write_parquet(&table, &mut bytes).unwrap();
        read_back(&table, &bytes);
    }
}

#[test]
fn the_same_table_gives_the_same_bytes() {
    let runs = [0, 1].map(|_| {
        let export = Export::of("fork-large/capture.data.zst");
        let mut bytes = Vec::new();
        for table in export.tables() {
            write_parquet(&table, &mut bytes).unwrap();
        }
        bytes
    });
    assert!(runs[0] == runs[1]);
}

/// Reads a file and compares it with the table, cell by cell.
fn read_back(table: &Table<'_>, bytes: &[u8]) {
    let metadata = read_metadata(&mut Cursor::new(bytes)).unwrap();
    let schema = infer_schema(&metadata).unwrap();
    let names: Vec<&str> = schema.iter_names().map(|name| name.as_str()).collect();
    let expected: Vec<&str> = table.columns.iter().map(|column| column.name).collect();
    assert_eq!(names, expected, "{}", table.name);
    assert_eq!(metadata.num_rows, table.rows, "{}", table.name);
    let [group] = metadata.row_groups.as_slice() else {
        assert_eq!((metadata.row_groups.len(), table.rows), (0, 0), "{}", table.name);
        return;
    };
    let file = Buffer::from(bytes.to_vec());
    let columns = group.parquet_columns().iter().zip(schema.iter_values());
    for ((chunk, field), column) in columns.zip(&table.columns) {
        let pages =
            get_page_iterator(chunk, Cursor::new(file.clone()), Vec::new(), usize::MAX).unwrap();
        let pages = vec![BasicDecompressor::new(pages, Vec::new())];
        let kind = vec![&chunk.descriptor().descriptor.primitive_type];
        let (arrays, _) = column_iter_to_arrays(pages, kind, field.clone(), None).unwrap();
        let name = format!("{}.{}", table.name, column.name);
        assert!(same(&column.values, &arrays), "{name} is read otherwise than it was written");
    }
}

fn same(values: &Values<'_>, arrays: &[Box<dyn Array>]) -> bool {
    match values {
        Values::Integer(values) => {
            let read = of::<PrimitiveArray<i64>>(arrays).flat_map(|array| array.iter());
            read.map(|value| value.copied()).eq(values.iter().copied())
        }
        Values::Flag(values) => {
            of::<BooleanArray>(arrays).flat_map(|array| array.iter()).eq(values.iter().copied())
        }
        Values::Text(values) => {
            let read = of::<Utf8ViewArray>(arrays).flat_map(|array| array.iter());
            read.eq(values.iter().map(Option::as_deref))
        }
    }
}

/// The arrays of a column, of the type that they must have.
fn of<A: Array>(arrays: &[Box<dyn Array>]) -> impl Iterator<Item = &A> {
    arrays.iter().map(|array| array.as_any().downcast_ref().unwrap())
}
