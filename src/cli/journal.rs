//! A file of lines that outlive the program: each is whole or not there, whenever the program is killed.
//!
//! What lines say is up to those who write them: `visits` of a profile, `sweep` of points.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use super::Error;

/// A journal that is open for more lines. Nobody else can write to it meanwhile.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    file: File,
    /// Bytes of whole lines.
    end: u64,
}

/// Where the text of a line is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct LinePlace {
    start: u64,
    length: u32,
}

/// Hexadecimal digits of the checksum that a line begins with.
const SUM_DIGITS: usize = 16;

impl Journal {
    /// Opens the journal at `path`, hands its sound lines to `each`, and waits for more. What a killed program left of
    /// its last line is removed. Folders above it are created.
    ///
    /// # Errors
    /// If someone else is writing to it, or if it cannot be written.
    pub(super) fn open(path: &Path, each: impl FnMut(LinePlace, &str)) -> Result<Journal, Error> {
        let failed = |error: io::Error| failed(path, &error);
        if let Some(folder) = path.parent().filter(|folder| !folder.as_os_str().is_empty()) {
            fs::create_dir_all(folder).map_err(failed)?;
        }
        let shown = path.display();
        if fs::symlink_metadata(path).is_ok_and(|found| !found.is_file()) {
            return Err(Error::Usage(format!("`{shown}`, where what is done so far is kept, is no file; remove it")));
        }
        let file = OpenOptions::new().read(true).append(true).create(true).open(path).map_err(failed)?;
        if let Err(TryLockError::WouldBlock) = file.try_lock() {
            return Err(Error::Usage(format!(
                "another run is writing to `{shown}`; wait for it, or choose another folder with --out"
            )));
        }
        let end = read_from(&file, each).map_err(failed)?;
        file.set_len(end).map_err(failed)?;
        Ok(Journal { path: path.to_owned(), file, end })
    }

    /// Removes all lines.
    pub(super) fn clear(&mut self) -> Result<(), Error> {
        self.file.set_len(0).map_err(|error| failed(&self.path, &error))?;
        self.end = 0;
        Ok(())
    }

    /// Adds a line with this text, on disk too, and returns where it is. The text has no line breaks.
    pub(super) fn add(&mut self, text: &str) -> Result<LinePlace, Error> {
        let line = format!("{} {text}\n", sum(text));
        self.file.write_all(line.as_bytes()).map_err(|error| failed(&self.path, &error))?;
        let place = LinePlace { start: self.end + SUM_DIGITS as u64 + 1, length: text.len() as u32 };
        self.end += line.len() as u64;
        Ok(place)
    }

    /// Sees to it that lines outlive the machine too.
    pub(super) fn sync(&self) -> Result<(), Error> {
        self.file.sync_data().map_err(|error| failed(&self.path, &error))
    }

    /// The text at `place`.
    pub(super) fn text(&self, place: LinePlace) -> io::Result<String> {
        text_at(&self.file, place)
    }

    /// Whether it has no lines, not even damaged ones.
    pub(super) fn is_empty(&self) -> bool {
        self.end == 0
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it from disk.
    pub(super) fn remove(self) {
        // A journal that stays is of something that is done, and does no harm.
        drop(fs::remove_file(&self.path));
    }
}

impl Drop for Journal {
    /// Lets others write. To close the file would not do while a process that this one is just starting has a copy of it.
    fn drop(&mut self) {
        drop(self.file.unlock());
    }
}

/// Hands the sound lines of the journal at `path` to `each`. Others may be writing to it.
pub(super) fn read(path: &Path, each: impl FnMut(LinePlace, &str)) -> Result<File, Error> {
    let file = File::open(path).map_err(|error| cannot_read(path, &error))?;
    read_from(&file, each).map_err(|error| cannot_read(path, &error))?;
    Ok(file)
}

/// The text at `place` of a journal.
pub(super) fn text_at(mut file: &File, place: LinePlace) -> io::Result<String> {
    let mut bytes = vec![0; place.length as usize];
    file.seek(SeekFrom::Start(place.start))?;
    file.read_exact(&mut bytes)?;
    String::from_utf8(bytes).map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
}

/// Hands sound lines to `each`, and returns where the last whole line ends. Lines that are damaged are left out.
fn read_from(file: &File, mut each: impl FnMut(LinePlace, &str)) -> io::Result<u64> {
    let mut reader = BufReader::with_capacity(1 << 16, file);
    reader.seek(SeekFrom::Start(0))?;
    let (mut end, mut line) = (0, Vec::new());
    loop {
        line.clear();
        let length = reader.read_until(b'\n', &mut line)? as u64;
        if line.pop() != Some(b'\n') {
            return Ok(end);
        }
        if let Some(text) = std::str::from_utf8(&line).ok().and_then(checked)
            && let Ok(length) = u32::try_from(text.len())
        {
            each(LinePlace { start: end + SUM_DIGITS as u64 + 1, length }, text);
        }
        end += length;
    }
}

/// The text of a line, if it is the one that was written.
fn checked(line: &str) -> Option<&str> {
    let (found, text) = line.split_at_checked(SUM_DIGITS)?;
    text.strip_prefix(' ').filter(|text| sum(text) == found)
}

fn sum(text: &str) -> String {
    let mut sum = blake3::hash(text.as_bytes()).to_hex().to_string();
    sum.truncate(SUM_DIGITS);
    sum
}

fn failed(path: &Path, error: &io::Error) -> Error {
    Error::Failed(format!("cannot write `{}`: {error}; what was written before is kept", path.display()))
}

fn cannot_read(path: &Path, error: &io::Error) -> Error {
    Error::Failed(format!("cannot read `{}`: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> (Journal, Vec<String>) {
        let mut lines = Vec::new();
        let journal = Journal::open(path, |_, text| lines.push(text.to_owned())).unwrap();
        (journal, lines)
    }

    #[test]
    fn lines_are_there_again_and_where_they_were_said_to_be() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("below/journal");
        let (mut journal, lines) = open(&path);
        assert_eq!(lines, [""; 0]);
        let texts = ["one", "", "zw\u{f6}lf 12"];
        let places = texts.map(|text| journal.add(text).unwrap());
        assert_eq!(places.map(|place| journal.text(place).unwrap()), texts);
        drop(journal);
        let mut found = Vec::new();
        let journal = Journal::open(&path, |place, _| found.push(place)).unwrap();
        assert_eq!(found, places);
        assert_eq!(journal.text(found[2]).unwrap(), texts[2]);
        journal.remove();
        assert!(!path.exists());
    }

    #[test]
    fn a_torn_line_is_cut_off_wherever_it_ends() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("journal");
        let (mut journal, _) = open(&path);
        journal.add("first").unwrap();
        let kept = journal.end;
        journal.add("second, which is longer").unwrap();
        let bytes = fs::read(&path).unwrap();
        drop(journal);
        for length in kept as usize..bytes.len() {
            fs::write(&path, &bytes[..length]).unwrap();
            let (mut journal, lines) = open(&path);
            assert_eq!(lines, ["first"], "{length}");
            journal.add("third").unwrap();
            drop(journal);
            assert_eq!(open(&path).1, ["first", "third"]);
        }
    }

    #[test]
    fn a_copy_of_the_file_in_another_process_keeps_nobody_out() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("journal");
        let (journal, _) = open(&path);
        let copy = journal.file.try_clone().unwrap();
        drop(journal);
        open(&path);
        drop(copy);
    }

    #[test]
    fn a_damaged_line_is_left_out_and_the_others_stay() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("journal");
        let (mut journal, _) = open(&path);
        for text in ["first", "second", "third"] {
            journal.add(text).unwrap();
        }
        drop(journal);
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.windows(6).position(|bytes| bytes == b"second").unwrap();
        for damage in [b'x', 0xff, b'\n', 0] {
            bytes[at] = damage;
            fs::write(&path, &bytes).unwrap();
            assert_eq!(open(&path).1, ["first", "third"]);
        }
    }

    #[test]
    fn nobody_else_can_write_meanwhile() {
        let place = tempfile::tempdir().unwrap();
        let path = place.path().join("journal");
        let (mut journal, _) = open(&path);
        journal.add("first").unwrap();
        let refused = Journal::open(&path, |_, _| {});
        assert!(matches!(refused, Err(Error::Usage(message)) if message.contains("another run is writing")));
        let mut count = 0;
        read(&path, |_, _| count += 1).unwrap();
        assert_eq!(count, 1, "reading is possible");
        drop(journal);
        open(&path);
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_full_disk_is_an_error_and_no_panic() {
        let file = OpenOptions::new().append(true).open("/dev/full").unwrap();
        let mut journal = Journal { path: "journal".into(), file, end: 0 };
        let refused = journal.add("text");
        assert!(matches!(refused, Err(Error::Failed(message)) if message.contains("cannot write `journal`")));
    }
}
