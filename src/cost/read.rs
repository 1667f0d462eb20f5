//! Reading a trace: from bytes to rows, with every fault on the way.

use std::collections::BTreeMap;

use super::trace::{Kind, LayerKey, Mistake, Row, Rows, Statistic, Trace};
use crate::platform::Precision;
use crate::units::Share;

pub(super) const MAGIC: &str = Trace::MAGIC;
pub(super) const HEADER_KEYS: [&str; 6] = ["source", "revision", "hardware", "software", "date", "kind"];
pub(super) const COLUMNS: [&str; 7] = ["device", "model", "layer", "batch", "rows", "statistic", "repeat"];
/// The columns that only some traces have.
pub(super) const PRECISION: &str = "precision";
pub(super) const BESIDE: &str = "beside";
pub(super) const SHARE: &str = "share";
pub(super) const PER_BATCH: &str = "time_ms";
pub(super) const PER_SAMPLE: &str = "time_ms_per_sample";
/// The largest batch that a trace may have.
pub(super) const BATCH_MAX: u32 = 1_000_000;
/// The shortest time that a trace may have: a nanosecond.
pub(super) const TIME_MS_MIN: f64 = 1e-6;
/// The longest time that a trace may have: 1000 days.
pub(super) const TIME_MS_MAX: f64 = 8.64e10;

/// The trace, or everything that is wrong with it in file order.
pub(super) fn parse(bytes: &[u8]) -> Result<Trace, Vec<Mistake>> {
    let text = text_of(bytes)?;
    let mut faults = Vec::new();
    let (header, table, first_line) = read_header(text, MAGIC, "a trace", &mut faults);
    let kind = read_kind(&header, &mut faults);
    let mut shares: BTreeMap<Share, Vec<Row>> = BTreeMap::new();
    for (share, row) in read_rows(table, first_line, &mut faults) {
        shares.entry(share).or_default().push(row);
    }
    shares.values().for_each(|rows| find_duplicates(rows, &mut faults));
    let rows = shares.remove(&Share::FULL).unwrap_or_default();
    faults.sort_by_key(|fault| fault.line);
    if faults.is_empty() {
        let header = header.into_iter().map(|(key, (_, values))| (key, values)).collect();
        Ok(Trace { kind, header, rows, shares })
    } else {
        Err(faults)
    }
}

/// The bytes as text, or the line on which they are none.
pub(super) fn text_of(bytes: &[u8]) -> Result<&str, Vec<Mistake>> {
    std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
        vec![fault(line, "the file is not valid UTF-8", "save it as UTF-8 text")]
    })
}

pub(super) fn fault(line: usize, cause: impl Into<String>, remedy: impl Into<String>) -> Mistake {
    Mistake { line, cause: cause.into(), remedy: remedy.into() }
}

pub(super) type Header = BTreeMap<String, (usize, Vec<String>)>;

/// The header of a file that begins with `magic`, the text after it, and the line that this text begins on.
pub(super) fn read_header<'a>(
    text: &'a str,
    magic: &str,
    what: &str,
    faults: &mut Vec<Mistake>,
) -> (Header, &'a str, usize) {
    let mut header = Header::new();
    let mut rest = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut line = 1;
    if rest.lines().next().map(str::trim_end) != Some(magic) {
        let cause = format!("the first line does not say that this is {what}");
        faults.push(fault(1, cause, format!("begin the file with `{magic}`")));
    }
    while rest.starts_with('#') {
        let (comment, after) = rest.split_once('\n').unwrap_or((rest, ""));
        if let Some((key, value)) = comment[1..].split_once(':') {
            header.entry(key.trim().to_owned()).or_insert((line, vec![])).1.push(value.trim().to_owned());
        }
        rest = after;
        line += 1;
    }
    for key in HEADER_KEYS {
        if header.get(key).is_none_or(|(_, values)| values.iter().all(String::is_empty)) {
            faults.push(fault(
                1,
                format!("the header does not state `{key}`"),
                format!("add a line `# {key}: ..` before the table"),
            ));
        }
    }
    (header, rest, line)
}

pub(super) fn read_kind(header: &Header, faults: &mut Vec<Mistake>) -> Kind {
    let Some((line, values)) = header.get("kind") else {
        return Kind::Measured;
    };
    if values.len() > 1 {
        faults.push(fault(*line, "the header states `kind` more than once", "state it once"));
    }
    match values.first().map(String::as_str) {
        Some("measured") => Kind::Measured,
        Some("digitised") => Kind::Digitised,
        Some("derived") => Kind::Derived,
        other => {
            let found = other.unwrap_or_default();
            faults.push(fault(
                *line,
                format!("`{found}` is not a kind of trace"),
                "use measured, digitised or derived",
            ));
            Kind::Measured
        }
    }
}

/// Each row, and the share of its device that it was measured on.
fn read_rows(table: &str, first_line: usize, faults: &mut Vec<Mistake>) -> Vec<(Share, Row)> {
    let mut reader = csv::ReaderBuilder::new().trim(csv::Trim::All).flexible(true).from_reader(table.as_bytes());
    let line_of =
        |position: Option<&csv::Position>| position.map_or(first_line, |at| first_line - 1 + at.line() as usize);
    let columns = match reader.headers() {
        Ok(headers) => headers.clone(),
        Err(error) => {
            faults.push(fault(line_of(error.position()), error.to_string(), "write the table as CSV"));
            return Vec::new();
        }
    };
    let Some(columns) = Columns::find(&columns, first_line, faults) else {
        return Vec::new();
    };
    let mut rows = Vec::new();
    let mut any = false;
    for record in reader.records() {
        any = true;
        match record {
            Ok(record) => rows.extend(columns.row(&record, line_of(record.position()), faults)),
            Err(error) => faults.push(fault(line_of(error.position()), error.to_string(), "write the table as CSV")),
        }
    }
    if !any {
        faults.push(fault(first_line, "the trace has no measurement", "add a row for each device, model and batch"));
    }
    rows
}

/// Where each column stands.
struct Columns {
    at: [usize; COLUMNS.len()],
    precision: Option<usize>,
    beside: Option<usize>,
    share: Option<usize>,
    time: usize,
    per_sample: bool,
    count: usize,
}

impl Columns {
    fn find(header: &csv::StringRecord, line: usize, faults: &mut Vec<Mistake>) -> Option<Columns> {
        let known = faults.len();
        let mut position = |name: &str| {
            let found = header.iter().position(|column| column == name);
            if found.is_none() {
                faults.push(fault(
                    line,
                    format!("the table has no column `{name}`"),
                    format!("its columns are {}, and {PER_BATCH} or {PER_SAMPLE}", COLUMNS.join(", ")),
                ));
            }
            found.unwrap_or(0)
        };
        let at = COLUMNS.map(&mut position);
        let per_sample = header.iter().any(|column| column == PER_SAMPLE);
        let time = position(if per_sample { PER_SAMPLE } else { PER_BATCH });
        let [precision, beside, share] =
            [PRECISION, BESIDE, SHARE].map(|name| header.iter().position(|column| column == name));
        for (index, column) in header.iter().enumerate() {
            let twice = header.iter().take(index).any(|earlier| earlier == column);
            let is_known =
                COLUMNS.contains(&column) || index == time || [precision, beside, share].contains(&Some(index));
            if twice || !is_known {
                let cause = if twice {
                    format!("the column `{column}` is there twice")
                } else {
                    format!("`{column}` is not a column of a trace")
                };
                faults.push(fault(line, cause, "remove it"));
            }
        }
        (faults.len() == known).then_some(Columns {
            at,
            precision,
            beside,
            share,
            time,
            per_sample,
            count: header.len(),
        })
    }

    fn row(&self, record: &csv::StringRecord, line: usize, faults: &mut Vec<Mistake>) -> Option<(Share, Row)> {
        if record.len() != self.count {
            let cause = format!("the row has {} fields where the table has {} columns", record.len(), self.count);
            faults.push(fault(line, cause, "give every column a value; the file may be cut off"));
            return None;
        }
        let known = faults.len();
        let [device, model, layer, batch, rows, statistic, repeat] = self.at.map(|index| &record[index]);
        let beside = self.beside.map(|index| &record[index]).filter(|name| !name.is_empty());
        if beside == Some(device) {
            let cause = format!("`{device}` cannot run beside itself");
            faults.push(fault(line, cause, "name the other device, or leave `beside` empty"));
        }
        let precision = self.precision.map(|index| &record[index]).filter(|name| !name.is_empty());
        let precision = precision.map_or(Some(Precision::Fp32), Precision::find).unwrap_or_else(|| {
            let name = precision.unwrap_or_default();
            faults.push(fault(line, format!("`{name}` is not a precision"), "use fp32, fp16 or int8"));
            Precision::Fp32
        });
        let share = self.share.map(|index| &record[index]).filter(|share| !share.is_empty());
        let share = share.map_or(Some(Share::FULL), share_of).unwrap_or_else(|| {
            let cause = format!("`{}` is not a share of a device", share.unwrap_or_default());
            let remedy = "use a fraction of its compute units from 0.0001 to 1, with four decimals at most";
            faults.push(fault(line, cause, remedy));
            Share::FULL
        });
        for (column, value) in [("device", device), ("model", model), ("layer", layer)] {
            if value.is_empty() {
                faults.push(fault(line, format!("`{column}` is empty"), "give it a name"));
            }
        }
        let mut number = |column: &str, text: &str, range: std::ops::RangeInclusive<u32>| {
            let value = text.parse::<u32>().ok().filter(|value| range.contains(value));
            value.unwrap_or_else(|| {
                let (least, most) = (range.start(), range.end());
                faults.push(fault(
                    line,
                    format!("`{text}` is not a {column}"),
                    format!("use a whole number from {least} to {most}"),
                ));
                *least
            })
        };
        let batch = number("batch", batch, 1..=BATCH_MAX);
        let rows = if rows == "all" {
            Rows::All
        } else {
            Rows::Count(number("number of rows (or `all`)", rows, 1..=BATCH_MAX))
        };
        let repeat = number("repeat", repeat, u32::from(statistic != "raw")..=BATCH_MAX);
        let statistic = match statistic {
            "raw" => Statistic::Raw,
            "median" => Statistic::Median,
            "mean" => Statistic::Mean,
            "sum" => Statistic::Sum,
            "min" => Statistic::Min,
            other => {
                faults.push(fault(line, format!("`{other}` is not a statistic"), "use raw, median, mean, sum or min"));
                Statistic::Raw
            }
        };
        let time = &record[self.time];
        let time_ms = time.parse::<f64>().unwrap_or(f64::NAN);
        if !(TIME_MS_MIN..=TIME_MS_MAX).contains(&time_ms) {
            faults.push(fault(
                line,
                format!("`{time}` is not a time"),
                "use milliseconds from 0.000001, a nanosecond, to 1000 days",
            ));
        }
        let layer = match layer {
            "whole" => LayerKey::Whole,
            "io" => LayerKey::Io,
            name => LayerKey::Named(name.to_owned()),
        };
        let row = Row {
            line,
            device: device.to_owned(),
            model: model.to_owned(),
            precision,
            layer,
            batch,
            rows,
            beside: beside.map(str::to_owned),
            statistic,
            repeat,
            time_ms,
            per_sample: self.per_sample,
        };
        (faults.len() == known).then_some((share, row))
    }
}

/// A fraction that is a whole number of hundredths of a percent.
fn share_of(text: &str) -> Option<Share> {
    let points = text.parse::<f64>().ok()? * 10_000.0;
    let whole = points.round();
    let is_whole = (points - whole).abs() < 1e-6 && (1.0..=10_000.0).contains(&whole);
    if is_whole { Share::from_basis_points(whole as u16) } else { None }
}

fn find_duplicates(rows: &[Row], faults: &mut Vec<Mistake>) {
    let mut seen = BTreeMap::new();
    for row in rows {
        let place = (&row.device, row.precision, &row.model, &row.layer);
        let point = (place, row.batch, row.rows, &row.beside, row.statistic);
        // Only raw measurements come in several; a statistic is already over its repeats.
        let repeat = if row.statistic == Statistic::Raw { row.repeat } else { 0 };
        if let Some(first) = seen.insert((point, repeat), row.line) {
            let cause =
                format!("this measures the same as line {first}: {} {} at batch {}", row.device, row.model, row.batch);
            faults.push(fault(row.line, cause, "remove one, or number raw repeats differently"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str =
        "# coinfer trace 1\n# source: s\n# revision: r\n# hardware: h\n# software: w\n# date: d\n# kind: measured\n";

    fn check(table: &str, expected: &[&str]) {
        let found = match Trace::parse(format!("{HEADER}{table}").as_bytes()) {
            Ok(_) => vec![],
            Err(faults) => faults.iter().map(|f| format!("{}: {}; {}", f.line, f.cause, f.remedy)).collect(),
        };
        assert_eq!(found, expected);
    }

    const COLUMNS: &str = "device,model,layer,batch,rows,statistic,repeat,time_ms\n";

    fn trace(rows: &str) -> Trace {
        Trace::parse(format!("{HEADER}{COLUMNS}{rows}").as_bytes()).unwrap()
    }

    #[test]
    fn raw_repeats_are_summarised_by_their_median() {
        let trace = trace("a,m,whole,2,all,raw,0,10\na,m,whole,2,all,raw,1,30\na,m,whole,2,all,raw,2,11\n");
        assert_eq!(trace.times("a", Precision::Fp32, "m", &LayerKey::Whole)[&2].of_batch(2), 11.0);
        assert_eq!(trace.times("a", Precision::Fp32, "m", &LayerKey::Whole)[&2].of_sample(2), 5.5);
    }

    #[test]
    fn a_sum_is_divided_by_its_repeats() {
        assert_eq!(trace("a,m,io,1,all,sum,4,10\n").times("a", Precision::Fp32, "m", &LayerKey::Io)[&1].time_ms, 2.5);
    }

    #[test]
    fn rows_beside_another_device_are_kept_apart() {
        let rows = "device,model,layer,batch,rows,beside,statistic,repeat,time_ms\n\
            a,m,whole,1,all,,raw,0,10\na,m,whole,1,all,b,raw,0,14\na,m,whole,1,all,b,raw,1,16\n";
        let trace = Trace::parse(format!("{HEADER}{rows}").as_bytes()).unwrap();
        assert_eq!(trace.times("a", Precision::Fp32, "m", &LayerKey::Whole)[&1].time_ms, 10.0);
        assert_eq!(trace.times_beside("a", Precision::Fp32, "m", &LayerKey::Whole, "b")[&1].time_ms, 15.0);
        assert!(trace.times_beside("a", Precision::Fp32, "m", &LayerKey::Whole, "c").is_empty());
        check(
            &format!("{rows}a,m,whole,1,all,b,raw,1,17\na,m,whole,1,all,a,raw,1,17\n"),
            &[
                "12: this measures the same as line 11: a m at batch 1; remove one, or number raw repeats differently",
                "13: `a` cannot run beside itself; name the other device, or leave `beside` empty",
            ],
        );
    }

    #[test]
    fn rows_of_another_precision_are_kept_apart() {
        let rows = "device,model,layer,batch,rows,precision,statistic,repeat,time_ms\n\
            a,m,whole,1,all,,raw,0,10\na,m,whole,1,all,fp16,raw,0,4\na,m,whole,1,all,fp16,raw,1,6\n";
        let trace = Trace::parse(format!("{HEADER}{rows}").as_bytes()).unwrap();
        assert_eq!(trace.times("a", Precision::Fp32, "m", &LayerKey::Whole)[&1].time_ms, 10.0);
        assert_eq!(trace.times("a", Precision::Fp16, "m", &LayerKey::Whole)[&1].time_ms, 5.0);
        assert!(trace.times("a", Precision::Int8, "m", &LayerKey::Whole).is_empty());
        check(
            &format!("{rows}a,m,whole,1,all,fp16,raw,1,7\na,m,whole,1,all,fp8,raw,0,3\n"),
            &[
                "12: this measures the same as line 11: a m at batch 1; remove one, or number raw repeats differently",
                "13: `fp8` is not a precision; use fp32, fp16 or int8",
            ],
        );
    }

    #[test]
    fn rows_of_a_part_of_a_device_are_kept_apart() {
        let rows = "device,model,layer,batch,rows,share,statistic,repeat,time_ms\n\
            a,m,whole,1,all,,raw,0,10\na,m,whole,1,all,0.25,raw,0,36\na,m,whole,1,all,0.25,raw,1,38\n";
        let trace = Trace::parse(format!("{HEADER}{rows}").as_bytes()).unwrap();
        let time = |trace: &Trace| trace.times("a", Precision::Fp32, "m", &LayerKey::Whole)[&1].time_ms;
        assert_eq!(time(&trace), 10.0);
        assert_eq!(time(&trace.of_share(Share::FULL)), 10.0);
        let quarter = Share::from_basis_points(2500).unwrap();
        assert_eq!(trace.shares.keys().collect::<Vec<_>>(), [&quarter]);
        assert_eq!(time(&trace.of_share(quarter)), 37.0);
        assert_eq!(Trace::parse(trace.to_csv().as_bytes()).unwrap().shares[&quarter].len(), 2);
        let remedy = "use a fraction of its compute units from 0.0001 to 1, with four decimals at most";
        check(
            &format!(
                "{rows}a,m,whole,1,all,0.25,raw,1,17\na,m,whole,1,all,0.33333,raw,0,3\na,m,whole,1,all,0,raw,0,3\n"
            ),
            &[
                "12: this measures the same as line 11: a m at batch 1; remove one, or number raw repeats differently",
                &format!("13: `0.33333` is not a share of a device; {remedy}"),
                &format!("14: `0` is not a share of a device; {remedy}"),
            ],
        );
    }

    #[test]
    fn times_per_sample_are_kept_as_recorded() {
        let table = "device,model,layer,batch,rows,statistic,repeat,time_ms_per_sample\na,m,whole,3,all,mean,1,0.1\n";
        let trace = Trace::parse(format!("{HEADER}{table}").as_bytes()).unwrap();
        assert_eq!(trace.times("a", Precision::Fp32, "m", &LayerKey::Whole)[&3].of_sample(3), 0.1);
    }

    #[test]
    fn every_fault_of_a_table_is_listed() {
        let rows = "a,m,whole,0,all,raw,0,1\na,m,whole,1,all,raw,0,-1\na,m,whole,1,all,avg,0,NaN\na,m,whole\na,m,whole,2,all,raw,0,1\na,m,whole,2,all,raw,0,2\n";
        check(
            &format!("{COLUMNS}{rows}"),
            &[
                "9: `0` is not a batch; use a whole number from 1 to 1000000",
                "10: `-1` is not a time; use milliseconds from 0.000001, a nanosecond, to 1000 days",
                "11: `0` is not a repeat; use a whole number from 1 to 1000000",
                "11: `avg` is not a statistic; use raw, median, mean, sum or min",
                "11: `NaN` is not a time; use milliseconds from 0.000001, a nanosecond, to 1000 days",
                "12: the row has 3 fields where the table has 8 columns; give every column a value; the file may be cut off",
                "14: this measures the same as line 13: a m at batch 2; remove one, or number raw repeats differently",
            ],
        );
    }

    #[test]
    fn an_empty_table_is_a_fault() {
        check(COLUMNS, &["8: the trace has no measurement; add a row for each device, model and batch"]);
    }

    #[test]
    fn missing_and_unknown_columns_are_named() {
        check(
            "device,model,layer,batch,rows,statistic,repeat,time_s\na,m,whole,1,all,raw,0,1\n",
            &[
                "8: the table has no column `time_ms`; its columns are device, model, layer, batch, rows, statistic, repeat, and time_ms or time_ms_per_sample",
                "8: `time_s` is not a column of a trace; remove it",
            ],
        );
    }

    #[test]
    fn a_file_without_provenance_is_refused() {
        let faults = Trace::parse(b"device,model\n").unwrap_err();
        assert_eq!(faults[0].cause, "the first line does not say that this is a trace");
        assert!(faults.iter().any(|fault| fault.cause == "the header does not state `source`"));
        assert_eq!(Trace::parse(b"# coinfer trace 1\n\xff").unwrap_err()[0].line, 2);
    }
}
