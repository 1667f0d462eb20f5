//! Records as CSV, there and back: what serde knows of a struct are its columns, so that a field is named once.

mod read;
mod write;

pub(crate) use read::{fields, read_csv, read_each};
pub(crate) use write::cells;

use serde::{Deserialize, Serialize};

use super::encode::csv_bytes;

/// Flat records below a header of their fields. What is not known is empty; floats have the shortest text that reads back
/// as the same.
pub(crate) fn records_csv<'de, T: Serialize + Deserialize<'de>>(records: impl IntoIterator<Item = T>) -> Vec<u8> {
    let columns: Vec<(&str, &str)> = fields::<T>().iter().map(|&name| (name, name)).collect();
    paths_csv(&columns, records)
}

/// Records below a header of names, each with the path of the field whose text it has, such as `published.macs`.
pub(crate) fn paths_csv<T: Serialize>(
    columns: &[(impl AsRef<str>, impl AsRef<str>)],
    records: impl IntoIterator<Item = T>,
) -> Vec<u8> {
    let line = |record: T| {
        let found = cells(&record);
        let text = |path: &str| found.iter().find(|(at, _)| at == path).map_or("", |(_, text)| text).to_owned();
        columns.iter().map(|(_, path)| text(path.as_ref())).collect()
    };
    csv_bytes(columns.iter().map(|(name, _)| name.as_ref()), records.into_iter().map(line))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
    #[serde(rename_all = "snake_case")]
    enum Kind {
        Good,
        VeryGood,
    }

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
    struct Row {
        name: String,
        kind: Kind,
        count: u32,
        total: u64,
        share: Option<f64>,
    }

    fn row(name: &str) -> Row {
        Row { name: name.into(), kind: Kind::VeryGood, count: 1, total: u64::MAX, share: None }
    }

    #[test]
    fn a_header_stands_above_no_records() {
        assert_eq!(records_csv::<Row>([]), b"name,kind,count,total,share\n");
    }

    #[test]
    fn fields_of_fields_are_found_by_their_path() {
        #[derive(Serialize)]
        struct Outer {
            inner: Option<Row>,
            flag: bool,
            #[serde(flatten)]
            row: Row,
        }
        let outer = |inner| Outer { inner, flag: true, row: row("a,b") };
        let columns = [("kind", "inner.kind"), ("flag", "flag"), ("name", "name")];
        let text = String::from_utf8(paths_csv(&columns, [outer(Some(row(""))), outer(None)])).unwrap();
        assert_eq!(text, "kind,flag,name\nvery_good,true,\"a,b\"\n,true,\"a,b\"\n");
    }

    proptest! {
        #[test]
        fn records_that_are_written_read_back(
            rows in proptest::collection::vec(
                (any::<String>(), any::<bool>(), any::<u32>(), any::<u64>(), proptest::option::of(0.0..f64::MAX)), 0..20,
            ),
        ) {
            let row = |(name, is_good, count, total, share)| {
                Row { name, kind: if is_good { Kind::Good } else { Kind::VeryGood }, count, total, share }
            };
            let rows: Vec<Row> = rows.into_iter().map(row).collect();
            prop_assert_eq!(read_csv(&records_csv(rows.clone())), Ok(rows));
        }
    }
}
