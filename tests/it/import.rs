//! Profiles of other programs, from whole files. `tests/data/import/README.md` says which are real.

use std::fs;
use std::path::Path;

use coinfer::cost::Trace;
use coinfer::cost::import::{Hints, Source, import};

/// The trace of `files`, its notes, and how many rows were read as what and why.
fn summary(files: &[&str], hints: &Hints) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/import");
    let bytes: Vec<Vec<u8>> = files.iter().map(|file| fs::read(folder.join(file)).unwrap()).collect();
    let sources: Vec<Source> = files.iter().zip(&bytes).map(|(name, bytes)| Source { name, bytes }).collect();
    let imported = import(&sources, hints).unwrap();
    let csv = imported.trace.to_csv();
    let mut read = Trace::parse(csv.as_bytes()).unwrap();
    let mut made = imported.trace.clone();
    read.rows.iter_mut().chain(&mut made.rows).for_each(|row| row.line = 0);
    assert_eq!(read, made);
    let reading = |reading: &coinfer::cost::import::Reading| {
        let time = reading.time_ms.map_or("-".to_owned(), |time_ms| format!("{time_ms:.5}"));
        let line = reading.line.map_or("-".to_owned(), |line| line.to_string());
        format!("{}:{line} {:?} {} [{time}]: {}", reading.source, reading.class, reading.name, reading.why)
    };
    let readings: Vec<String> = imported.readings.iter().map(reading).collect();
    format!("{csv}\n{}\n", readings.join("\n"))
}

fn check(snapshot: &str, files: &[&str], hints: &Hints) {
    insta::with_settings!({ prepend_module_to_snapshot => false, omit_expression => true }, {
        insta::assert_snapshot!(format!("import-{snapshot}"), summary(files, hints));
    });
}

fn named(device: &str, model: &str) -> Hints {
    Hints { device: Some(device.to_owned()), model: Some(model.to_owned()), ..Hints::default() }
}

#[test]
fn a_real_profile_of_onnx_runtime() {
    check("onnx-runtime", &["onnx-runtime-basic.json", "onnx-runtime-all.json"], &named("cpu", "tiny"));
}

#[test]
fn real_traces_of_pytorch() {
    check("pytorch-annotated", &["pytorch-annotated.json"], &named("cpu", "tiny"));
    check("pytorch-steps", &["pytorch-steps.json.gz"], &named("cpu", "tiny"));
    let batch = Hints { batch: Some(2), ..named("cpu", "tiny") };
    check("pytorch-plain", &["pytorch-plain.json"], &batch);
}

#[test]
fn kernels_of_pytorch_belong_to_the_operators_that_launched_them() {
    let hints = Hints { model: Some("tiny".to_owned()), ..Hints::default() };
    check("pytorch-gpu", &["pytorch-gpu.json"], &hints);
}

#[test]
fn files_of_trtexec() {
    check(
        "trtexec",
        &["trtexec-layers.json", "trtexec-times.json", "trtexec-profile.json"],
        &named("titan", "mobilenet"),
    );
    let batch = Hints { batch: Some(1), ..Hints::default() };
    check("trtexec-dla", &["trtexec-dla.json", "trtexec-dla.log"], &batch);
}

#[test]
fn reports_of_tvm() {
    let hints = Hints { model: Some("tiny".to_owned()), ..Hints::default() };
    check("tvm-json", &["tvm-report.json"], &hints);
    check("tvm-csv", &["tvm-report.csv"], &hints);
}

#[test]
fn output_of_ncnn() {
    let hints = Hints { device: Some("board".to_owned()), ..Hints::default() };
    check("ncnn-networks", &["ncnn-networks.txt"], &hints);
    check("ncnn-layers", &["ncnn-layers.txt"], &named("board", "tiny"));
}

#[test]
fn any_other_table() {
    let hints = Hints { model: Some("tiny".to_owned()), ..Hints::default() };
    check("table", &["table.csv"], &hints);
}

#[test]
fn a_cut_off_file_is_refused_or_read_but_never_a_panic() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/import");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    for file in files {
        let bytes = fs::read(&file).unwrap();
        let hints = Hints { batch: Some(2), ..named("cpu", "tiny") };
        let step = bytes.len() / 40 + 1;
        for end in (0..bytes.len() - 2).step_by(step) {
            let sources = [Source { name: "cut off", bytes: &bytes[..end] }];
            let result = import(&sources, &hints);
            let structured = file.extension().is_some_and(|extension| extension == "json" || extension == "gz");
            assert!(!structured || result.is_err(), "{} at {end}", file.display());
        }
    }
}
