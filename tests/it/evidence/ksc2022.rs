//! Lee, Won and Park, KSC 2022: images per second of MobileNet on a Jetson Xavier NX, digitised.
//!
//! `tests/data/ksc2022-figure.csv` is from sjlee25/nvdla-parallelization-readme at a3e230b. Three constants are fitted to
//! these points (scripts/fit_ksc2022.py), so that they show that the model is consistent with them. That it predicts is
//! shown by constants fitted to three of them.

/// Batch, images per second on the GPU, and on the GPU and both DLAs.
fn published() -> Vec<(u32, f64, f64)> {
    let text = super::kcc2020::read("tests/data/ksc2022-figure.csv");
    let rows = csv::Reader::from_reader(text.as_bytes()).into_deserialize().collect::<Result<_, _>>();
    rows.unwrap()
}

/// Images per second of a strategy of the scenario with values set.
fn rate(strategy: &str, settings: &[String]) -> f64 {
    let case = super::case("ksc2022-mobilenet", settings);
    f64::from(case.problem.samples()) / super::entry_milliseconds(&case, strategy) * 1e3
}

fn batch(samples: u32) -> String {
    format!("load.offline.samples={samples}")
}

#[test]
fn the_gain_of_gpu_and_dlas_over_the_gpu_is_within_6_percent_at_all_published_batches() {
    let mut gains = Vec::new();
    for (samples, gpu, both) in published() {
        let alone = rate("gpu", &[batch(samples)]);
        assert!((alone / gpu - 1.0).abs() < 1e-3, "the GPU's own times are the published ones: {alone} {gpu}");
        let (gain, published) = (rate("gpu+dla", &[batch(samples)]) / alone, both / gpu);
        println!(
            "batch {samples}: {gain:.3} times the GPU, {published:.3} published, {:+.1} %",
            100.0 * (gain / published - 1.0)
        );
        assert!((gain / published - 1.0).abs() < 0.06);
        gains.push((samples, gain));
    }
    let gain = |wanted: u32| gains.iter().find(|(samples, _)| *samples == wanted).unwrap().1;
    assert!(gain(16) < 1.0 && gain(32) > 1.0, "it pays between 16 and 32");
}

#[test]
fn constants_fitted_to_three_batches_predict_the_other_six_within_5_percent() {
    // The fit on 4, 64 and 1024 by scripts/fit_ksc2022.py: 7.496 ms an image, 0.581 ms serial, 11.883 ms for each batch. The
    // DLA's time is in the trace, within 0.1 % of it.
    let fitted = [4, 64, 1024];
    let bandwidth = 2048.0 / (2.0 * 0.581);
    let links = ["dla1-gpu", "dla2-gpu"];
    let constants = links.map(|link| {
        [format!("links.{link}.overhead=\"11.883 ms\""), format!("links.{link}.bandwidth=\"{bandwidth} kB/s\"")]
    });
    for (samples, _, both) in published().into_iter().filter(|(samples, ..)| !fitted.contains(samples)) {
        let settings: Vec<String> = constants.iter().flatten().cloned().chain([batch(samples)]).collect();
        let error = rate("gpu+dla", &settings) / both - 1.0;
        println!("batch {samples}: {:+.1} % of the published images per second", 100.0 * error);
        assert!(error.abs() < 0.05);
    }
}
