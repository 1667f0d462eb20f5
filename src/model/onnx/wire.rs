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

/// What is wrong with bytes that should be a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Malformed;

/// The value of a field that has been read.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Value<'a> {
    Varint(u64),
    Fixed32([u8; 4]),
    Fixed64([u8; 8]),
    Bytes(&'a [u8]),
}

/// The fields of a message, in the file's order.
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Result<(u64, Value<'a>), Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = self.field();
        if field.is_err() {
            self.0 = &[];
        }
        Some(field)
    }
}

impl<'a> Fields<'a> {
    fn field(&mut self) -> Result<(u64, Value<'a>), Malformed> {
        let key = read_varint(&mut self.0)?;
        let value = match key & 7 {
            VARINT => Value::Varint(read_varint(&mut self.0)?),
            1 => Value::Fixed64(self.array()?),
            LENGTH => {
                let length = read_varint(&mut self.0)?;
                let length = usize::try_from(length).map_err(|_| Malformed)?;
                let (bytes, rest) = self.0.split_at_checked(length).ok_or(Malformed)?;
                self.0 = rest;
                Value::Bytes(bytes)
            }
            FIXED32 => Value::Fixed32(self.array()?),
            _ => return Err(Malformed),
        };
        Ok((key >> 3, value))
    }

    fn array<const LENGTH: usize>(&mut self) -> Result<[u8; LENGTH], Malformed> {
        let (array, rest) = self.0.split_first_chunk().ok_or(Malformed)?;
        self.0 = rest;
        Ok(*array)
    }
}

impl<'a> Value<'a> {
    pub(super) fn bytes(self) -> Result<&'a [u8], Malformed> {
        if let Value::Bytes(bytes) = self { Ok(bytes) } else { Err(Malformed) }
    }

    pub(super) fn text(self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed)
    }

    pub(super) fn integer(self) -> Result<i64, Malformed> {
        if let Value::Varint(value) = self { Ok(value as i64) } else { Err(Malformed) }
    }

    pub(super) fn float(self) -> Result<f32, Malformed> {
        if let Value::Fixed32(bytes) = self { Ok(f32::from_le_bytes(bytes)) } else { Err(Malformed) }
    }

    /// One element of a repeated field, or all of them in one block.
    pub(super) fn integers_into(self, all: &mut Vec<i64>) -> Result<(), Malformed> {
        let Value::Bytes(mut block) = self else {
            all.push(self.integer()?);
            return Ok(());
        };
        while !block.is_empty() {
            all.push(read_varint(&mut block)? as i64);
        }
        Ok(())
    }

    /// As [`Value::integers_into`].
    pub(super) fn floats_into(self, all: &mut Vec<f32>) -> Result<(), Malformed> {
        let Value::Bytes(block) = self else {
            all.push(self.float()?);
            return Ok(());
        };
        let (floats, []) = block.as_chunks() else { return Err(Malformed) };
        all.extend(floats.iter().map(|&bytes| f32::from_le_bytes(bytes)));
        Ok(())
    }

    /// As [`Value::floats_into`], of the double-precision kind.
    pub(super) fn doubles_into(self, all: &mut Vec<f32>) -> Result<(), Malformed> {
        let single;
        let block = match self {
            Value::Bytes(block) => block,
            Value::Fixed64(bytes) => {
                single = bytes;
                &single
            }
            _ => return Err(Malformed),
        };
        let (doubles, []) = block.as_chunks() else { return Err(Malformed) };
        all.extend(doubles.iter().map(|&bytes| f64::from_le_bytes(bytes) as f32));
        Ok(())
    }
}

fn read_varint(bytes: &mut &[u8]) -> Result<u64, Malformed> {
    let mut value: u64 = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(Malformed)?;
        *bytes = rest;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(value);
        }
    }
    Err(Malformed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let inner = Message::default().text(1, "name").integers(2, &[-1, 300]);
        let bytes = Message::default().message(7, inner).float(2, 1.5).integer(3, i64::MIN).into_bytes();
        let fields: Vec<_> = Fields(&bytes).collect::<Result<_, _>>().unwrap();
        assert_eq!(fields[0].0, 7);
        assert_eq!(fields[1].1.float(), Ok(1.5));
        assert_eq!(fields[2].1.integer(), Ok(i64::MIN));
        let mut numbers = Vec::new();
        for field in Fields(fields[0].1.bytes().unwrap()).skip(1) {
            field.unwrap().1.integers_into(&mut numbers).unwrap();
        }
        assert_eq!(numbers, [-1, 300]);
    }

    #[test]
    fn bytes_that_are_no_message_are_refused() {
        for bytes in [&[0x80][..], &[0x0a, 5, 1], &[0x0d, 1, 2], &[0x0b], &[0xff; 12], &[0x0a]] {
            assert!(Fields(bytes).any(|field| field.is_err()), "{bytes:x?}");
        }
        assert_eq!(Value::Varint(1).text(), Err(Malformed));
        assert_eq!(Value::Bytes(&[0xff]).text(), Err(Malformed));
        assert_eq!(Value::Bytes(&[1, 2, 3]).floats_into(&mut vec![]), Err(Malformed));
    }
}
