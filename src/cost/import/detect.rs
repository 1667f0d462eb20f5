//! Which format a file has, by its content.

use super::super::read::MAGIC;
use super::super::trace::Mistake;
use super::build::fault;
use super::table;
use super::text::Text;
use super::{Format, Hints, ncnn};

/// The beginning of a file that shows its format.
const SEEN: usize = 1 << 16;

/// The format of a file.
pub(super) fn format(text: &Text, hints: &Hints) -> Result<Format, Mistake> {
    if let Some(format) = hints.format {
        return if format != Format::Csv && !hints.columns.is_empty() {
            Err(fault(1, "--map is for CSV files only", "leave it out, or use --format csv"))
        } else {
            Ok(format)
        };
    }
    if !hints.columns.is_empty() {
        return Ok(Format::Csv);
    }
    by_content(&text.text).ok_or_else(|| {
        let remedy = "force one with --format; for any other table, name its columns with --map COLUMN=FIELD";
        fault(1, "the format of the file was not recognised", remedy)
    })
}

fn by_content(text: &str) -> Option<Format> {
    let text = text.trim_start();
    let mut end = SEEN.min(text.len());
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    let start = &text[..end];
    let has = |part: &str| start.contains(part);
    if start.starts_with(MAGIC) {
        return Some(Format::Trace);
    }
    if start.starts_with('[') && !is_log(start) {
        let session = ["_kernel_time\"", "\"model_run\"", "\"session_initialization\"", "\"model_loading_"];
        return if has("\"averageMs\"") || has("\"timeMs\"") || has("\"computeMs\"") || has("\"startComputeMs\"") {
            Some(Format::Trtexec)
        } else if has("\"cat\"") && session.iter().any(|name| has(name)) {
            Some(Format::OnnxRuntime)
        } else {
            (has("\"ph\"") && has("\"cpu_op\"")).then_some(Format::PytorchChrome)
        };
    }
    if start.starts_with('{') {
        return if text.contains("\"traceEvents\"") {
            Some(Format::PytorchChrome)
        } else if has("\"Layers\"") {
            Some(Format::Trtexec)
        } else {
            (has("\"calls\"") || text.contains("\"device_metrics\"")).then_some(Format::Tvm)
        };
    }
    if is_log(start) {
        Some(Format::Trtexec)
    } else if start.lines().any(ncnn::is_line) {
        Some(Format::Ncnn)
    } else if start.lines().next().is_some_and(|line| line.contains("Duration (us)") && line.contains("Name")) {
        Some(Format::Tvm)
    } else {
        table::is_table(start).then_some(Format::Csv)
    }
}

/// Whether a text is a log of trtexec.
fn is_log(start: &str) -> bool {
    ["TensorRT.trtexec", "[I] === ", "] [I] ", "[I] [TRT]"].iter().any(|mark| start.contains(mark))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_are_told_by_content() {
        let check = |text: &str, expected| assert_eq!(by_content(text), expected, "{text}");
        check("# coinfer trace 1\n", Some(Format::Trace));
        check("[{\"cat\" : \"Session\",\"name\" :\"model_run\"}]", Some(Format::OnnxRuntime));
        check("[\n  { \"count\" : 3 }\n, { \"name\" : \"a\", \"timeMs\" : 1 }]", Some(Format::Trtexec));
        check("[{ \"startEnqMs\" : 1, \"computeMs\" : 2 }]", Some(Format::Trtexec));
        check("{\"Layers\": [], \"Bindings\": []}", Some(Format::Trtexec));
        check("[05/08/2024-14:05:14] [I] === Model Options ===\n", Some(Format::Trtexec));
        check("&&&& RUNNING TensorRT.trtexec [TensorRT v8502] # trtexec\n", Some(Format::Trtexec));
        check(" {\"schemaVersion\": 1, \"traceEvents\": []}", Some(Format::PytorchChrome));
        check("{\"calls\": [], \"device_metrics\": {}}", Some(Format::Tvm));
        check("Argument Shapes,Count,Device,Duration (us),Hash,Name,Percent\n", Some(Format::Tvm));
        check("loop_count = 4\n   squeezenet  min =  1.00  max =  1.07  avg =    1.04\n", Some(Format::Ncnn));
        check("layer,device,precision,batch,repeat,time_ms\n", Some(Format::Csv));
        check("[1, 2]", None);
        check("{}", None);
        check("ä", None);
    }
}
