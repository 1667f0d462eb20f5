//! The log of trtexec: the only place that says which layers run on a deep learning accelerator (DLA).

use std::collections::BTreeSet;

use super::super::build::TraceBuilder;
use crate::platform::Precision;

/// What a log says.
#[derive(Default)]
pub(super) struct Log {
    source: usize,
    device: Option<String>,
    model: Option<String>,
    version: Option<String>,
    precision: Option<Precision>,
    dla: BTreeSet<String>,
    gpu: BTreeSet<String>,
    parallel: bool,
}

impl Log {
    /// Adds the lines of a log; whether it is one.
    pub(super) fn read(&mut self, source: usize, text: &str) -> bool {
        self.source = source;
        let mut is_log = false;
        let mut listed = None;
        for line in text.lines() {
            let after = |key: &str| line.split_once(key).map(|(_, value)| value.trim().to_owned());
            is_log |= ["[I] ", "[W] ", "[V] ", "[TRT]", "&&&& "].iter().any(|mark| line.contains(mark));
            let filled = |value: &String| !value.is_empty();
            let layer = |layer: String| layer.strip_suffix(',').map(str::to_owned).unwrap_or(layer);
            if line.contains("Layers running on DLA:") {
                listed = Some(true);
            } else if line.contains("Layers running on GPU:") {
                listed = Some(false);
            } else if let Some(name) = after("[DlaLayer] ") {
                self.dla.insert(layer(name));
            } else if let (Some(on_dla), Some(layers)) =
                (listed, after("[TRT] ").filter(|layers| layers.ends_with(',')))
            {
                let placed = if on_dla { &mut self.dla } else { &mut self.gpu };
                placed.extend(in_a_line(&layers));
            } else if let Some(layer) = after("[GpuLayer] ") {
                // `KIND: name`, where names may have colons too.
                let name = layer.split_once(": ").map_or(layer.as_str(), |(_, name)| name).to_owned();
                self.gpu.insert(name);
            } else if let Some(device) = after("Selected Device: ").filter(filled) {
                self.device = Some(device);
            } else if let Some(model) = after("[I] Model: ").filter(filled) {
                let file = model.rsplit(['/', '\\']).next().unwrap_or_default();
                self.model = Some(file.rsplit_once('.').map_or(file, |(stem, _)| stem).to_owned());
            } else if let Some(version) = after("TensorRT version: ").filter(filled) {
                self.version = Some(version);
            } else if let Some(precisions) = after("[I] Precision: ") {
                self.precision = Some(lowest(&precisions, ["INT8", "FP16"]).unwrap_or_default());
            } else if let Some(options) = after("&&&& RUNNING ") {
                let best = options.contains("--best").then_some(Precision::Int8);
                self.precision = self.precision.or(best).or(lowest(&options, ["--int8", "--fp16"]));
            } else if line.contains("auxiliary streams") && line.contains("[W]") {
                self.parallel = true;
            }
        }
        is_log
    }

    /// States the hardware and the version that the log names.
    pub(super) fn state(&self, builder: &mut TraceBuilder) {
        if let Some(device) = &self.device {
            builder.state(self.source, "hardware", device);
        }
        if let Some(version) = &self.version {
            builder.state(self.source, "software", &format!("TensorRT {version}"));
        }
    }

    /// The device that the log names.
    pub(super) fn device(&self) -> Option<&str> {
        self.device.as_deref()
    }

    /// The file of the network, without folder and ending.
    pub(super) fn model(&self) -> Option<&str> {
        self.model.as_deref()
    }

    /// The least exact precision that the engine was allowed, if the log names one.
    pub(super) fn precision(&self) -> Option<Precision> {
        self.precision
    }

    /// Whether the log warns that layers overlap.
    pub(super) fn is_parallel(&self) -> bool {
        self.parallel
    }

    /// Whether a layer is placed on the DLA.
    pub(super) fn is_dla(&self, name: &str) -> bool {
        self.dla.contains(name.trim())
    }

    /// Where a layer or all of its `members` run, if the log says so.
    pub(super) fn placement(&self, name: &str, members: &[String]) -> &'static str {
        let on = |layers: &BTreeSet<String>| layers.contains(name.trim()) || members.iter().all(|m| layers.contains(m));
        match (on(&self.dla), on(&self.gpu)) {
            (true, _) => ", on the DLA",
            (_, true) => ", on the GPU",
            _ => "",
        }
    }
}

/// The first of `int8` and `fp16` whose word is in `text`.
fn lowest(text: &str, [int8, fp16]: [&str; 2]) -> Option<Precision> {
    let known = [(int8, Precision::Int8), (fp16, Precision::Fp16)];
    known.into_iter().find(|(word, _)| text.contains(word)).map(|(_, precision)| precision)
}

/// The layers that TensorRT 7 lists in one line. Networks of a DLA stand in braces.
fn in_a_line(layers: &str) -> Vec<String> {
    let (mut found, mut depth) = (vec![String::new()], 0u32);
    for letter in layers.chars() {
        match letter {
            '{' => depth += 1,
            '}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        match (letter, depth, found.last_mut()) {
            (',', 0, _) | (_, _, None) => found.push(String::new()),
            (_, _, Some(last)) => last.push(letter),
        }
    }
    found.iter().map(|layer| layer.trim().to_owned()).filter(|layer| !layer.is_empty()).collect()
}
