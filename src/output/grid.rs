//! Text in columns for a terminal of 80 columns; it does not know what the columns mean.

use comfy_table::{CellAlignment, ContentArrangement, Table, presets};

/// Columns of a terminal.
pub(crate) const WIDTH: usize = 80;
/// Columns that separate two of a table's.
const PADDING: usize = 2;
/// Names are broken after these.
pub(crate) const NAME_BREAKS: &[char] = &[' ', '_', '-', '.'];

/// A table with a header of titles and units, in bold by ANSI escapes if so wanted. The first `left_count` columns are
/// aligned on the left, the others on the right. Cells are not wrapped; they may have several lines.
pub(crate) fn grid(
    header: &[(&str, &str)],
    left_count: usize,
    rows: impl IntoIterator<Item = Vec<String>>,
    bold: bool,
) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.add_row(header.iter().map(|(title, unit)| format!("{title}\n{unit}")));
    for row in rows {
        table.add_row(row);
    }
    for (index, column) in table.column_iter_mut().enumerate() {
        let last = index + 1 == header.len();
        column.set_padding((0, if last { 0 } else { PADDING as u16 }));
        if index >= left_count {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    let mut lines: Vec<String> = table.lines().map(|line| line.trim_end().to_owned()).collect();
    let header = lines.len().min(2);
    if bold {
        for line in &mut lines[..header] {
            *line = format!("\x1b[1m{line}\x1b[0m");
        }
    }
    let rule = lines[header..].iter().map(|line| columns(line)).max().unwrap_or(0);
    lines.insert(header, "-".repeat(rule));
    lines
}

/// The lines of a table and, below them, captions wrapped to the terminal.
pub(crate) fn page(mut lines: Vec<String>, captions: impl IntoIterator<Item = String>) -> String {
    lines.push(String::new());
    for caption in captions {
        lines.extend(wrap(&caption, WIDTH, "  ", &[' ', '/']));
    }
    lines.join("\n") + "\n"
}

/// A table of names, wrapped to what their cells leave of a line, on the left and cells on the right. Spaces before a name
/// stand before each of its lines.
pub(crate) fn named_grid(header: &[(&str, &str)], rows: Vec<(String, Vec<String>)>, bold: bool) -> Vec<String> {
    let left = room(header, rows.iter().map(|(_, cells)| cells.as_slice())).max(NARROWEST);
    let line = |(name, cells): (String, Vec<String>)| {
        let indent = &name[..name.len() - name.trim_start().len()];
        let lines = wrap(name.trim_start(), left - indent.len(), "", NAME_BREAKS);
        let name = lines.iter().map(|line| format!("{indent}{line}")).collect::<Vec<_>>().join("\n");
        [name].into_iter().chain(cells).collect()
    };
    grid(header, 1, rows.into_iter().map(line), bold)
}

/// Names are wrapped to no less than this.
const NARROWEST: usize = 8;

/// The columns that are left of a line beside cells, the last columns below `header`; rows may have none.
pub(crate) fn room<'a>(header: &[(&str, &str)], rows: impl Iterator<Item = &'a [String]> + Clone) -> usize {
    let count = rows.clone().map(<[String]>::len).max().unwrap_or(0);
    let width_of = |(index, (title, unit)): (usize, &(&str, &str))| {
        let cells = rows.clone().filter_map(|cells| cells.get(index)).map(|cell| columns(cell));
        cells.chain([title.len(), unit.len()]).max().unwrap_or(0)
    };
    let taken: usize = header[header.len() - count..].iter().enumerate().map(width_of).sum();
    WIDTH.saturating_sub(taken + PADDING * (header.len() - 1))
}

/// A value with so many decimals, or a dash if it is not known.
pub(crate) fn or_dash(value: Option<f64>, decimals: usize) -> String {
    value.map_or_else(|| "-".to_owned(), |value| format!("{value:.decimals$}"))
}

/// Decimals that show at least three digits of the smallest value and, beyond that, at most `digits` of the largest.
pub(crate) fn decimals(digits: i32, values: impl Iterator<Item = f64> + Clone) -> usize {
    let exponents = values.filter(|&value| value > 0.0).map(|value| value.log10().floor() as i32);
    let largest = exponents.clone().max().unwrap_or(0);
    let smallest = exponents.min().unwrap_or(0);
    (digits - 1 - largest).min(3).max(2 - smallest).clamp(0, 6) as usize
}

/// Lines of at most `width` columns, broken after one of `separators` where possible; all but the first are indented.
pub(crate) fn wrap(text: &str, width: usize, indent: &str, separators: &[char]) -> Vec<String> {
    let mut lines = Vec::new();
    let mut line = String::new();
    let text = text.replace(char::is_control, " ");
    for word in text.split_inclusive(separators) {
        let fits = columns(&line) + columns(word.trim_end()) <= width;
        if !fits && columns(&line) > columns(indent) {
            lines.push(std::mem::replace(&mut line, indent.to_owned()));
        }
        for c in word.chars() {
            let full = columns(&line) + column_count(c) > width;
            if full && c == ' ' {
                continue;
            }
            if full {
                lines.push(std::mem::replace(&mut line, indent.to_owned()));
            }
            line.push(c);
        }
    }
    lines.push(line);
    lines.iter().map(|line| line.trim_end().to_owned()).collect()
}

/// Columns that a terminal gives to `text`.
pub(crate) fn columns(text: &str) -> usize {
    text.chars().map(column_count).sum()
}

/// Columns that a terminal gives to `c`: two from the scripts of East Asia on, which may be too much.
fn column_count(c: char) -> usize {
    if c < '\u{1100}' { 1 } else { 2 }
}

#[cfg(test)]
mod tests {
    #[test]
    fn small_and_large_values_keep_their_digits() {
        let decimals = |values: &[f64]| super::decimals(6, values.iter().copied());
        assert_eq!(decimals(&[3761.03, 2330.1]), 2);
        assert_eq!(decimals(&[123_456.7]), 0);
        assert_eq!(decimals(&[0.012]), 4);
        assert_eq!(decimals(&[0.0]), 3);
    }
}
