//! Protocol Buffers as ONNX needs them: messages written field by field, and read without copying.
//!
//! Weights are most of a file. They are written into it once and read in place, which general libraries do not offer.

/// A message that is being written.
#[derive(Default)]
pub(super) struct Message(Vec<u8>);

const VARINT: u64 = 0;
const LENGTH: u64 = 2;
const FIXED32: u64 = 5;

impl Message {
    pub(super) fn integer(mut self, field: u64, value: i64) -> Message {
        self.key(field, VARINT);
        self.varint(value as u64);
        self
    }

    pub(super) fn integers(self, field: u64, values: &[i64]) -> Message {
        values.iter().fold(self, |message, &value| message.integer(field, value))
    }

    pub(super) fn float(mut self, field: u64, value: f32) -> Message {
        self.key(field, FIXED32);
        self.0.extend(value.to_le_bytes());
        self
    }

    pub(super) fn text(self, field: u64, value: &str) -> Message {
        self.bytes(field, value.as_bytes())
    }

    pub(super) fn message(self, field: u64, value: Message) -> Message {
        self.bytes(field, &value.0)
    }

    pub(super) fn bytes(self, field: u64, value: &[u8]) -> Message {
        let mut message = self.open(field, value.len() as u64);
        message.0.extend_from_slice(value);
        message
    }

    /// Begins a field of `length` bytes, which the caller appends.
    pub(super) fn open(mut self, field: u64, length: u64) -> Message {
        self.key(field, LENGTH);
        self.varint(length);
        self
    }

    /// Numbers as bytes, to fill what [`Message::open`] began.
    pub(super) fn append(&mut self, numbers: impl ExactSizeIterator<Item = f32>) {
        let start = self.0.len();
        self.0.resize(start + 4 * numbers.len(), 0);
        for (bytes, number) in self.0[start..].as_chunks_mut().0.iter_mut().zip(numbers) {
            *bytes = number.to_le_bytes();
        }
    }

    /// This message, and `other`'s fields after its own.
    pub(super) fn join(mut self, other: &Message) -> Message {
        self.0.extend_from_slice(&other.0);
        self
    }

    pub(super) fn reserve(&mut self, bytes: usize) {
        self.0.reserve_exact(bytes);
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    fn key(&mut self, field: u64, kind: u64) {
        self.varint(field << 3 | kind);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}
