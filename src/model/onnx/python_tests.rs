//! Files that we write and read, held to onnx.checker and ONNX Runtime by `scripts/check_onnx.py`.
//!
//! The tests need a Python with the packages onnx and onnxruntime: `COINFER_PYTHON`, or the one in `target/venv`
//! (`python3 -m venv target/venv && target/venv/bin/pip install onnx onnxruntime`). Without one they say so and pass.
//! `cargo test python -- --nocapture` shows what was compared.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::testing::{Maps, outputs, piece};
use super::{read, write};
use crate::model::{Graph, LayerId, Segment, Weights, zoo};

fn python() -> Option<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let python = std::env::var_os("COINFER_PYTHON").map_or_else(|| root.join("target/venv/bin/python"), PathBuf::from);
    let imports = Command::new(&python).args(["-c", "import onnx, onnxruntime"]).output();
    let works = imports.is_ok_and(|output| output.status.success());
    if !works {
        println!("skipped: {} has no packages onnx and onnxruntime", python.display());
    }
    works.then_some(python)
}

fn script(python: &Path, command: &str, folder: &Path) {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("scripts/check_onnx.py");
    let output = Command::new(python).args(["-W", "ignore"]).arg(script).arg(command).arg(folder).output().unwrap();
    let [printed, errors] = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    println!("{printed}");
    assert!(output.status.success(), "{errors}");
}

/// Stores maps beside `folder`'s model, and gives what to write about them.
fn store(folder: &Path, kind: &str, all: &[(String, Maps)]) -> serde_json::Value {
    let entries = all.iter().enumerate().map(|(index, (name, maps))| {
        let file = format!("{kind}-{index}");
        let bytes: Vec<u8> = maps.numbers.iter().flat_map(|number| number.to_le_bytes()).collect();
        fs::write(folder.join(&file), bytes).unwrap();
        serde_json::json!({ "name": name, "shape": maps.shape, "file": file })
    });
    entries.collect()
}

/// Stores pieces of `graph`: whole, in thirds, and what lies between two thirds of its layers.
fn store_pieces(folder: &Path, graph: &Graph, samples: Option<u32>) {
    let weights = Weights::Seeded(2);
    let layers = outputs(graph, &weights, 2);
    let whole = graph.whole().unwrap();
    let [first, last] = [whole.layers().next().unwrap().0, whole.last().0];
    let third = (last - first) / 3;
    let segments = [(first, last), (first, first + third), (first + third, last - third)];
    for (first, last) in segments {
        let segment = Segment::range(LayerId(first), LayerId(last));
        let height = graph.shape(segment.last()).rows;
        for rows in [0..height, height / 3..(2 * height / 3).max(height / 3 + 1)] {
            let name = format!("{} {segment} {rows:?}", graph.name());
            let case = folder.join(format!("{:05}", fs::read_dir(folder).unwrap().count()));
            fs::create_dir(&case).unwrap();
            let file = write(graph, &weights, &segment, &rows, samples).unwrap();
            fs::write(case.join("model.onnx"), file).unwrap();
            let needed = graph.rows_needed(&segment, &rows);
            let named = |id: LayerId, maps| (graph.layer(id).name.clone(), maps);
            let inputs = needed.iter().filter(|(id, _)| !segment.contains(**id));
            let inputs: Vec<_> = inputs.map(|(&id, rows)| named(id, layers[id.0 as usize].rows(rows))).collect();
            let results = piece(graph, &weights, &layers, &segment, &rows, samples);
            let results: Vec<_> = results.into_iter().map(|(id, maps)| named(id, maps)).collect();
            let (inputs, outputs) = (store(&case, "inputs", &inputs), store(&case, "outputs", &results));
            let description = serde_json::json!({ "name": name, "inputs": inputs, "outputs": outputs });
            fs::write(case.join("case.json"), description.to_string()).unwrap();
        }
    }
}

#[test]
fn what_we_write_is_valid_and_onnx_runtime_agrees_with_rten_python() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    for graph in super::tests::every_operator() {
        for samples in [None, Some(2)] {
            store_pieces(folder.path(), &graph, samples);
        }
    }
    for name in ["squeezenet_v1.1", "mobilenet_v2", "lstm-2x512", "gru-2x512"] {
        store_pieces(folder.path(), &zoo::graph(name).unwrap(), None);
    }
    script(&python, "compare", folder.path());
}

#[test]
fn models_of_the_onnx_package_are_read_right_or_refused_python() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    script(&python, "collect", folder.path());
    for case in fs::read_dir(folder.path()).unwrap() {
        let case = case.unwrap().path();
        let bytes = fs::read(case.join("original.onnx")).unwrap();
        match read("foreign", bytes.as_slice(), &BTreeMap::new()) {
            Ok(imported) => {
                let graph = &imported.graph;
                let rows = 0..graph.shape(graph.output()).rows;
                let file = write(graph, &imported.weights, &graph.whole().unwrap(), &rows, None).unwrap();
                fs::write(case.join("rewritten.onnx"), file).unwrap();
            }
            Err(faults) => {
                assert!(!faults.is_empty());
                let fault = &faults[0];
                let operator = fault.place.split_once('(').map_or(fault.place.as_str(), |(_, operator)| operator);
                let reason = format!("{}: {}", operator.trim_end_matches(')'), fault.cause);
                fs::write(case.join("refused"), reason).unwrap();
            }
        }
    }
    script(&python, "reread", folder.path());
}
