//! A results folder as one HTML page that needs nothing else: tables, interactive curves, figures and provenance.
//!
//! Curves are drawn by uPlot, which the page has inside. The page asks browsers to refuse any load from elsewhere.

mod curve;
mod escape;
mod provenance;
mod results;
mod table;

pub use provenance::Provenance;

use super::{Figure, Look, Material, Preset, figures};
use curve::{Curve, curves};
use escape::{escaped, script_json};

const UPLOT_JS: &str = include_str!("uplot/uPlot.iife.min.js");
const UPLOT_CSS: &str = include_str!("uplot/uPlot.min.css");
const UPLOT_LICENCE: &str = include_str!("uplot/LICENSE");
const PAGE_CSS: &str = include_str!("page.css");
const PAGE_JS: &str = include_str!("page.js");

/// The page. Equal arguments give equal bytes.
pub fn report_html(material: &Material, provenance: &Provenance, look: &Look) -> String {
    let curves = curves(material, look.against.as_deref());
    let title = escaped(&material.title);
    let mut page = String::new();
    page += "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n";
    page += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n";
    page += "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
             script-src 'unsafe-inline'; img-src data:\">\n";
    page += &format!("<title>{title} - coinfer</title>\n<style>\n{UPLOT_CSS}\n{PAGE_CSS}</style>\n</head>\n<body>\n");
    page += &format!("<h1>{title}</h1>\n<p class=\"what\">{}</p>\n", escaped(&subtitle(material, provenance)));
    page += &section("Notes", &notes(provenance));
    if let Some(table) = &material.results {
        let is_sweep = table.setting_count > 0;
        page += &section("Strategies", &if is_sweep { results::strategies_html(table) } else { String::new() });
        page += &section("Curves", &charts(&curves));
        page += &section("Results", &results::results_html(table));
        page += &section("Without a result", &results::failures_html(table));
    }
    if !material.accuracy.rows.is_empty() {
        page += &section("Predicted and measured", &results::accuracy_html(&material.accuracy));
    }
    page += &section("Figures", &drawings(material, look));
    page += &section("Provenance", &provenance::provenance_html(provenance));
    page += &format!("<script type=\"application/json\" id=\"curves\">{}</script>\n", script_json(&curves));
    if !curves.is_empty() {
        let licence = UPLOT_LICENCE.trim();
        page += &format!("<script>\n/*\n{licence}\n*/\n{UPLOT_JS}\n</script>\n");
    }
    page + &format!("<script>\n{PAGE_JS}</script>\n</body>\n</html>\n")
}

fn subtitle(material: &Material, provenance: &Provenance) -> String {
    let lines = material.results.as_ref().map_or(0, |table| table.lines.len());
    let strategies = material.results.as_ref().map_or(0, |table| table.strategies.len());
    let command = provenance.manifest.command.first().map_or("results", String::as_str);
    let baseline = material.baseline.iter().map(|baseline| format!("; speed-ups are over {baseline}"));
    let counts = match lines {
        0 => String::new(),
        _ => format!(": {lines} results of {strategies} strategies"),
    };
    format!("coinfer {command}{counts}{}", baseline.collect::<String>())
}

/// Nothing if the section is empty.
fn section(title: &str, content: &str) -> String {
    if content.is_empty() { String::new() } else { format!("<h2>{title}</h2>\n{content}") }
}

fn notes(provenance: &Provenance) -> String {
    let note = |note: &String| format!("<p class=\"note\">{}</p>\n", escaped(note));
    provenance.notes.iter().map(note).collect()
}

fn charts(curves: &[Curve]) -> String {
    if curves.is_empty() {
        return String::new();
    }
    let chart = |(index, curve): (usize, &Curve)| {
        format!("<div class=\"curve\"><h3>{}</h3><div id=\"curve-{index}\"></div></div>\n", escaped(&curve.title))
    };
    let bands = if curves.iter().any(Curve::has_bands) { " Bands are 95 % confidence intervals." } else { "" };
    let hint = "A click on a name switches its curve off and on; dragging over a chart shows that part, and a double \
                click all of it.";
    format!("<p class=\"note\">{hint}{bands}</p>\n") + &curves.iter().enumerate().map(chart).collect::<String>()
}

/// The figures of all presets that fit; those of which there are many are folded.
fn drawings(material: &Material, look: &Look) -> String {
    let mut html = String::new();
    for preset in Preset::ALL {
        let Ok(drawn) = figures(preset, material, look) else { continue };
        let content: String = drawn.iter().map(drawing).collect();
        html += &match drawn.len() {
            0..=OPEN_MAX => content,
            count => format!(
                "<details><summary>{} ({count} figures: {})</summary>\n{content}</details>\n",
                preset.name(),
                escaped(&preset.meaning().to_lowercase()),
            ),
        };
    }
    html
}

/// More figures of a preset are folded.
const OPEN_MAX: usize = 2;

fn drawing(figure: &Figure) -> String {
    let heading = escaped(&figure.heading);
    let svg = figure.svg.replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{heading}\" "), 1);
    format!("<figure><figcaption>{heading}</figcaption>\n{svg}</figure>\n")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::{Input, Manifest, ResultsTable};

    const EVIL: &str = "</script><script>alert(1)</script><!-- \"'&";

    fn page(results: &str) -> String {
        let quoted = EVIL.replace('"', "\"\"");
        let results = results.replace("EVIL", &format!("\"{quoted}\""));
        let material = Material {
            title: EVIL.into(),
            baseline: Some(EVIL.into()),
            results: Some(ResultsTable::read(results.as_bytes()).unwrap()),
            ..Material::default()
        };
        let input = Input { path: EVIL.into(), blake3: "af13".into() };
        let manifest = Manifest {
            scenario: EVIL.into(),
            command: vec!["sweep".into(), EVIL.into()],
            settings: vec![(EVIL.into(), EVIL.into())],
            inputs: vec![input],
            ..Manifest::default()
        };
        let provenance = Provenance { manifest, notes: vec![EVIL.into()] };
        report_html(&material, &provenance, &Look::default())
    }

    const SWEEP: &str = "b,c,strategy,samples,makespan_ms,samples_per_s,speedup,error\n\
                         1,EVIL,EVIL,1,2,3,4,\n2,EVIL,EVIL,1,2,3,5,\n2,EVIL,x,,,,,EVIL\n";

    #[test]
    fn text_of_users_never_becomes_part_of_the_page() {
        let page = page(SWEEP);
        assert!(!page.contains("alert(1)</script>") && !page.contains(EVIL));
        assert_eq!(page.matches("<script").count(), 3, "data, uPlot and the page's own");
        assert!(page.matches("alert(1)").count() > 12, "it is shown");
    }

    #[test]
    fn the_page_is_whole_and_loads_nothing() {
        let page = page(SWEEP);
        assert!(page.ends_with("</html>\n"));
        for word in [" src=", " href=", "url(", "@import", "fetch(", "XMLHttpRequest"] {
            assert!(!page.contains(word), "{word}");
        }
    }

    #[test]
    fn a_page_without_curves_has_no_library() {
        let page = page("strategy,samples,makespan_ms,samples_per_s\nEVIL,1,2,3\n");
        assert!(!page.contains(UPLOT_JS) && !page.contains("<h2>Curves</h2>"));
        assert!(page.contains("<h2>Results</h2>") && page.contains("<h2>Provenance</h2>"));
    }
}
