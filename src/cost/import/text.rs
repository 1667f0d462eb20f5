//! From bytes to text: decompression, and the line that a part of a text stands on.

use std::borrow::Cow;
use std::io::Read;

use super::super::trace::Mistake;
use super::Source;
use super::build::{TraceBuilder, fault};

/// The most that a compressed file may hold: 1 GiB.
const UNPACKED_MAX: u64 = 1 << 30;
const GZIP: [u8; 2] = [0x1f, 0x8b];

/// A file as text.
pub(super) struct Text<'a> {
    /// Index of the file.
    pub(super) source: usize,
    /// Its name.
    pub(super) name: &'a str,
    /// Its content, without a byte order mark.
    pub(super) text: Cow<'a, str>,
}

/// The files that are text; the others are faults.
pub(super) fn read<'a>(sources: &[Source<'a>], builder: &mut TraceBuilder) -> Vec<Text<'a>> {
    if sources.is_empty() {
        builder.refuse(0, fault(1, "no file was given", "name the files to import"));
    }
    let mut texts = Vec::new();
    for (source, file) in sources.iter().enumerate() {
        match unpack(file.bytes, UNPACKED_MAX).and_then(decode) {
            Ok(text) => texts.push(Text { source, name: file.name, text }),
            Err(fault) => builder.refuse(source, fault),
        }
    }
    texts
}

fn unpack(bytes: &[u8], unpacked_max: u64) -> Result<Cow<'_, [u8]>, Mistake> {
    if !bytes.starts_with(&GZIP) {
        return Ok(Cow::Borrowed(bytes));
    }
    let mut unpacked = Vec::new();
    let reader = flate2::read::MultiGzDecoder::new(bytes);
    if let Err(error) = reader.take(unpacked_max + 1).read_to_end(&mut unpacked) {
        let cause = format!("the file is compressed with gzip and does not unpack: {error}");
        return Err(fault(1, cause, "export it again; it may be cut off"));
    }
    if unpacked.len() as u64 > unpacked_max {
        return Err(fault(1, "the file holds more than 1 GiB when unpacked", "record fewer runs"));
    }
    Ok(Cow::Owned(unpacked))
}

fn decode(bytes: Cow<'_, [u8]>) -> Result<Cow<'_, str>, Mistake> {
    let bad = |bytes: &[u8], valid: usize| {
        let line = 1 + bytes[..valid].iter().filter(|&&byte| byte == b'\n').count();
        fault(line, "the file is not valid UTF-8", "save it as UTF-8 text")
    };
    let text = match bytes {
        Cow::Borrowed(bytes) => {
            let text = std::str::from_utf8(bytes).map_err(|error| bad(bytes, error.valid_up_to()))?;
            Cow::Borrowed(text.strip_prefix('\u{feff}').unwrap_or(text))
        }
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8(bytes).map_err(|error| {
            let valid = error.utf8_error().valid_up_to();
            bad(error.as_bytes(), valid)
        })?),
    };
    if text.trim().is_empty() {
        let remedy = "export it again, and let the program that writes it end first";
        return Err(fault(1, "the file is empty", remedy));
    }
    Ok(text)
}

/// Where the lines of a text begin.
pub(super) struct Lines {
    ends: Vec<usize>,
}

impl Lines {
    /// The lines of `text`.
    pub(super) fn of(text: &str) -> Lines {
        Lines { ends: text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at).collect() }
    }

    /// The line of the byte at `offset`, from 1.
    pub(super) fn line(&self, offset: usize) -> usize {
        1 + self.ends.partition_point(|&end| end < offset)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn packed(bytes: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(vec![], flate2::Compression::best());
        writer.write_all(bytes).unwrap();
        writer.finish().unwrap()
    }

    #[test]
    fn what_a_compressed_file_may_hold_is_bounded() {
        let file = packed(&[b' '; 5000]);
        assert_eq!(unpack(&file, 5000).unwrap().len(), 5000);
        assert_eq!(unpack(&file, 4999).unwrap_err().cause, "the file holds more than 1 GiB when unpacked");
    }

    #[test]
    fn a_cut_off_compressed_file_is_a_fault() {
        let file = packed(b"[1, 2, 3]");
        assert_eq!(decode(unpack(&file, 99).unwrap()).unwrap(), "[1, 2, 3]");
        for end in 2..file.len() {
            let unpacked = unpack(&file[..end], 99);
            assert!(unpacked.unwrap_err().cause.starts_with("the file is compressed with gzip and does not unpack"));
        }
    }

    #[test]
    fn lines_count_from_one() {
        let lines = Lines::of("a\nb\n\nc");
        assert_eq!([0, 1, 2, 4, 5].map(|offset| lines.line(offset)), [1, 1, 2, 3, 4]);
    }
}
