//! Tables whose columns sort by a click.

use super::escape::escaped;

/// A column's title and unit.
pub(super) struct Title {
    pub(super) name: String,
    pub(super) unit: String,
}

/// What is in a cell.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum TableCell {
    Text(String),
    /// A number, and the ends of its confidence interval.
    Number(f64, Option<(f64, f64)>),
    Unknown,
}

/// The table in a frame that scrolls, without columns of which nothing is known.
pub(super) fn table_html(titles: &[Title], rows: &[Vec<TableCell>]) -> String {
    let is_known = |column: &usize| rows.iter().any(|row| row[*column] != TableCell::Unknown);
    let columns: Vec<usize> = (0..titles.len()).filter(is_known).collect();
    let header = |column: usize| {
        let Title { name, unit } = &titles[column];
        let is_text = rows.iter().any(|row| matches!(row[column], TableCell::Text(_)));
        let class = if is_text { " class=\"text\"" } else { "" };
        let unit = if unit.is_empty() { String::new() } else { format!("<small>{}</small>", escaped(unit)) };
        format!("<th scope=\"col\"{class}><button type=\"button\">{}{unit}</button></th>", escaped(name))
    };
    let headers: String = columns.iter().map(|&column| header(column)).collect();
    let row = |row: &Vec<TableCell>| {
        let cells: String = columns.iter().map(|&column| cell_html(&row[column])).collect();
        format!("<tr>{cells}</tr>\n")
    };
    let body: String = rows.iter().map(row).collect();
    format!(
        "<div class=\"scroll\">\n<table class=\"results\">\n<thead><tr>{headers}</tr></thead>\n<tbody>\n{body}</tbody>\n\
         </table>\n</div>\n"
    )
}

fn cell_html(cell: &TableCell) -> String {
    match cell {
        TableCell::Text(text) => format!("<td class=\"text\">{}</td>", escaped(text)),
        TableCell::Number(value, None) => format!("<td data-value=\"{value}\">{}</td>", rounded(*value)),
        TableCell::Number(value, Some((low, high))) => {
            let (shown, low, high) = (rounded(*value), rounded(*low), rounded(*high));
            format!("<td data-value=\"{value}\">{shown} <small>[{low}, {high}]</small></td>")
        }
        TableCell::Unknown => "<td data-value=\"\"></td>".to_owned(),
    }
}

/// Four digits, or all of a whole number.
fn rounded(value: f64) -> String {
    if value == value.trunc() && value.abs() < 1e15 {
        return format!("{value:.0}");
    }
    if !(1e-3..1e9).contains(&value.abs()) {
        return format!("{value:.3e}");
    }
    let decimals = (3.0 - value.abs().log10().floor()).clamp(0.0, 6.0) as usize;
    format!("{value:.decimals$}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_four_digits_and_sort_by_all_of_them() {
        assert_eq!(
            [2.34567, 12345.678, 200.0, 0.00001, 0.25].map(rounded),
            ["2.346", "12346", "200", "1.000e-5", "0.2500"]
        );
        let cell = cell_html(&TableCell::Number(1.23456, Some((1.0, 1.5))));
        assert_eq!(cell, "<td data-value=\"1.23456\">1.235 <small>[1, 1.500]</small></td>");
    }

    #[test]
    fn what_users_wrote_is_escaped() {
        let title = Title { name: "<a>".into(), unit: "\"b\"".into() };
        let html = table_html(&[title], &[vec![TableCell::Text("</td><script>".into())]]);
        assert!(html.contains("&lt;a&gt;<small>&quot;b&quot;</small>") && html.contains("&lt;/td&gt;&lt;script&gt;"));
    }
}
