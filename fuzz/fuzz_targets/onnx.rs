//! Reads bytes as an ONNX file; what is accepted can be written and read again.
#![no_main]

use std::collections::BTreeMap;

use coinfer::model::onnx;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let dims = BTreeMap::from([("height".to_owned(), 8), ("width".to_owned(), 8)]);
    match onnx::read("net", data, &dims) {
        Ok(imported) => {
            let graph = &imported.graph;
            let Some(whole) = graph.whole() else { return };
            let rows = 0..graph.shape(graph.output()).rows;
            if let Ok(bytes) = onnx::write(graph, &imported.weights, &whole, &rows, None) {
                assert!(!bytes.is_empty());
            }
        }
        Err(faults) => assert!(faults.iter().all(|fault| !fault.cause.is_empty() && !fault.remedy.is_empty())),
    }
});
