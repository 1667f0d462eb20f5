//! Imports bytes in the format that the first byte names; what is accepted must be a trace.
#![no_main]

use coinfer::cost::Trace;
use coinfer::cost::import::{Format, Hints, Source, import};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((&choice, bytes)) = data.split_first() else { return };
    let format = match choice % 8 {
        0 => None,
        1 => Some(Format::Trace),
        2 => Some(Format::OnnxRuntime),
        3 => Some(Format::Trtexec),
        4 => Some(Format::Tvm),
        5 => Some(Format::Ncnn),
        6 => Some(Format::PytorchChrome),
        _ => Some(Format::Csv),
    };
    let named = choice & 8 == 0;
    let hints = Hints {
        format,
        device: named.then(|| "device".to_owned()),
        model: named.then(|| "model".to_owned()),
        batch: (choice & 16 == 0).then_some(2),
        columns: vec![],
    };
    // A byte of zeros parts the files that are given together.
    let parts = bytes.split(|&byte| byte == 0).take(4);
    let sources: Vec<Source> = parts.map(|bytes| Source { name: "file", bytes }).collect();
    match import(&sources, &hints) {
        Ok(imported) => {
            let mut read = Trace::parse(imported.trace.to_csv().as_bytes()).expect("an imported trace is one");
            let mut made = imported.trace;
            read.rows.iter_mut().chain(&mut made.rows).for_each(|row| row.line = 0);
            assert_eq!(read, made);
        }
        Err(faults) => {
            assert!(!faults.is_empty());
            for found in faults {
                assert!(found.source < sources.len().max(1));
                assert!(found.fault.line >= 1 && !found.fault.cause.is_empty() && !found.fault.remedy.is_empty());
            }
        }
    }
});
