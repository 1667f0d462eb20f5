//! Files of recorded arrivals: columns of numbers, of which one says when queries come.

use super::decode::shorten;
use crate::cost::Mistake;

/// The columns that are times without being named by a scenario.
const TIMES: [&str; 4] = ["arrival_s", "arrival_ms", "arrival_us", "arrival_ns"];

/// The column that says which network a query is of.
const MODEL: &str = "model";
/// The column that says how many samples a query has.
const SAMPLES: &str = "samples";

/// What a file begins with.
const HEADER: &str = "begin with `arrival_s`, `arrival_ms`, `arrival_us` or `arrival_ns`, and a time on each line";

/// After so many mistakes, a file is read no further.
const FAULTS_MAX: usize = 1000;

/// Samples of a query.
const SAMPLES_MAX: u32 = 1_000_000;

/// What a file says, row by row.
#[derive(Debug)]
pub(super) struct Recording {
    columns: Vec<Column>,
    /// Networks; empty if nothing says which.
    pub(super) models: Vec<Box<str>>,
    /// Samples; empty if nothing says how many.
    pub(super) samples: Vec<u32>,
}

/// A column of numbers, or its first line that is none.
#[derive(Debug)]
struct Column {
    name: String,
    numbers: Result<Vec<f64>, String>,
}

impl Recording {
    /// The numbers of the column called `name`, or of the one that is known for times if nothing is called: its name and
    /// what it says of each row, or why there is none.
    pub(super) fn column(&self, name: Option<&str>) -> Result<(&str, &[f64]), String> {
        let is_asked = |column: &&Column| match name {
            Some(name) => column.name == name,
            None => TIMES.contains(&column.name.as_str()),
        };
        let names = || {
            let names = self.columns.iter().map(|column| format!("`{}`", shorten(&column.name)));
            format!("the file has {}", names.collect::<Vec<_>>().join(", "))
        };
        let Some(column) = self.columns.iter().find(is_asked) else {
            return Err(match name {
                Some(name) => format!("no column is called `{}`: {}", shorten(name), names()),
                None => format!("no column is called `{}`: {}", TIMES.join("`, `"), names()),
            });
        };
        match &column.numbers {
            Ok(numbers) => Ok((&column.name, numbers)),
            Err(fault) => Err(fault.clone()),
        }
    }
}

/// What is in the file, with at least one row, or what is wrong with it, line by line.
pub(super) fn parse(bytes: &[u8]) -> Result<Recording, Vec<Mistake>> {
    let fault = |line: usize, cause: String, remedy: &str| Mistake { line, cause, remedy: remedy.to_owned() };
    let text = std::str::from_utf8(bytes).map_err(|error| {
        let line = 1 + bytes[..error.valid_up_to()].iter().filter(|&&byte| byte == b'\n').count();
        vec![fault(line, "the file is not valid UTF-8".to_owned(), "save it as UTF-8 text")]
    })?;
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut lines = (1..).zip(text.lines().map(str::trim));
    let mut lines = lines.by_ref().filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let Some((line, header)) = lines.next() else {
        return Err(vec![fault(1, "the file is empty".to_owned(), HEADER)]);
    };
    let names = fields(header);
    if names.iter().enumerate().any(|(index, name)| names[..index].contains(name)) {
        return Err(vec![fault(line, "two columns have the same name".to_owned(), "give each a name of its own")]);
    }
    if names.len() == 1 && names[0].parse::<f64>().is_ok() {
        let cause = format!("`{}` is not the header of recorded arrivals", shorten(header));
        return Err(vec![fault(line, cause, HEADER)]);
    }
    let mut recording = Recording { columns: Vec::new(), models: Vec::new(), samples: Vec::new() };
    recording.columns.extend(names.iter().map(|name| Column { name: name.clone(), numbers: Ok(Vec::new()) }));
    let (mut mistakes, mut count) = (Vec::new(), 0);
    for (line, row) in lines {
        if mistakes.len() >= FAULTS_MAX {
            mistakes.push(fault(line, "the file is read no further".to_owned(), "correct the lines above first"));
            break;
        }
        let fields = fields(row);
        if fields.len() != names.len() {
            let cause = format!("this line has {} values, and the header {}", fields.len(), names.len());
            mistakes.push(fault(line, cause, "give a value for each column"));
            continue;
        }
        count += 1;
        for (column, field) in recording.columns.iter_mut().zip(fields) {
            match column.name.as_str() {
                MODEL => recording.models.push(field.as_str().into()),
                SAMPLES => match field.parse().ok().filter(|samples| (1..=SAMPLES_MAX).contains(samples)) {
                    Some(samples) => recording.samples.push(samples),
                    None => {
                        let cause = format!("`{}` is not a number of samples", shorten(&field));
                        mistakes.push(fault(line, cause, "use a whole number from 1 to 1000000"));
                    }
                },
                name => {
                    let is_time = TIMES.contains(&name);
                    let Ok(numbers) = &mut column.numbers else { continue };
                    let number = field.parse::<f64>().ok().filter(|number| number.is_finite());
                    match number.filter(|number| !is_time || *number >= 0.0) {
                        Some(number) if is_time && numbers.last().is_some_and(|&before| number < before) => {
                            let cause = "this arrival comes before the one above it".to_owned();
                            mistakes.push(fault(line, cause, "sort the times"));
                            numbers.push(number);
                        }
                        Some(number) => numbers.push(number),
                        None if is_time => {
                            let cause = format!("`{}` is not a time since the start", shorten(&field));
                            mistakes.push(fault(line, cause, "use a number, from 0 for the start to 1000 days later"));
                        }
                        None => {
                            column.numbers = Err(format!("line {line} has `{}`, which is no number", shorten(&field)));
                        }
                    }
                }
            }
        }
    }
    if mistakes.is_empty() && count == 0 {
        mistakes.push(fault(line, "no arrival is recorded".to_owned(), "add a time below the header"));
    }
    if mistakes.is_empty() { Ok(recording) } else { Err(mistakes) }
}

/// The values of a line, which may stand in quotation marks.
fn fields(line: &str) -> Vec<String> {
    if !line.contains('"') {
        return line.split(',').map(|field| field.trim().to_owned()).collect();
    }
    let mut reader = csv::ReaderBuilder::new().has_headers(false).trim(csv::Trim::All).from_reader(line.as_bytes());
    let record = reader.records().next().and_then(Result::ok).unwrap_or_default();
    record.iter().map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn columns_are_found_by_name_and_comments_and_empty_lines_say_nothing() {
        let text = "\u{feff}# from a log\r\nuser,\"at\" , arrival_s,model,samples\r\na, 7,0,x,1\r\n\r\n b,8.5,2e3,\"y\",3\r\n# a pause\r\n";
        let found = parse(text.as_bytes()).unwrap();
        assert_eq!(found.column(None).unwrap(), ("arrival_s", &[0.0, 2000.0][..]));
        assert_eq!(found.column(Some("at")).unwrap(), ("at", &[7.0, 8.5][..]));
        assert_eq!(found.column(Some("user")).unwrap_err(), "line 3 has `a`, which is no number");
        assert_eq!(
            found.column(Some("time")).unwrap_err(),
            "no column is called `time`: the file has `user`, `at`, `arrival_s`, `model`, `samples`"
        );
        assert_eq!((found.models, found.samples), (vec!["x".into(), "y".into()], vec![1, 3]));
    }

    #[test]
    fn what_is_wrong_is_told_line_by_line() {
        let mistakes = parse(b"arrival_s,samples\n1,0\n2\n1,1\nx,2\n0,2").unwrap_err();
        let told: Vec<_> = mistakes.iter().map(|fault| format!("{}: {}", fault.line, fault.cause)).collect();
        insta::assert_snapshot!(told.join("\n"), @"
        2: `0` is not a number of samples
        3: this line has 1 values, and the header 2
        5: `x` is not a time since the start
        6: this arrival comes before the one above it
        ");
        assert_eq!(parse(b"a,a\n1,2").unwrap_err()[0].cause, "two columns have the same name");
    }

    #[test]
    fn a_file_with_very_many_faults_is_not_read_to_its_end() {
        let mistakes = parse(format!("arrival_s\n{}", "x\n".repeat(100_000)).as_bytes()).unwrap_err();
        assert_eq!(
            (mistakes.len(), mistakes[1000].line, mistakes[1000].cause.as_str()),
            (1001, 1002, "the file is read no further")
        );
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_there_are_faults_or_times_in_order(rows in "(arrival_m?s\n)?([0-9.e#,\n -]|.){0,60}") {
            match parse(rows.as_bytes()) {
                Ok(found) => {
                    if let Ok((_, times)) = found.column(None) {
                        prop_assert!(!times.is_empty() && times.is_sorted());
                    }
                }
                Err(mistakes) => prop_assert!(!mistakes.is_empty()),
            }
        }
    }
}
