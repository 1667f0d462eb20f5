//! What a profile of links has found: readings as CSV, and what a scenario should say of a link.

use serde::{Deserialize, Serialize};

use super::record::records_csv;
use crate::statistics::median;
use crate::units::{Bytes, Duration};

/// How long data took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LinkReading {
    /// The sender's name.
    pub from: String,
    /// The receiver's name.
    pub to: String,
    /// How much.
    pub size: Bytes,
    /// Whether as much went the other way at the same time.
    pub both_ways: bool,
    /// The number of the repeat, from 1 on.
    pub repeat: u32,
    /// How long it took.
    pub time: Duration,
}

/// What the readings of a pair of devices say.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkFigures {
    /// The devices at its ends.
    pub between: [String; 2],
    /// The median time of the smallest size, forth and back.
    pub shortest: [Duration; 2],
    /// What a message takes beside its bytes, of the link's time since a replay sends no other meanwhile: the mean of both
    /// ways.
    pub overhead: Duration,
    /// Bytes per second after it: the mean of both ways.
    pub bytes_per_second: f64,
    /// The largest error of the two figures, of the medians of a size, as a part.
    pub error_max: f64,
    /// The median over the larger half of the sizes of the time both ways at once over the time alone; `None` if that
    /// was not measured.
    pub both_over_alone: Option<f64>,
}

/// What the first line of a file of readings begins with.
pub const LINK_MAGIC: &str = "# coinfer link profile 1";

/// Both ways at once take so much longer, and the link carries one at a time.
const HALF_DUPLEX: f64 = 1.5;

/// Readings as CSV, after lines of comments: the format's name, then `key: value` of `header`.
pub fn links_csv(header: &[(&str, String)], readings: &[LinkReading]) -> Vec<u8> {
    let mut text = format!("{LINK_MAGIC}\n");
    header.iter().for_each(|(key, value)| text.push_str(&format!("# {key}: {value}\n")));
    let rows = readings.iter().map(|reading| ReadingRow {
        from: reading.from.clone(),
        to: reading.to.clone(),
        bytes: reading.size.0,
        direction: if reading.both_ways { "both" } else { "alone" }.to_owned(),
        repeat: reading.repeat,
        time_us: format!("{:.3}", reading.time.as_nanos_f64() / 1e3),
    });
    let mut bytes = text.into_bytes();
    bytes.extend(records_csv(rows));
    bytes
}

/// A line of a profile of links.
#[derive(Serialize, Deserialize)]
struct ReadingRow {
    /// The sender's name.
    from: String,
    /// The receiver's name.
    to: String,
    /// How much was sent, in bytes.
    bytes: u64,
    /// `both` if as much went the other way at the same time, or `alone`.
    direction: String,
    /// The number of the repeat, from 1 on.
    repeat: u32,
    /// How long it took, in microseconds.
    time_us: String,
}

/// What `readings` say of the way between two devices; `None` unless two sizes were sent both ways.
pub fn link_figures(readings: &[LinkReading], [one, other]: [&str; 2]) -> Option<LinkFigures> {
    let ways = [(one, other), (other, one)];
    let mut fitted = Vec::new();
    for (from, to) in ways {
        let medians = medians(readings, from, to, false);
        let (overhead, per_byte) = fit(&medians)?;
        let error = |&(size, time): &(f64, f64)| ((overhead + per_byte * size) / time - 1.0).abs();
        fitted.push((overhead, per_byte, medians.iter().map(error).fold(0.0, f64::max), medians[0].1));
    }
    let [forth, back] = [fitted[0], fitted[1]];
    let mut stretches = Vec::new();
    for (from, to) in ways {
        let (alone, both) = (self::medians(readings, from, to, false), self::medians(readings, from, to, true));
        let larger = &alone[alone.len() / 2..];
        let of_size = |&(size, alone): &(f64, f64)| Some(both.iter().find(|(of, _)| *of == size)?.1 / alone);
        stretches.extend(larger.iter().filter_map(of_size));
    }
    Some(LinkFigures {
        between: [one.to_owned(), other.to_owned()],
        shortest: [forth.3, back.3].map(Duration::from_nanos_f64),
        overhead: Duration::from_nanos_f64(((forth.0 + back.0) / 2.0).max(0.0)),
        bytes_per_second: 2e9 / (forth.1 + back.1),
        error_max: forth.2.max(back.2),
        both_over_alone: median(stretches),
    })
}

impl LinkFigures {
    /// The entry of a scenario for this link.
    pub fn toml(&self, name: &str) -> String {
        let [one, other] = &self.between;
        let duplex = match self.both_over_alone {
            Some(ratio) if ratio > HALF_DUPLEX => "duplex = \"half\"",
            _ => "duplex = \"full\"",
        };
        let overhead = self.overhead.as_nanos_f64() / 1e3;
        let bandwidth = self.bytes_per_second / 1e6;
        format!(
            "{{ name = \"{name}\", between = [\"{one}\", \"{other}\"], overhead = \"{overhead:.1} us\", \
             bandwidth = \"{bandwidth:.3} MB/s\", {duplex} }}"
        )
    }

    /// How sure it is, in a line.
    pub fn note(&self) -> String {
        let [forth, back] = self.shortest.map(|time| time.as_millis_f64());
        let both = self
            .both_over_alone
            .map_or_else(String::new, |ratio| format!(", both ways at once {ratio:.2} times as long"));
        let error = self.error_max * 100.0;
        format!(
            "smallest message {forth:.3} ms forth and {back:.3} ms back; times of sizes are within {error:.1} %{both}"
        )
    }
}

/// The median time of each size, ascending by size.
fn medians(readings: &[LinkReading], from: &str, to: &str, both_ways: bool) -> Vec<(f64, f64)> {
    let is_it = |reading: &&LinkReading| reading.from == from && reading.to == to && reading.both_ways == both_ways;
    let found: Vec<&LinkReading> = readings.iter().filter(is_it).collect();
    let mut sizes: Vec<u64> = found.iter().map(|reading| reading.size.0).collect();
    sizes.sort_unstable();
    sizes.dedup();
    let of_size = |size: u64| {
        let times = found.iter().filter(|reading| reading.size.0 == size).map(|reading| reading.time.as_nanos_f64());
        Some((size as f64, median(times)?))
    };
    sizes.into_iter().filter_map(of_size).collect()
}

/// Time of a message beside its bytes, and of each byte, that are off by the smallest parts of the times, by least squares.
fn fit(points: &[(f64, f64)]) -> Option<(f64, f64)> {
    let weights = points.iter().map(|&(size, time)| (1.0 / (time * time), size, time));
    let [mut one, mut x, mut xx, mut y, mut xy] = [0.0; 5];
    for (weight, size, time) in weights {
        one += weight;
        x += weight * size;
        xx += weight * size * size;
        y += weight * time;
        xy += weight * size * time;
    }
    let determinant = one * xx - x * x;
    let slope = (one * xy - x * y) / determinant;
    (points.len() > 1 && slope > 0.0 && slope.is_finite()).then(|| ((y - slope * x) / one, slope))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 100 us and 10 MB/s forth, 300 us and 10 MB/s back; both ways at once take `stretch` times as long.
    fn readings(stretch: f64) -> Vec<LinkReading> {
        let reading = |from: &str, to: &str, size: u64, both_ways, micros: f64| LinkReading {
            from: from.into(),
            to: to.into(),
            size: Bytes(size),
            both_ways,
            repeat: 1,
            time: Duration::from_nanos_f64(micros * 1e3),
        };
        let sizes = [1000, 10_000, 100_000, 1_000_000];
        let of_size = |size: u64| {
            let (forth, back) = (100.0 + size as f64 / 10.0, 300.0 + size as f64 / 10.0);
            [
                reading("home", "pi", size, false, forth),
                reading("pi", "home", size, false, back),
                reading("home", "pi", size, true, forth * stretch),
                reading("pi", "home", size, true, back * stretch),
            ]
        };
        sizes.into_iter().flat_map(of_size).collect()
    }

    #[test]
    fn overhead_and_bandwidth_are_found_again() {
        let figures = link_figures(&readings(1.0), ["home", "pi"]).unwrap();
        assert!(figures.error_max < 1e-6, "{figures:?}");
        assert_eq!(figures.shortest, [200_000, 400_000].map(Duration::from_nanos));
        assert_eq!(
            figures.toml("eth"),
            "{ name = \"eth\", between = [\"home\", \"pi\"], overhead = \"200.0 us\", bandwidth = \"10.000 MB/s\", \
             duplex = \"full\" }"
        );
    }

    #[test]
    fn a_link_that_carries_one_way_at_a_time_is_half_duplex() {
        let figures = link_figures(&readings(1.9), ["home", "pi"]).unwrap();
        assert!(figures.toml("eth").ends_with("duplex = \"half\" }"));
        assert!(figures.note().ends_with("both ways at once 1.90 times as long"), "{}", figures.note());
    }

    #[test]
    fn one_size_tells_nothing_of_bandwidth() {
        let readings: Vec<_> = readings(1.0).into_iter().filter(|reading| reading.size.0 == 1000).collect();
        assert_eq!(link_figures(&readings, ["home", "pi"]), None);
        assert_eq!(link_figures(&[], ["home", "pi"]), None);
    }

    #[test]
    fn readings_are_lines_after_what_they_are_of() {
        let text = String::from_utf8(links_csv(&[("date", "today".into())], &readings(1.0)[..3])).unwrap();
        assert_eq!(
            text,
            "# coinfer link profile 1\n# date: today\nfrom,to,bytes,direction,repeat,time_us\n\
             home,pi,1000,alone,1,200.000\npi,home,1000,alone,1,400.000\nhome,pi,1000,both,1,200.000\n"
        );
    }
}
