//! What benchncnn prints of whole networks, and ncnn built with `NCNN_BENCHMARK` of each layer.
//!
//! Both run one sample. Lines of layers belong to the network whose line follows them.

use super::super::read::TIME_MS_MIN;
use super::super::trace::{LayerKey, Statistic};
use super::Class;
use super::build::{At, Subject, TraceBuilder, fault};
use super::name::{Names, brief};
use super::text::Text;

/// A line of a whole network.
struct NcnnNetwork<'a> {
    name: &'a str,
    min: &'a str,
    max: &'a str,
    mean: &'a str,
}

/// A line of a layer.
struct NcnnLayer<'a> {
    kind: &'a str,
    name: &'a str,
    time: &'a str,
}

#[derive(Default)]
struct NcnnSettings {
    loop_count: Option<u32>,
    on_gpu: bool,
}

/// Whether `line` is one that shows the format.
pub(super) fn is_line(line: &str) -> bool {
    network(line).is_some() || layer(line).is_some()
}

fn network(line: &str) -> Option<NcnnNetwork<'_>> {
    let (name, rest) = line.split_once(" min =")?;
    let (min, rest) = rest.split_once("max =")?;
    let (max, mean) = rest.split_once("avg =")?;
    Some(NcnnNetwork { name: name.trim(), min: min.trim(), max: max.trim(), mean: mean.trim() })
}

fn layer(line: &str) -> Option<NcnnLayer<'_>> {
    let (before, _) = line.split_once('|')?;
    let (before, time) = before.trim_end().strip_suffix("ms")?.trim_end().rsplit_once(char::is_whitespace)?;
    let (kind, name) = before.trim().split_once(char::is_whitespace)?;
    let number = time.parse::<f64>().is_ok();
    number.then_some(NcnnLayer { kind, name: name.trim(), time })
}

/// Adds the networks of each file.
pub(super) fn read(texts: &[&Text], builder: &mut TraceBuilder) {
    for text in texts {
        builder.of_program(text.source, "ncnn, version not stated");
        read_file(text, builder);
    }
}

fn read_file(text: &Text, builder: &mut TraceBuilder) {
    let source = text.source;
    let networks: Vec<&str> = text.text.lines().filter_map(network).map(|network| network.name).collect();
    let wanted = builder.hints.model.clone();
    let picks = networks.len() > 1 && wanted.is_some();
    if let Some(wanted) = wanted.as_deref().filter(|wanted| picks && !networks.contains(wanted)) {
        let cause = format!("the file has no network `{}`", brief(wanted));
        builder.refuse(
            source,
            fault(
                1,
                cause,
                format!("it has {}", networks.iter().take(9).map(|name| brief(name)).collect::<Vec<_>>().join(", ")),
            ),
        );
        return;
    }
    let device = builder.device(source, None);
    let batch = builder.batch(At { source, line: 1 }, Some(1));
    let (Some(device), Some(batch)) = (device, batch) else { return };
    let precision = builder.precision(None);
    let place = |model: String, layer| Subject { device: device.clone(), model, precision, batch, layer };
    let mut settings = NcnnSettings::default();
    let mut layers: Vec<(At, NcnnLayer)> = vec![];
    for (index, line) in text.text.lines().enumerate() {
        let at = At { source, line: index + 1 };
        if let Some(network) = network(line) {
            let model = if picks { Some(network.name) } else { wanted.as_deref().or(Some(network.name)) };
            let of_network = std::mem::take(&mut layers);
            if picks && Some(network.name) != wanted.as_deref() {
                builder.reading(at, network.name, Class::Dropped, "another network than the one asked for", None);
                continue;
            }
            let Some(model) = builder.model(source, model) else { continue };
            add_layers(&of_network, &settings, true, &|layer| place(model.clone(), layer), builder);
            add_network(at, &network, &settings, &place(model.clone(), LayerKey::Whole), builder);
        } else if let Some(layer) = layer(line) {
            layers.push((at, layer));
        } else if let Some((key, value)) = line.split_once('=') {
            match key.trim() {
                "loop_count" => settings.loop_count = value.trim().parse().ok(),
                "gpu_device" => settings.on_gpu = value.trim().parse::<i64>().is_ok_and(|device| device >= 0),
                _ => {}
            }
        }
    }
    if !layers.is_empty()
        && let Some(model) = builder.model(source, None)
    {
        add_layers(&layers, &settings, false, &|layer| place(model.clone(), layer), builder);
    }
}

fn number(at: At, name: &str, text: &str, builder: &mut TraceBuilder) -> Option<f64> {
    let Ok(time_ms) = text.parse::<f64>() else {
        let cause = format!("`{}` is not a time of `{}`", brief(text), brief(name));
        builder.refuse(at.source, fault(at.line, cause, "run it again; the line may be cut off"));
        return None;
    };
    builder.is_time(at, name, time_ms).then_some(time_ms)
}

fn add_network(at: At, network: &NcnnNetwork, settings: &NcnnSettings, subject: &Subject, builder: &mut TraceBuilder) {
    let times = [network.min, network.max, network.mean].map(|text| number(at, network.name, text, builder));
    let [Some(min), Some(max), Some(mean)] = times else { return };
    if min > mean || mean > max {
        let cause = format!("`{}` has an average outside of its minimum and maximum", brief(network.name));
        builder.refuse(at.source, fault(at.line, cause, "run it again; lines of two programs may be mixed"));
        return;
    }
    let repeats = settings.loop_count.filter(|count| *count > 0).unwrap_or_else(|| {
        builder.note("the output does not state `loop_count`; averages are given as if over one run");
        1
    });
    builder.reading(at, network.name, Class::Whole, "average and minimum over the runs of a network", Some(mean));
    builder.statistic(at, subject.clone(), Statistic::Mean, repeats, mean);
    builder.statistic(at, subject.clone(), Statistic::Min, repeats, min);
}

/// Adds the layers of runs, which follow each other without a mark: one begins where a layer comes again.
fn add_layers(
    layers: &[(At, NcnnLayer)],
    settings: &NcnnSettings,
    has_whole: bool,
    place: &dyn Fn(LayerKey) -> Subject,
    builder: &mut TraceBuilder,
) {
    if settings.on_gpu && !layers.is_empty() {
        builder.note("times of layers on a GPU are those of the host only, and were left out");
        for (at, layer) in layers {
            builder.reading(*at, layer.name, Class::Dropped, "the host's share of a layer on a GPU", None);
        }
        return;
    }
    let mut runs: Vec<&[(At, NcnnLayer)]> = vec![];
    let mut seen = std::collections::BTreeSet::new();
    let mut start = 0;
    for (index, (_, layer)) in layers.iter().enumerate() {
        if !seen.insert((layer.kind, layer.name)) {
            runs.push(&layers[start..index]);
            start = index;
            seen.clear();
            seen.insert((layer.kind, layer.name));
        }
    }
    runs.push(&layers[start..]);
    let longest = runs.iter().map(|run| run.len()).max().unwrap_or(0);
    let timed = settings.loop_count.filter(|count| has_whole && *count > 0).map_or(runs.len(), |count| count as usize);
    let warm_ups = runs.len().saturating_sub(timed);
    if longest > 0 && warm_ups > 0 {
        builder.note(format!(
            "the first {warm_ups} runs of layers came before the {timed} that were timed, and were left out"
        ));
    }
    for (index, run) in runs.into_iter().enumerate() {
        let why = if index < warm_ups {
            Some("belongs to a warm-up run")
        } else {
            (run.len() < longest).then_some("belongs to an incomplete run")
        };
        add_run(run, why, has_whole, place, builder);
    }
}

fn add_run(
    run: &[(At, NcnnLayer)],
    dropped: Option<&str>,
    has_whole: bool,
    place: &dyn Fn(LayerKey) -> Subject,
    builder: &mut TraceBuilder,
) {
    let mut names = Names::default();
    let mut sum = 0.0;
    for (at, layer) in run {
        let time_ms = number(*at, layer.name, layer.time, builder);
        if let Some(why) = dropped {
            builder.reading(*at, layer.name, Class::Dropped, why, time_ms);
            continue;
        }
        let Some(time_ms) = time_ms else { continue };
        let class = if layer.kind == "Packing" { Class::Reformat } else { Class::Layer };
        builder.reading(*at, layer.name, class, format!("a layer ({})", brief(layer.kind)), Some(time_ms));
        builder.repeat(*at, place(LayerKey::Named(names.unique(layer.name))), time_ms);
        sum += time_ms;
    }
    if let (None, false, Some((at, _))) = (dropped, has_whole, run.first()) {
        builder.note("the time of the whole network is the sum of its layers");
        if sum >= TIME_MS_MIN && builder.is_time(*at, "the sum of all layers", sum) {
            builder.repeat(*at, place(LayerKey::Whole), sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Hints;
    use super::super::tests::{named, readings, summary};

    const NETWORKS: &str =
        "loop_count = 4\n  a  min =  1.00  max =  3.00  avg =  2.00\n  b  min =  1  max =  1  avg =  1\n";

    fn check(text: &str, hints: &Hints, expected: &str) {
        assert_eq!(summary(&[("f", text.as_bytes())], hints), expected);
    }

    #[test]
    fn one_of_several_networks_is_picked() {
        check(NETWORKS, &named("d", "b"), "d,b,whole,1,all,mean,4,1\nd,b,whole,1,all,min,4,1");
        check(NETWORKS, &named("d", "c"), "0:1: the file has no network `c`; it has a, b");
        let one = NETWORKS.lines().take(2).collect::<Vec<_>>().join("\n");
        check(&one, &named("d", "c"), "d,c,whole,1,all,mean,4,2\nd,c,whole,1,all,min,4,1");
    }

    #[test]
    fn layers_belong_to_the_network_that_follows_without_its_warm_ups() {
        let run =
            |ms: &str| format!("Conv   c   {ms}ms    |   [1, 2, 3 *4] -> [1, 2, 3 *4]\nReLU   r     1.00ms    |\n");
        let text = format!(
            "loop_count = 2\n{}{}{}  a  min =  1  max =  3  avg =  2\nConv c 9.00ms |\n  b  min =  1  max =  3  avg =  2\n",
            run("9.00"),
            run("3.00"),
            run("4.00")
        );
        check(
            &text,
            &Hints { device: Some("d".to_owned()), ..Hints::default() },
            "d,a,c,1,all,raw,1,3\nd,a,c,1,all,raw,2,4\nd,a,r,1,all,raw,1,1\nd,a,r,1,all,raw,2,1\n\
             d,a,whole,1,all,mean,2,2\nd,a,whole,1,all,min,2,1\nd,b,c,1,all,raw,1,9\n\
             d,b,whole,1,all,mean,2,2\nd,b,whole,1,all,min,2,1\n\
             note: the first 1 runs of layers came before the 2 that were timed, and were left out",
        );
    }

    #[test]
    fn layers_on_a_gpu_are_left_out() {
        let text = "loop_count = 1\ngpu_device = 0\nConv c 9.00ms |\n  a  min =  1  max =  3  avg =  2\n";
        check(
            text,
            &named("d", "a"),
            "d,a,whole,1,all,mean,1,2\nd,a,whole,1,all,min,1,1\n\
             note: times of layers on a GPU are those of the host only, and were left out",
        );
        let found = readings(&[("f", text.as_bytes())], &named("d", "a"));
        assert_eq!(found[0], "Dropped c: the host's share of a layer on a GPU");
    }

    #[test]
    fn wrong_lines_are_refused() {
        let text = "loop_count = 4\n  a  min =  1  max =  3  avg = nan\n  b  min =  5  max =  3  avg = 4\n  c  min =  1  max =  3  avg = \nx  min =  1  max =  2  avg =  1\nx  min =  1  max =  2  avg =  1\n";
        check(
            text,
            &Hints { device: Some("d".to_owned()), ..Hints::default() },
            "0:2: `a` has NaN ms, which is not a time; export it again; times lie between 0 and 1000 days\n\
             0:3: `b` has an average outside of its minimum and maximum; run it again; lines of two programs may be mixed\n\
             0:4: `unnamed` is not a time of `c`; run it again; the line may be cut off\n\
             0:6: this measures the same as line 5 of f: whole of x on d at batch 1; give one of the two only",
        );
    }
}
