//! The shape of a part's file.

use huong_types::{Field as Value, Name, Reading};
use parquet::arrow::arrow_reader::{ArrowReaderMetadata, ArrowReaderOptions};
use parquet::file::metadata::PageIndexPolicy;

use super::*;
use crate::Record;
use crate::rows::Rows;
use crate::testing::reading;

/// `count` readings of `keys` keys.
fn rows(count: u64, keys: u64) -> RecordBatch {
    let mut rows = Rows::new(Table::Readings);
    let names: Vec<Name> = (0..keys).map(|key| Name::from(format!("station-{key}"))).collect();
    for n in 0..count {
        let Record::Reading(known) = reading(n / keys) else { unreachable!("a reading") };
        let fields = [Value::ok("value".into(), (n % 977) as f64 / 100.0)].into_iter().collect();
        rows.push(n, &Record::Reading(Reading { key: names[(n % keys) as usize].clone(), fields, ..known })).expect("a small record");
    }
    rows.finish().expect("equal columns")
}

#[test]
fn a_part_is_compressed_sorted_indexed_and_in_groups() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let partition = Partition { table: Table::Readings, stream: Some("water_level".into()), day: 20_000 };
    let batch = sorted(Table::Readings, &rows(140_000, 40)).expect("rows");
    let mut pending = Pending::new(dir.path());
    pending.write(&partition, "a", (0, 140_000), &batch).expect("a sound disk");
    let part = pending.publish().expect("a sound disk").pop().expect("a part");
    assert_eq!((part.rows, part.records, part.seq), (140_000, 140_000, (0, 139_999)));
    assert_eq!(sha256(dir.path(), &part).expect("the file"), (part.bytes, part.sha256.clone()));
    let options = ArrowReaderOptions::new().with_page_index_policy(PageIndexPolicy::Required);
    let metadata = ArrowReaderMetadata::load(&open(dir.path(), &part).expect("the file"), options).expect("a part with a page index");
    let groups = metadata.metadata().row_groups();
    assert_eq!(groups.iter().map(|group| group.num_rows()).collect::<Vec<_>>(), [GROUP_ROWS as i64, 140_000 - GROUP_ROWS as i64]);
    for group in groups {
        let sorting: Vec<i32> = group.sorting_columns().expect("an order").iter().map(|column| column.column_idx).collect();
        assert_eq!(sorting, [5, 1, 0], "key, at, seq");
        for column in group.columns() {
            assert!(matches!(column.compression(), Compression::ZSTD(_)), "{}", column.column_path());
            assert!(column.statistics().is_some(), "{}", column.column_path());
            assert_eq!(column.bloom_filter_offset().is_some(), column.column_path().string() == "key");
        }
    }
    assert!(metadata.metadata().column_index().is_some());
}

#[test]
fn a_bloom_filter_costs_less_than_a_hundredth_of_its_part() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    // Of an hour and of a day, forty stations.
    for count in [3_500, 83_000] {
        let batch = sorted(Table::Readings, &rows(count, 40)).expect("rows");
        let with = properties(Table::Readings, &batch).expect("properties");
        let without = with.clone().into_builder().set_column_bloom_filter_enabled(ColumnPath::from("key"), false).build();
        let path = dir.path().join("part");
        let bytes = |properties| write_file(&path, &batch, properties).expect("a sound disk").0;
        let (with, without) = (bytes(with), bytes(without));
        assert!(without < with && (with - without) * 100 < without, "{count} rows: {without} bytes, with a bloom filter {with}");
    }
}
