//! Events of a Chrome trace as PyTorch's profiler (Kineto) writes them.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::Value;
use serde_json::value::RawValue;

use super::super::build::{At, TraceBuilder};
use super::super::json::Document;
use super::super::text::Text;

/// Times beyond this many nanoseconds are not exact as written.
const NANOS_MAX: f64 = 9e15;

/// What an event is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sort {
    /// A part of the program that the user named.
    Annotation,
    /// An operator on the host.
    Operator,
    /// A call of the device's runtime.
    Runtime,
    /// Work on the device.
    Kernel,
    /// A copy to, from or on the device.
    Copy,
    /// Anything else.
    Other,
}

/// An event that lasts.
#[derive(Debug)]
pub(super) struct Event {
    /// Where it stands.
    pub(super) at: At,
    /// What it is.
    pub(super) sort: Sort,
    /// Its name.
    pub(super) name: String,
    /// The process and thread, as written.
    pub(super) thread: (String, String),
    /// When it begins, in nanoseconds.
    pub(super) start: i64,
    /// When it ends, in nanoseconds.
    pub(super) end: i64,
    /// Number of the operator that caused it.
    pub(super) external: Option<i64>,
    /// Number that a runtime call shares with what it launched.
    pub(super) correlation: Option<i64>,
    /// The leading dimension of the first input that has a shape.
    pub(super) leading: Option<i64>,
}

impl Event {
    /// How long it lasts, in milliseconds.
    pub(super) fn time_ms(&self) -> f64 {
        (self.end - self.start) as f64 / 1e6
    }
}

#[derive(Deserialize)]
struct File<'a> {
    #[serde(borrow, rename = "traceEvents")]
    events: Vec<&'a RawValue>,
    #[serde(default, rename = "deviceProperties")]
    devices: Vec<Value>,
}

#[derive(Deserialize)]
struct Written<'a> {
    #[serde(borrow, default)]
    ph: Cow<'a, str>,
    #[serde(borrow, default)]
    cat: Cow<'a, str>,
    #[serde(borrow, default)]
    name: Cow<'a, str>,
    ts: Option<f64>,
    dur: Option<f64>,
    #[serde(default)]
    pid: Value,
    #[serde(default)]
    tid: Value,
    #[serde(default)]
    args: Value,
}

/// The events of a file that last, and the device that it names.
pub(super) fn read(text: &Text, builder: &mut TraceBuilder) -> Option<(Vec<Event>, Option<String>)> {
    let document = Document::new(&text.text);
    let elements = if text.text.trim_start().starts_with('[') {
        document.read().map(|events| File { events, devices: vec![] })
    } else {
        document.read::<File>()
    };
    let file = match elements {
        Ok(file) => file,
        Err(fault) => {
            builder.refuse(text.source, fault);
            return None;
        }
    };
    let device = file.devices.first().and_then(|device| device.get("name")?.as_str()).map(str::to_owned);
    let mut events = vec![];
    let mut right = true;
    for element in file.events {
        let at = At { source: text.source, line: document.line(element) };
        let written: Written = match document.element(element) {
            Ok(written) => written,
            Err(fault) => {
                builder.refuse(text.source, fault);
                right = false;
                continue;
            }
        };
        // Metadata, flows and marks are no measurements.
        if written.ph != "X" {
            continue;
        }
        let (start, duration) = (written.ts.unwrap_or(f64::NAN) * 1e3, written.dur.unwrap_or(f64::NAN));
        right &= builder.is_time(at, &written.name, duration / 1e3);
        if !(-NANOS_MAX..=NANOS_MAX).contains(&start) {
            builder.is_time(at, &written.name, f64::NAN);
            right = false;
        }
        if right {
            events.push(event(at, &written, start.round() as i64, (duration * 1e3).round() as i64));
        }
    }
    right.then_some((events, device))
}

fn event(at: At, written: &Written, start: i64, duration: i64) -> Event {
    let number = |names: [&str; 2]| names.iter().find_map(|name| written.args.get(name)?.as_i64());
    let sort = match written.cat.as_ref() {
        "user_annotation" => Sort::Annotation,
        "cpu_op" => Sort::Operator,
        "cuda_runtime" | "cuda_driver" | "hip_runtime" => Sort::Runtime,
        "kernel" => Sort::Kernel,
        "gpu_memcpy" | "gpu_memset" => Sort::Copy,
        _ => Sort::Other,
    };
    let shapes = written.args.get("Input Dims").and_then(Value::as_array);
    Event {
        at,
        sort,
        name: written.name.clone().into_owned(),
        thread: (written.pid.to_string(), written.tid.to_string()),
        start,
        end: start + duration,
        external: number(["External id", "external id"]),
        correlation: number(["correlation", "correlation id"]),
        leading: shapes.into_iter().flatten().find_map(|shape| shape.get(0)?.as_i64()),
    }
}
