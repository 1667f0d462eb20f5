//! The command that goes on with a sweep.

use std::ffi::OsString;

/// The command line of this process with --resume.
pub(super) fn resuming(arguments: impl Iterator<Item = OsString>) -> String {
    let mut words: Vec<String> = arguments.map(|word| word.to_string_lossy().into_owned()).collect();
    words.retain(|word| word != "--fresh" && word != "--resume");
    words.push("--resume".to_owned());
    words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(" ")
}

/// A word as shells read it.
pub(super) fn quoted(word: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "%+,-./:=@_".contains(c);
    match word {
        "" => "''".to_owned(),
        word if word.chars().all(is_plain) => word.to_owned(),
        word => format!("'{}'", word.replace('\'', r"'\''")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_goes_on_as_it_began() {
        let command = ["coinfer", "sweep", "a b.toml", "--fresh", "--set", "x=1..=4*2", "--set", "it's="];
        let again = resuming(command.iter().map(OsString::from));
        assert_eq!(again, r"coinfer sweep 'a b.toml' --set 'x=1..=4*2' --set 'it'\''s=' --resume");
        assert_eq!(resuming(["c", "--resume", ""].iter().map(OsString::from)), "c '' --resume");
    }
}
