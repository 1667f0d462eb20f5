//! Reads bytes as each message that an agent can get; what is accepted says how large it is.
#![no_main]

use coinfer::replay::wire::{Frame, FrameKind};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    for kind in FrameKind::ALL {
        match Frame::read(kind, data) {
            Ok(frame) => assert_eq!(frame.kind, kind),
            Err(refusal) => assert!(!refusal.to_string().is_empty()),
        }
    }
});
