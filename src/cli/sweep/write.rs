//! The files and the table of a sweep, from records that come one after the other: they need not fit into memory.

use std::fs::File;
use std::io;
use std::path::Path;

use rayon::prelude::*;

use super::record::{Line, Record};
use crate::cli::results::Results;
use crate::cli::run::Format;
use crate::cli::{Error, Terminal};
use crate::figures::throughput_figure;
use crate::metrics::Failure;
use crate::output::{ResultColumns, ResultRow, SweepTable, results_csv, write_sweep_json};

/// Points that are read at a time, on all threads.
const CHUNK: usize = 256;

/// A figure of more results would have more marks than pixels.
const FIGURE_ROWS_MAX: usize = 5_000;

/// The lines of a sweep's points, in the sweep's order.
pub(in crate::cli) struct Lines<'a> {
    pub(in crate::cli) count: usize,
    /// The line at a position.
    pub(in crate::cli) read: &'a mut dyn FnMut(usize) -> io::Result<String>,
}

impl Lines<'_> {
    /// Hands records to `each` in order, with what `prepare` made of each on some thread.
    fn each<T: Send>(
        &mut self,
        prepare: impl Fn(&Record) -> T + Sync,
        mut each: impl FnMut(&Record, T) -> io::Result<()>,
    ) -> io::Result<()> {
        for start in (0..self.count).step_by(CHUNK) {
            let positions = start..self.count.min(start + CHUNK);
            let lines: Vec<String> = positions.map(&mut *self.read).collect::<io::Result<_>>()?;
            let of_line = |line: &String| {
                let record = record(line)?;
                let prepared = prepare(&record);
                Some((record, prepared))
            };
            let records: Vec<Option<(Record, T)>> = lines.par_iter().map(of_line).collect();
            for found in records {
                let (record, prepared) = found.ok_or_else(|| io::Error::other("a line of the journal is damaged"))?;
                each(&record, prepared)?;
            }
        }
        Ok(())
    }

    fn columns_of_first(&mut self) -> io::Result<ResultColumns> {
        let mut columns = ResultColumns::default();
        if self.count > 0 {
            record(&(self.read)(0)?).iter().flat_map(Record::rows).for_each(|row| columns.add(&row));
        }
        Ok(columns)
    }

    fn all(&mut self) -> io::Result<Vec<Record>> {
        let records = (0..self.count).map(|position| Ok(record(&(self.read)(position)?)));
        Ok(records.collect::<io::Result<Vec<_>>>()?.into_iter().flatten().collect())
    }

    /// Adds what a terminal shows of all rows.
    pub(in crate::cli) fn table(&mut self) -> io::Result<SweepTable> {
        let mut table = SweepTable::default();
        self.rows(&mut |row| {
            table.add(row);
            Ok(())
        })?;
        Ok(table)
    }

    /// Hands every row to `each`, in order.
    fn rows(&mut self, each: &mut dyn FnMut(&ResultRow<'_>) -> io::Result<()>) -> io::Result<()> {
        self.each(|_| (), |record, ()| record.rows().try_for_each(|row| each(&row)))
    }
}

fn record(line: &str) -> Option<Record> {
    match Line::parse(line)? {
        Line::Point { record, .. } => serde_json::from_str(record).ok(),
        Line::Head(_) | Line::Complete => None,
    }
}

/// Writes `results.csv` and the figure; returns what a terminal shows.
pub(in crate::cli) fn write(results: &Results, title: &str, lines: &mut Lines<'_>) -> Result<SweepTable, Error> {
    let mut columns = lines.columns_of_first()?;
    // The header needs all settings and devices. The first point has them, as a rule: a second pass is rare.
    let table = loop {
        let (grown, table) = write_csv(results, &columns, lines)?;
        if grown == columns {
            break table;
        }
        columns = grown;
    };
    if table.row_count() <= FIGURE_ROWS_MAX {
        write_figure(results, title, lines)?;
    }
    Ok(table)
}

/// Writes `results.csv` with these columns; returns those that it should have.
fn write_csv(
    results: &Results,
    columns: &ResultColumns,
    lines: &mut Lines<'_>,
) -> Result<(ResultColumns, SweepTable), Error> {
    let (mut grown, mut table) = (columns.clone(), SweepTable::default());
    results.write_with("results.csv", |output| {
        output.write_all(&columns.header_csv())?;
        let csv = |record: &Record| columns.lines_csv(&record.rows().collect::<Vec<_>>());
        lines.each(csv, |record, csv| {
            for row in record.rows() {
                table.add(&row);
                grown.add(&row);
            }
            output.write_all(&csv)
        })
    })?;
    Ok((grown, table))
}

/// Draws the throughput where a setting with numbers is swept.
fn write_figure(results: &Results, title: &str, lines: &mut Lines<'_>) -> Result<(), Error> {
    let records = lines.all()?;
    let rows: Vec<ResultRow<'_>> = records.iter().flat_map(Record::rows).collect();
    if let Some(figure) = throughput_figure(title, &results_csv(&rows)) {
        results.write(&format!("{}.svg", figure.path), figure.svg)?;
    }
    Ok(())
}

/// Prints a sweep whose results are in `folder`.
pub(in crate::cli) fn print(
    format: Format,
    title: &str,
    table: &SweepTable,
    lines: &mut Lines<'_>,
    folder: &Path,
    terminal: &Terminal,
) -> Result<(), Error> {
    match format {
        Format::Table => terminal.print(table.print(title, terminal.is_bold()))?,
        Format::Json => {
            terminal.print_with(|output| write_sweep_json(output, title, &mut |each| lines.rows(each)))?;
        }
        Format::Csv => {
            let path = folder.join("results.csv");
            let cannot_read = |error| Error::Failed(format!("cannot read `{}`: {error}", path.display()));
            let mut file = File::open(&path).map_err(cannot_read)?;
            terminal.print_with(|output| io::copy(&mut file, output).map(drop))?;
        }
    }
    Ok(())
}

/// How a sweep ends whose results are in place: not well if some of them failed.
pub(in crate::cli) fn verdict(table: &SweepTable) -> Result<(), Error> {
    let Some(Failure { strategy, reason }) = table.first_failure() else {
        return Ok(());
    };
    let (failed, all) = (table.failure_count(), table.row_count());
    Err(Error::Partial(format!("{failed} of {all} results failed; the first: {strategy}: {reason}")))
}
