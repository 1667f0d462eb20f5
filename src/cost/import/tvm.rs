//! Reports of TVM's profiler (`runtime.profiling.Report`), as JSON or CSV; one report is one run.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::trace::{LayerKey, Mistake};
use super::Class;
use super::build::{At, Subject, TraceBuilder, fault};
use super::json::{Document, escape_quotes};
use super::name::Names;
use super::text::Text;

const DURATION: &str = "Duration (us)";

#[derive(Deserialize)]
struct Report<'a> {
    #[serde(borrow)]
    calls: Vec<&'a RawValue>,
    #[serde(default)]
    device_metrics: BTreeMap<String, BTreeMap<String, Value>>,
}

/// One row of a report.
struct Call {
    at: At,
    name: String,
    device: String,
    shapes: String,
    count: i64,
    time_ms: f64,
}

/// Adds reports; each is one repeat.
pub(super) fn read(texts: &[&Text], builder: &mut TraceBuilder) {
    for text in texts {
        builder.of_program(text.source, "TVM, version not stated");
        if text.text.trim_start().starts_with('{') {
            let escaped;
            let whole = match Document::new(&text.text).read_several() {
                Ok(_) => text.text.as_ref(),
                Err(_) => {
                    escaped = escape_quotes(&text.text, "{\"string\":\"", "\"}");
                    escaped.as_str()
                }
            };
            read_json(text.source, &Document::new(whole), builder);
        } else {
            read_csv(text, builder);
        }
    }
}

fn read_json(source: usize, document: &Document, builder: &mut TraceBuilder) {
    let reports = match document.read_several() {
        Ok(reports) => reports,
        Err(fault) => return builder.refuse(source, fault),
    };
    for element in reports {
        let line = document.line(element);
        let report: Report = match document.element(element) {
            Ok(report) => report,
            Err(fault) => {
                builder.refuse(source, fault);
                continue;
            }
        };
        let mut calls = vec![];
        for element in report.calls {
            let at = At { source, line: document.line(element) };
            let call = document.element::<BTreeMap<String, Value>>(element).and_then(|call| json_call(at, &call));
            match call {
                Ok(call) => calls.push(call),
                Err(fault) => builder.refuse(source, fault),
            }
        }
        let totals = report.device_metrics.values().filter_map(|metrics| microseconds(metrics.get(DURATION)?));
        let total = totals.map(|us| us / 1000.0).max_by(f64::total_cmp);
        read_report(At { source, line }, &calls, total, builder);
    }
}

fn microseconds(metric: &Value) -> Option<f64> {
    metric.get("microseconds")?.as_f64()
}

/// A call of a JSON report, where each metric is an object of one key that names its type.
fn json_call(at: At, call: &BTreeMap<String, Value>) -> Result<Call, Mistake> {
    let text =
        |key: &str| call.get(key).and_then(|metric| metric.get("string")?.as_str()).unwrap_or_default().to_owned();
    let missing =
        |what: &str| fault(at.line, format!("the call has no {what}"), "export the report again, with report.json()");
    let us = call.get(DURATION).and_then(microseconds).ok_or_else(|| missing("`Duration (us)` in microseconds"))?;
    let name = text("Name");
    if name.is_empty() {
        return Err(missing("`Name`"));
    }
    let count = call.get("Count").and_then(|metric| metric.get("count")?.as_i64()).unwrap_or(1);
    // The virtual machine's profiler names the shapes after itself.
    let shapes = ["Argument Shapes", "VM::Argument Shapes"].map(text).into_iter().find(|shapes| !shapes.is_empty());
    let shapes = shapes.unwrap_or_default();
    Ok(Call { at, name, device: text("Device"), shapes, count, time_ms: us / 1000.0 })
}

fn read_csv(text: &Text, builder: &mut TraceBuilder) {
    builder.note(format!("{} is TVM's CSV, which has six digits of each time; report.json() has all", text.name));
    let mut reader = csv::ReaderBuilder::new().flexible(true).trim(csv::Trim::All).from_reader(text.text.as_bytes());
    let header = match reader.headers() {
        Ok(header) => header.clone(),
        Err(error) => return builder.refuse(text.source, fault(1, error.to_string(), "export it again")),
    };
    let column = |name: &str| header.iter().position(|column| column == name);
    let (Some(name), Some(duration)) = (column("Name"), column(DURATION)) else {
        let cause = "the table has no columns `Name` and `Duration (us)`";
        return builder.refuse(text.source, fault(1, cause, "export the report again, or use --format csv"));
    };
    let (device, shapes, count) = (column("Device"), column("Argument Shapes"), column("Count"));
    let mut calls = vec![];
    for record in reader.records() {
        let record = match record {
            Ok(record) => record,
            Err(error) => {
                let line = error.position().map_or(1, |at| at.line() as usize);
                builder.refuse(text.source, fault(line, error.to_string(), "export it again"));
                continue;
            }
        };
        let at = At { source: text.source, line: record.position().map_or(1, |at| at.line() as usize) };
        if record.len() != header.len() {
            let cause = format!("the row has {} fields where the table has {} columns", record.len(), header.len());
            builder.refuse(
                text.source,
                fault(at.line, cause, "export the report with report.json(), which is read better"),
            );
            continue;
        }
        let field = |column: Option<usize>| column.and_then(|column| record.get(column)).unwrap_or_default().to_owned();
        let us = field(Some(duration)).parse::<f64>().unwrap_or(f64::NAN);
        calls.push(Call {
            at,
            name: field(Some(name)),
            device: field(device),
            shapes: field(shapes),
            count: field(count).parse().unwrap_or(1),
            time_ms: us / 1000.0,
        });
    }
    read_report(At { source: text.source, line: 1 }, &calls, None, builder);
}

fn read_report(at: At, calls: &[Call], total: Option<f64>, builder: &mut TraceBuilder) {
    let mut right = true;
    for call in calls {
        right &= builder.is_time(call.at, &call.name, call.time_ms);
    }
    if calls.is_empty() {
        builder.refuse(at.source, fault(at.line, "the report has no call", "profile a run of the network"));
    }
    let devices: BTreeSet<&str> =
        calls.iter().map(|call| call.device.as_str()).filter(|device| !device.is_empty()).collect();
    let stated = devices.first().copied().filter(|_| devices.len() == 1);
    let (device, model) = (builder.device(at.source, stated), builder.model(at.source, None));
    let batch = builder.batch(at, calls.first().and_then(|call| leading(&call.shapes)));
    let (Some(device), Some(model), Some(batch)) = (device, model, batch) else { return };
    if !right {
        return;
    }
    if devices.len() > 1 {
        let devices: Vec<&str> = devices.into_iter().collect();
        builder.note(format!(
            "the network ran on {} together, which are one device here: {device}",
            devices.join(" and ")
        ));
    }
    let precision = builder.precision(None);
    let whole = Subject { device, model, precision, batch, layer: LayerKey::Whole };
    let mut names = Names::default();
    for call in calls {
        let mut read = |class, why: String| builder.reading(call.at, &call.name, class, why, Some(call.time_ms));
        if call.name.ends_with("__copy") || call.name.contains("device_copy") {
            read(Class::Transfer, "a copy between devices; counted in the whole only".to_owned());
            continue;
        }
        let name = names.unique(&call.name);
        let class = if call.name.contains("layout_transform") { Class::Reformat } else { Class::Layer };
        read(class, format!("`{name}`, named by order: equal names are layers that share a kernel"));
        if call.count > 1 {
            builder.note(format!("`{name}` stands for {} calls of one kernel", call.count));
        }
        builder.repeat(call.at, Subject { layer: LayerKey::Named(name), ..whole.clone() }, call.time_ms);
    }
    let sum: f64 = calls.iter().map(|call| call.time_ms).sum();
    if builder.is_time(at, "the sum of all calls", sum) {
        let why = match total {
            Some(total) => format!("the sum of {} calls; the report has {total:.4} ms in all", calls.len()),
            None => format!("the sum of {} calls", calls.len()),
        };
        builder.reading(at, "report", Class::Whole, why, Some(sum));
        builder.note(
            "TVM's profiler waits for the device after each call, so that the sum is more than a plain run takes",
        );
        builder.repeat(at, whole, sum);
    }
}

/// The leading dimension of the first of shapes as in `float32[1, 3, 224, 224], float32[..]`.
fn leading(shapes: &str) -> Option<i64> {
    let (inside, _) = shapes.split_once('[')?.1.split_once(']')?;
    inside.split(',').next()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::super::Hints;
    use super::super::tests::{named, readings, summary};

    fn call(name: &str, us: f64, device: &str) -> String {
        format!(
            "{{\"Name\":{{\"string\":\"{name}\"}},\"Duration (us)\":{{\"microseconds\":{us}}},\"Count\":{{\"count\":1}},\
             \"Device\":{{\"string\":\"{device}\"}},\"Argument Shapes\":{{\"string\":\"float32[2, 3], float32[2, 4]\"}}}}"
        )
    }

    fn report(calls: &[String]) -> String {
        format!("{{\"calls\":[\n{}],\"device_metrics\":{{}},\"configuration\":{{}}}}", calls.join(",\n"))
    }

    const WAITS: &str =
        "note: TVM's profiler waits for the device after each call, so that the sum is more than a plain run takes";

    #[test]
    fn equal_kernels_are_told_apart_by_order() {
        let text = report(&[call("k", 1000.0, "cpu0"), call("k", 2000.0, "cpu0")]);
        let model = Hints { model: Some("m".to_owned()), ..Hints::default() };
        let expected = format!("cpu0,m,k,2,all,raw,1,1\ncpu0,m,k_2,2,all,raw,1,2\ncpu0,m,whole,2,all,raw,1,3\n{WAITS}");
        assert_eq!(summary(&[("r", text.as_bytes())], &model), expected);
    }

    #[test]
    fn several_devices_need_a_name_and_copies_are_transfers() {
        let text = report(&[call("k", 1000.0, "cpu0"), call("__copy", 500.0, "cuda0"), call("l", 2000.0, "cuda0")]);
        let found = summary(&[("r", text.as_bytes())], &Hints { device: None, ..named("", "m") });
        assert_eq!(found, "0:1: the file does not say which device it was recorded on; name it with --device");
        let found = summary(&[("r", text.as_bytes())], &named("both", "m"));
        let note = "note: the network ran on cpu0 and cuda0 together, which are one device here: both";
        let expected = "both,m,k,2,all,raw,1,1\nboth,m,l,2,all,raw,1,2\nboth,m,whole,2,all,raw,1,3.5";
        assert_eq!(found, format!("{expected}\n{note}\n{WAITS}"));
        let found = readings(&[("r", text.as_bytes())], &named("both", "m"));
        assert!(found.contains(&"Transfer __copy: a copy between devices; counted in the whole only".to_owned()));
    }

    #[test]
    fn bare_quotes_in_names_are_read() {
        let text = report(&[call("say \"x\"", 1000.0, "cpu0")]);
        let found = summary(&[("r", text.as_bytes())], &named("d", "m"));
        assert!(found.starts_with("d,m,\"say \"\"x\"\"\",2,all,raw,1,1\n"), "{found}");
    }

    #[test]
    fn wrong_reports_are_refused() {
        let wrong =
            report(&[call("k", -1.0, "cpu0"), call("", 1.0, "c"), call("k", 1.0, "c").replace("microseconds", "ms")]);
        assert_eq!(
            summary(&[("r", wrong.as_bytes())], &named("d", "m")),
            "0:2: `k` has -0.001 ms, which is not a time; export it again; times lie between 0 and 1000 days\n\
             0:3: the call has no `Name`; export the report again, with report.json()\n\
             0:4: the call has no `Duration (us)` in microseconds; export the report again, with report.json()"
        );
        let empty = summary(&[("r", report(&[]).as_bytes())], &named("d", "m"));
        assert!(empty.starts_with("0:1: the report has no call; profile a run of the network"), "{empty}");
        let table = "Count,Device,Duration (us),Name\n1,cpu0,nan,k\n1,cpu0,1\n";
        assert_eq!(
            summary(&[("r", table.as_bytes())], &Hints { batch: Some(1), ..named("d", "m") }),
            "0:2: `k` has NaN ms, which is not a time; export it again; times lie between 0 and 1000 days\n\
             0:3: the row has 3 fields where the table has 4 columns; export the report with report.json(), which is read better"
        );
    }
}
