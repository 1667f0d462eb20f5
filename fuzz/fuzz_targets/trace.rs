//! Reads bytes as a trace; what is accepted must be written and read back equal.
#![no_main]

use coinfer::cost::Trace;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    match Trace::parse(data) {
        Ok(mut trace) => {
            let mut read = Trace::parse(trace.to_csv().as_bytes()).expect("a written trace is one");
            read.rows.iter_mut().chain(&mut trace.rows).for_each(|row| row.line = 0);
            assert_eq!(read, trace);
        }
        Err(faults) => assert!(!faults.is_empty()),
    }
});
