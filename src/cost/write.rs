//! Writing a trace: from rows to the text that is read back as the same rows.

use super::read::{BESIDE, COLUMNS, HEADER_KEYS, MAGIC, PER_BATCH, PER_SAMPLE, PRECISION, SHARE};
use super::trace::{LayerKey, Row, Rows, Statistic, Trace};
use crate::platform::Precision;
use crate::units::Share;

/// The trace as text.
pub(super) fn write(trace: &Trace) -> String {
    let mut text = format!("{MAGIC}\n");
    let required = HEADER_KEYS.iter().filter_map(|key| trace.header.get_key_value(*key));
    let others = trace.header.iter().filter(|(key, _)| !HEADER_KEYS.contains(&key.as_str()));
    for (key, values) in required.chain(others) {
        for value in values {
            // A key or value over several lines would end the header.
            text.push_str(&format!("# {}: {}\n", one_line(key), one_line(value)));
        }
    }
    let parts = trace.shares.iter().flat_map(|(&share, rows)| rows.iter().map(move |row| (share, row)));
    let rows: Vec<(Share, &Row)> = trace.rows.iter().map(|row| (Share::FULL, row)).chain(parts).collect();
    let any_precision = rows.iter().any(|(_, row)| row.precision != Precision::Fp32);
    let any_beside = rows.iter().any(|(_, row)| row.beside.is_some());
    let any_share = rows.iter().any(|(share, _)| *share != Share::FULL);
    let per_sample = rows.iter().all(|(_, row)| row.per_sample) && !rows.is_empty();
    let mut columns = COLUMNS.to_vec();
    if any_precision {
        columns.push(PRECISION);
    }
    if any_beside {
        columns.push(BESIDE);
    }
    if any_share {
        columns.push(SHARE);
    }
    columns.push(if per_sample { PER_SAMPLE } else { PER_BATCH });
    let mut writer = csv::Writer::from_writer(vec![]);
    writer.write_record(&columns).expect("memory takes every record");
    for (share, row) in rows {
        let mut fields = fields(row);
        if any_precision {
            fields.push(row.precision.to_string());
        }
        if any_beside {
            fields.push(row.beside.clone().unwrap_or_default());
        }
        if any_share {
            fields.push((f64::from(share.basis_points()) / 10_000.0).to_string());
        }
        let time = if row.per_sample && !per_sample { row.time_ms * f64::from(row.batch) } else { row.time_ms };
        // The shortest text that is read back as the same number.
        fields.push(time.to_string());
        writer.write_record(&fields).expect("memory takes every record");
    }
    let table = writer.into_inner().expect("memory takes every record");
    text.push_str(&String::from_utf8(table).expect("every field is text"));
    text
}

fn one_line(text: &str) -> String {
    text.split('\n').map(str::trim).collect::<Vec<_>>().join(" ")
}

fn fields(row: &Row) -> Vec<String> {
    let layer = match &row.layer {
        LayerKey::Whole => "whole",
        LayerKey::Io => "io",
        LayerKey::Named(name) => name,
    };
    let rows = match row.rows {
        Rows::All => "all".to_owned(),
        Rows::Count(count) => count.to_string(),
    };
    let statistic = match row.statistic {
        Statistic::Raw => "raw",
        Statistic::Median => "median",
        Statistic::Mean => "mean",
        Statistic::Sum => "sum",
        Statistic::Min => "min",
    };
    vec![
        row.device.clone(),
        row.model.clone(),
        layer.to_owned(),
        row.batch.to_string(),
        rows,
        statistic.to_owned(),
        row.repeat.to_string(),
    ]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::trace::Kind;
    use super::*;

    /// Names as a file may have them: with commas, quotes, colons and letters of any language inside.
    const NAME: &str = "[a-zA-Z0-9#é](([a-z ,\":#|é'\\[\\]]|\n|\r){0,8}[a-zA-Z0-9\"é])?";

    prop_compose! {
        fn rows(per_sample: bool)(
            device in NAME, precision in 0usize..3, model in NAME, layer in NAME, beside in proptest::option::of(NAME),
            batch in 1u32..=1_000_000, rows in proptest::option::of(1u32..1000),
            statistic in 0usize..5, repeat in 1u32..=1_000_000, time_ms in 1e-6..8.64e10,
        ) -> Row {
            let layer = match layer.as_str() {
                "whole" => LayerKey::Whole,
                "io" => LayerKey::Io,
                "a" => LayerKey::Whole,
                _ => LayerKey::Named(layer),
            };
            let statistic = [Statistic::Raw, Statistic::Median, Statistic::Mean, Statistic::Sum, Statistic::Min][statistic];
            let precision = Precision::ALL[precision];
            let rows = rows.map_or(Rows::All, Rows::Count);
            let beside = beside.filter(|beside| *beside != device);
            Row { line: 0, device, precision, model, layer, batch, rows, beside, statistic, repeat, time_ms, per_sample }
        }
    }

    fn traces() -> impl Strategy<Value = Trace> {
        let some = |count| {
            any::<bool>().prop_flat_map(move |per_sample| proptest::collection::vec(rows(per_sample), 1..count))
        };
        let header = proptest::collection::btree_map(
            "[a-z]{1,6}",
            proptest::collection::vec("[!-~]([ -~é\r]{0,8}[!-~])?", 1..3),
            0..4,
        );
        let share = (1u16..10_000).prop_map(|points| Share::from_basis_points(points).unwrap());
        let shares = proptest::collection::btree_map(share, some(4), 0..3);
        let rows = some(8);
        (rows, header, shares).prop_map(|(rows, mut header, mut shares)| {
            let per_sample = rows[0].per_sample;
            shares.values_mut().flatten().for_each(|row| row.per_sample = per_sample);
            for key in HEADER_KEYS {
                header.insert(key.to_owned(), vec!["stated: so".to_owned()]);
            }
            header.insert("kind".to_owned(), vec!["measured".to_owned()]);
            Trace { kind: Kind::Measured, header, rows, shares }
        })
    }

    proptest! {
        #[test]
        fn a_written_trace_is_read_back(trace in traces()) {
            let text = trace.to_csv();
            match Trace::parse(text.as_bytes()) {
                Ok(mut read) => {
                    let shared = read.shares.values_mut().flatten();
                    read.rows.iter_mut().chain(shared).for_each(|row| row.line = 0);
                    prop_assert_eq!(&read, &trace);
                    prop_assert_eq!(read.to_csv(), text);
                }
                Err(faults) => {
                    let repeated = faults.iter().all(|fault| fault.cause.starts_with("this measures the same"));
                    prop_assert!(repeated, "{:?}\n{}", faults, text);
                }
            }
        }
    }

    /// Found by fuzzing.
    #[test]
    fn carriage_returns_within_a_header_are_kept() {
        let text = "# coinfer trace 1\n# source: s\n# revision: r\"\r\r/\r r\n# hardware: h\n# software: w\n# date: d\n\
            # kind: measured\n# a\rb: x\ry\ndevice,model,layer,batch,rows,statistic,repeat,time_ms\n\
            a,\"m\rn\",whole,1,all,raw,1,1\n";
        let mut trace = Trace::parse(text.as_bytes()).unwrap();
        let mut read = Trace::parse(trace.to_csv().as_bytes()).unwrap();
        read.rows.iter_mut().chain(&mut trace.rows).for_each(|row| row.line = 0);
        assert_eq!(read, trace);
    }

    #[test]
    fn required_keys_come_first() {
        let text = "# coinfer trace 1\n# about: a\n# kind: derived\n# date: d\n# note: n1\n# software: w\n# source: s\n\
            # note: n2\n# hardware: h\n# revision: r\ndevice,model,layer,batch,rows,statistic,repeat,time_ms\n\
            a,m,conv1..conv3,1,7,median,20,0.1\n";
        let expected = "# coinfer trace 1\n# source: s\n# revision: r\n# hardware: h\n# software: w\n# date: d\n\
            # kind: derived\n# about: a\n# note: n1\n# note: n2\n\
            device,model,layer,batch,rows,statistic,repeat,time_ms\na,m,conv1..conv3,1,7,median,20,0.1\n";
        assert_eq!(Trace::parse(text.as_bytes()).unwrap().to_csv(), expected);
    }
}
