//! Any other table: CSV whose columns are named as the fields of a trace, or mapped to them.

use std::collections::{BTreeMap, BTreeSet};

use super::super::read::BATCH_MAX;
use super::super::trace::{LayerKey, Row, Rows, Statistic};
use super::Class;
use super::build::{At, Subject, TraceBuilder, fault};
use super::name::{brief, clean};
use super::text::Text;
use crate::platform::Precision;
use crate::units::Share;

/// The fields that a column can hold.
const FIELDS: [&str; 12] = [
    "device",
    "model",
    "precision",
    "layer",
    "batch",
    "rows",
    "statistic",
    "repeat",
    "time_ms",
    "time_us",
    "time_ns",
    "time_s",
];
/// Fields of a time, and how many milliseconds one of it is.
const TIMES: [(&str, f64); 4] = [("time_ms", 1.0), ("time_us", 1e-3), ("time_ns", 1e-6), ("time_s", 1e3)];

/// Whether the first line names a time.
pub(super) fn is_table(start: &str) -> bool {
    let Some(header) = start.lines().find(|line| !line.starts_with('#')) else { return false };
    let separator = char::from(separator(header));
    header.split(separator).any(|column| TIMES.iter().any(|(time, _)| column.trim().trim_matches('"') == *time))
}

/// Adds each table.
pub(super) fn read(texts: &[&Text], builder: &mut TraceBuilder) {
    for text in texts {
        builder.of_program(text.source, "not stated");
        read_table(text, builder);
    }
}

fn separator(header: &str) -> u8 {
    let count = |byte: &u8| header.bytes().filter(|other| other == byte).count();
    // The comma wins where they are equal.
    [b'\t', b';', b','].into_iter().max_by_key(count).unwrap_or(b',')
}

struct Columns {
    at: BTreeMap<&'static str, usize>,
    time: (usize, f64),
    count: usize,
}

fn read_table(text: &Text, builder: &mut TraceBuilder) {
    let header = text.text.lines().find(|line| !line.starts_with('#')).unwrap_or_default();
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .comment(Some(b'#'))
        .delimiter(separator(header))
        .trim(csv::Trim::All)
        .from_reader(text.text.as_bytes());
    let header = match reader.headers() {
        Ok(header) => header.clone(),
        Err(error) => return builder.refuse(text.source, fault(1, error.to_string(), "write the table as CSV")),
    };
    let line = header.position().map_or(1, |at| at.line() as usize);
    let Some(columns) = columns(text, line, &header, builder) else { return };
    let mut records = vec![];
    for record in reader.records() {
        match record {
            Ok(record) => records.push(record),
            Err(error) => {
                let line = error.position().map_or(1, |at| at.line() as usize);
                builder.refuse(text.source, fault(line, error.to_string(), "write the table as CSV"));
            }
        }
    }
    let picks = |field: &str| {
        let at = columns.at.get(field)?;
        let values: BTreeSet<&str> = records.iter().filter_map(|record| record.get(*at)).collect();
        (values.len() > 1).then_some(values)
    };
    let mut chosen = vec![];
    for (field, hint) in [("device", builder.hints.device.clone()), ("model", builder.hints.model.clone())] {
        let (Some(values), Some(hint)) = (picks(field), hint) else { continue };
        if !values.contains(hint.as_str()) {
            let shown: Vec<String> = values.into_iter().take(9).map(brief).collect();
            let cause = format!("no row has the {field} `{}`", brief(&hint));
            return builder.refuse(text.source, fault(line, cause, format!("the table has {}", shown.join(", "))));
        }
        chosen.push((columns.at[field], hint));
    }
    for record in &records {
        let at = At { source: text.source, line: record.position().map_or(1, |at| at.line() as usize) };
        let other = chosen.iter().any(|(column, hint)| record.get(*column) != Some(hint.as_str()));
        read_row(at, record, &columns, other, builder);
    }
}

fn columns(text: &Text, line: usize, header: &csv::StringRecord, builder: &mut TraceBuilder) -> Option<Columns> {
    let mut at = BTreeMap::new();
    let mut right = true;
    let mapped = builder.hints.columns.clone();
    let mut refuse = |cause: String, remedy: String| {
        builder.refuse(text.source, fault(line, cause, remedy));
        right = false;
    };
    for (column, field) in &mapped {
        let found = header.iter().position(|name| name == column.trim());
        let known = FIELDS.iter().find(|known| *known == field);
        match (found, known) {
            (None, _) => {
                refuse(format!("the table has no column `{}`", brief(column)), "mend --map COLUMN=FIELD".to_owned())
            }
            (_, None) => {
                refuse(format!("`{}` is not a field", brief(field)), format!("map to one of {}", FIELDS.join(", ")))
            }
            (Some(found), Some(known)) => {
                if at.insert(*known, found).is_some() {
                    refuse(format!("two columns are mapped to `{known}`"), "map one of them".to_owned());
                }
            }
        }
    }
    let mapped: BTreeSet<usize> = at.values().copied().collect();
    let mut unused = vec![];
    for (index, name) in header.iter().enumerate().filter(|(index, _)| !mapped.contains(index)) {
        match FIELDS.iter().find(|field| **field == name) {
            Some(field) if !at.contains_key(field) => {
                at.insert(field, index);
            }
            Some(field) if header.iter().take(index).any(|earlier| earlier == *field) => {
                refuse(format!("the column `{field}` is there twice"), "remove one".to_owned());
            }
            _ => unused.push((index, name.to_owned())),
        }
    }
    let times: Vec<(usize, f64)> = TIMES.iter().filter_map(|(field, ms)| Some((*at.get(field)?, *ms))).collect();
    if times.len() != 1 {
        let cause = format!("the table has {} columns of a time where one is needed", times.len());
        refuse(cause, "name or map one column to time_ms, time_us, time_ns or time_s".to_owned());
    }
    if !right {
        return None;
    }
    if !unused.is_empty() {
        let names: Vec<String> = unused.iter().take(9).map(|(_, name)| brief(name)).collect();
        builder.note(format!("columns of {} that were not used: {}", text.name, names.join(", ")));
    }
    Some(Columns { at, time: *times.first()?, count: header.len() })
}

fn read_row(at: At, record: &csv::StringRecord, columns: &Columns, other: bool, builder: &mut TraceBuilder) {
    if record.len() != columns.count {
        let cause = format!("the row has {} fields where the table has {} columns", record.len(), columns.count);
        builder.refuse(at.source, fault(at.line, cause, "give every column a value; the file may be cut off"));
        return;
    }
    let field =
        |name: &str| columns.at.get(name).and_then(|column| record.get(*column)).filter(|value| !value.is_empty());
    let layer = match field("layer") {
        None | Some("whole") => LayerKey::Whole,
        Some("io") => LayerKey::Io,
        Some(name) => LayerKey::Named(clean(name)),
    };
    let (class, shown) = match &layer {
        LayerKey::Whole => (Class::Whole, "whole".to_owned()),
        LayerKey::Io => (Class::Transfer, "io".to_owned()),
        LayerKey::Named(name) => (Class::Layer, name.clone()),
    };
    let stated = field("precision").map(str::to_lowercase);
    let precision = stated.as_deref().map_or(Some(None), |name| Precision::find(name).map(Some));
    let Some(precision) = precision else {
        let cause = format!("`{}` is not a precision", brief(field("precision").unwrap_or_default()));
        return builder.refuse(at.source, fault(at.line, cause, "use fp32, fp16 or int8, or rename the column"));
    };
    let other_precision = precision.is_some() && builder.hints.precision.is_some_and(|asked| Some(asked) != precision);
    if other || other_precision {
        let why = "of another device, network or precision than the one asked for";
        builder.reading(at, &shown, Class::Dropped, why, None);
        return;
    }
    let text = record.get(columns.time.0).unwrap_or_default();
    let Ok(time) = text.parse::<f64>() else {
        let cause = format!("`{}` is not a time", brief(text));
        return builder.refuse(at.source, fault(at.line, cause, "write a number with a point, as in 1.25"));
    };
    let time_ms = time * columns.time.1;
    if !builder.is_time(at, &shown, time_ms) {
        return;
    }
    let Some(statistic) = field("statistic").map_or(Some(Statistic::Raw), statistic) else {
        let cause = format!("`{}` is not a statistic", brief(field("statistic").unwrap_or_default()));
        return builder.refuse(at.source, fault(at.line, cause, "use raw, median, mean, sum or min"));
    };
    let [batch, rows, repeat] = ["batch", "rows", "repeat"].map(|name| {
        let text = field(name).filter(|text| !(name == "rows" && *text == "all"))?;
        let number = text.parse::<u32>().ok().filter(|number| *number <= BATCH_MAX);
        if number.is_none() {
            let cause = format!("`{}` is not a number for `{name}`", brief(text));
            builder.refuse(at.source, fault(at.line, cause, format!("use a whole number up to {BATCH_MAX}")));
        }
        Some(number)
    });
    if [batch, rows, repeat].contains(&Some(None)) {
        return;
    }
    let named =
        |hint: &Option<String>, stated: Option<&str>| hint.is_none().then_some(stated).flatten().map(str::to_owned);
    let (of_device, of_model) =
        (named(&builder.hints.device, field("device")), named(&builder.hints.model, field("model")));
    let device = builder.device(at.source, of_device.as_deref());
    let model = builder.model(at.source, of_model.as_deref());
    let batch = builder.batch(at, batch.flatten().map(i64::from));
    let (Some(device), Some(model), Some(batch)) = (device, model, batch) else { return };
    builder.reading(at, &shown, class, "a row of a table", Some(time_ms));
    let precision = builder.precision(precision);
    let place = Subject { device, model, precision, batch, layer };
    match (rows.flatten(), statistic) {
        (None, Statistic::Raw) => builder.repeat(at, place, time_ms),
        (None, statistic) => builder.statistic(at, place, statistic, repeat.flatten().unwrap_or(1), time_ms),
        (Some(rows), statistic) => add_part(at, place, rows, statistic, repeat.flatten(), time_ms, builder),
    }
}

/// Adds a row of a part of the output.
fn add_part(
    at: At,
    place: Subject,
    rows: u32,
    statistic: Statistic,
    repeat: Option<u32>,
    time_ms: f64,
    builder: &mut TraceBuilder,
) {
    if rows == 0 || time_ms < super::super::read::TIME_MS_MIN {
        let cause = "a part of an output needs rows and a time above 0";
        return builder.refuse(at.source, fault(at.line, cause, "mend the row, or remove it"));
    }
    let Subject { device, model, precision, batch, layer } = place;
    let (rows, repeat) = (Rows::Count(rows), repeat.unwrap_or(1).max(u32::from(statistic != Statistic::Raw)));
    let beside = None;
    let per_sample = false;
    builder.row(
        at.source,
        Share::FULL,
        Row {
            line: at.line,
            device,
            model,
            precision,
            layer,
            batch,
            rows,
            beside,
            statistic,
            repeat,
            time_ms,
            per_sample,
        },
    );
}

fn statistic(name: &str) -> Option<Statistic> {
    match name {
        "raw" => Some(Statistic::Raw),
        "median" => Some(Statistic::Median),
        "mean" => Some(Statistic::Mean),
        "sum" => Some(Statistic::Sum),
        "min" => Some(Statistic::Min),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::super::Hints;
    use super::super::tests::{named, summary};
    use crate::platform::Precision;

    fn mapped(columns: &[(&str, &str)]) -> Hints {
        let columns = columns.iter().map(|(column, field)| (column.to_string(), field.to_string())).collect();
        Hints { columns, batch: Some(1), ..named("d", "m") }
    }

    fn check(text: &str, hints: &Hints, expected: &str) {
        assert_eq!(summary(&[("f", text.as_bytes())], hints), expected);
    }

    #[test]
    fn columns_are_mapped_and_units_converted() {
        check(
            "op;took;n\nconv;1500;1\nconv;2500;2\n\"a;b\";3;1\n",
            &mapped(&[("op", "layer"), ("took", "time_us")]),
            "d,m,conv,1,all,raw,1,1.5\nd,m,conv,1,all,raw,2,2.5\nd,m,a;b,1,all,raw,1,0.003\n\
             note: columns of f that were not used: n",
        );
    }

    #[test]
    fn statistics_and_parts_are_kept() {
        check(
            "device,model,layer,batch,rows,statistic,repeat,time_ms\nx,y,conv,2,7,mean,5,1\nx,y,conv,2,all,median,5,2\nx,y,io,2,,raw,1,3\n",
            &Hints::default(),
            "x,y,conv,2,7,mean,5,1\nx,y,conv,2,all,median,5,2\nx,y,io,2,all,raw,1,3",
        );
    }

    #[test]
    fn one_of_several_devices_is_picked() {
        let text = "device,time_ms\na,1\nb,2\n";
        let hints = |device: &str| Hints { batch: Some(1), ..named(device, "m") };
        check(text, &hints("b"), "b,m,whole,1,all,raw,1,2");
        check(text, &hints("c"), "0:1: no row has the device `c`; the table has a, b");
        check("device,time_ms\na,1\n", &hints("c"), "c,m,whole,1,all,raw,1,1");
    }

    #[test]
    fn precisions_are_kept_apart_and_one_can_be_asked_for() {
        let table = "precision,batch,time_ms\nFP16,1,1\n,1,2\nint8,1,3\n";
        check(
            table,
            &named("d", "m"),
            "d,m,whole,1,all,raw,1,fp16,1\nd,m,whole,1,all,raw,1,fp32,2\nd,m,whole,1,all,raw,1,int8,3",
        );
        let asked = Hints { precision: Some(Precision::Fp16), ..named("d", "m") };
        check(table, &asked, "d,m,whole,1,all,raw,1,fp16,1\nd,m,whole,1,all,raw,2,fp16,2");
    }

    #[test]
    fn wrong_tables_are_refused() {
        check(
            "batch,time_ms,statistic\n1,-1,raw\n0,1,raw\nx,1,raw\n1,NaN,raw\n1,1,avg\n1,1\n1,\"1,5\",raw\n1,1e400,raw\n",
            &named("d", "m"),
            "0:2: `whole` has -1 ms, which is not a time; export it again; times lie between 0 and 1000 days\n\
             0:3: no shape says how many samples a run has; give it with --batch, from 1 to 1000000\n\
             0:4: `x` is not a number for `batch`; use a whole number up to 1000000\n\
             0:5: `whole` has NaN ms, which is not a time; export it again; times lie between 0 and 1000 days\n\
             0:6: `avg` is not a statistic; use raw, median, mean, sum or min\n\
             0:7: the row has 2 fields where the table has 3 columns; give every column a value; the file may be cut off\n\
             0:8: `1,5` is not a time; write a number with a point, as in 1.25\n\
             0:9: `whole` has inf ms, which is not a time; export it again; times lie between 0 and 1000 days",
        );
        check(
            "a,b,time_us,time_ms\n",
            &mapped(&[("c", "layer"), ("a", "power"), ("b", "time_s")]),
            "0:1: the table has no column `c`; mend --map COLUMN=FIELD\n\
             0:1: `power` is not a field; map to one of device, model, precision, layer, batch, rows, statistic, repeat, time_ms, time_us, time_ns, time_s\n\
             0:1: the table has 3 columns of a time where one is needed; name or map one column to time_ms, time_us, time_ns or time_s",
        );
        check(
            "precision,batch,time_ms\nFP16,1,1\nfp8,1,2\n",
            &named("d", "m"),
            "0:3: `fp8` is not a precision; use fp32, fp16 or int8, or rename the column",
        );
        check(
            "time_ms\n",
            &mapped(&[]),
            "0:1: the file has no measurement in the format that it was read as; check the file, or name another format with --format",
        );
    }
}
