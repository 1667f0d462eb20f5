//! The project's own traces, joined.

use super::super::trace::{LayerKey, Trace};
use super::Class;
use super::build::{At, TraceBuilder};
use super::text::Text;
use crate::units::Share;

/// Adds the rows and the provenance of traces.
pub(super) fn read(texts: &[&Text], builder: &mut TraceBuilder) {
    for text in texts {
        let trace = match Trace::parse(text.text.as_bytes()) {
            Ok(trace) => trace,
            Err(faults) => {
                faults.into_iter().for_each(|fault| builder.refuse(text.source, fault));
                continue;
            }
        };
        builder.of_kind(text.source, trace.kind);
        let hints = builder.hints;
        if hints.device.is_some() || hints.model.is_some() || hints.batch.is_some() {
            builder.note("traces of the project name device, network and batch in each row, and keep them");
        }
        for (key, values) in trace.header.iter().filter(|(key, _)| *key != "kind") {
            values.iter().for_each(|value| builder.state(text.source, key, value));
        }
        let of_shares =
            trace.shares.into_iter().flat_map(|(share, rows)| rows.into_iter().map(move |row| (share, row)));
        for (share, row) in trace.rows.into_iter().map(|row| (Share::FULL, row)).chain(of_shares) {
            let (name, class) = match &row.layer {
                LayerKey::Whole => (row.model.as_str(), Class::Whole),
                LayerKey::Io => (row.model.as_str(), Class::Transfer),
                LayerKey::Named(name) => (name.as_str(), Class::Layer),
            };
            let at = At { source: text.source, line: row.line };
            builder.reading(at, name, class, "a row of a trace", Some(row.time_ms));
            builder.row(text.source, share, row);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::summary;
    use super::super::{Hints, Source, import};
    use super::*;

    fn trace(kind: &str, rows: &str) -> String {
        format!(
            "# coinfer trace 1\n# source: s\n# revision: r\n# hardware: h\n# software: w\n# date: d\n# kind: {kind}\n\
             # note: n\n# about: x\ndevice,model,layer,batch,rows,beside,statistic,repeat,time_ms\n{rows}"
        )
    }

    #[test]
    fn a_trace_is_taken_as_it_is() {
        // The carriage return was found by fuzzing.
        let text = trace("derived", "a,m,whole,1,all,,raw,1,2.5\na,m,c1..c2,2,7,b,median,3,0.25\n")
            .replace("# about", "# a\rb");
        let sources = [Source { name: "t.csv", bytes: text.as_bytes() }];
        let imported = import(&sources, &Hints::default()).unwrap();
        assert_eq!(imported.trace, Trace::parse(text.as_bytes()).unwrap());
        assert_eq!(imported.readings.len(), 2);
        let parts =
            trace("measured", "a,m,whole,1,all,0.25,raw,1,2.5\na,m,whole,1,all,,raw,1,1\n").replace("beside", "share");
        let imported = import(&[Source { name: "t.csv", bytes: parts.as_bytes() }], &Hints::default()).unwrap();
        assert_eq!(imported.trace, Trace::parse(parts.as_bytes()).unwrap());
    }

    #[test]
    fn traces_are_joined() {
        let (one, two) =
            (trace("measured", "a,m,whole,1,all,,raw,1,2\n"), trace("measured", "a,m,whole,1,all,,raw,2,3\n"));
        let found = summary(&[("1", one.as_bytes()), ("2", two.as_bytes())], &Hints::default());
        assert_eq!(found, "a,m,whole,1,all,raw,1,2\na,m,whole,1,all,raw,2,3");
    }

    #[test]
    fn times_of_samples_and_of_batches_are_joined_as_those_of_batches() {
        let one = trace("measured", "a,m,whole,4,all,,raw,1,2\n").replace("time_ms", "time_ms_per_sample");
        let two = trace("measured", "a,m,whole,8,all,,raw,1,3\n");
        let found = summary(&[("1", one.as_bytes()), ("2", two.as_bytes())], &Hints::default());
        assert_eq!(
            found,
            "a,m,whole,4,all,raw,1,8\na,m,whole,8,all,raw,1,3\n\
             note: times of one sample were made times of the batch, as the other files have them"
        );
    }

    #[test]
    fn traces_that_do_not_fit_together_are_refused() {
        let (one, two) =
            (trace("measured", "a,m,whole,1,all,,raw,1,2\n"), trace("derived", "a,m,whole,1,all,,raw,1,3\n"));
        let found =
            summary(&[("1", one.as_bytes()), ("2", two.as_bytes()), ("3", b"# coinfer trace 1\n")], &Hints::default());
        let lines: Vec<&str> = found.lines().collect();
        assert_eq!(lines[0], "1:1: its figures are derived, and those of `1` are measured; import them apart");
        assert_eq!(
            lines[1],
            "1:11: this measures the same as line 11 of 1: whole of m on a at batch 1; give one of the two only"
        );
        assert!(lines[2].starts_with("2:1: the header does not state `source`"));
    }
}
