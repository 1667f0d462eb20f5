//! Networks with layers from outside: exported, listed again, named by scenarios and refused with every fault.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use assert_cmd::Command;
use tempfile::TempDir;

/// A folder with a part of SqueezeNet as `net.onnx`, whose height and width are fixed.
struct Place(TempDir);

impl Place {
    fn new() -> Place {
        let place = Place(tempfile::tempdir().unwrap());
        let path = place.path("net.onnx");
        let layers = "fire2.squeeze..fire2.concat";
        let output = place.coinfer(&["export", "squeezenet_v1.1", "--layers", layers, "-o", path.to_str().unwrap()]);
        assert!(output.status.success(), "{}", error(&output));
        place
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn coinfer(&self, arguments: &[&str]) -> Output {
        Command::cargo_bin("coinfer").unwrap().current_dir(self.0.path()).args(arguments).output().unwrap()
    }

    /// A scenario of the network `model` on one device with a trace of `net` at batches 1 and 2.
    fn scenario(&self, model: &str) -> PathBuf {
        let header = "# coinfer trace 1\n# source: s\n# revision: r\n# hardware: h\n# software: s\n# date: d\n\
                      # kind: measured\ndevice,model,layer,batch,rows,statistic,repeat,time_ms\n";
        let rows = "cpu,net,whole,1,all,median,5,2\ncpu,net,whole,2,all,median,5,3\n";
        fs::write(self.path("trace.csv"), format!("{header}{rows}")).unwrap();
        let text = format!(
            "load = {{ offline = {{ samples = 2 }} }}\n[[devices]]\nname = \"cpu\"\nkind = \"cpu\"\n\
             memory = \"1 GiB\"\ntrace = \"trace.csv\"\n[[models]]\nname = \"net\"\n{model}\n\
             [[strategies]]\nsingle = {{}}\n"
        );
        fs::write(self.path("scenario.toml"), text).unwrap();
        self.path("scenario.toml")
    }

    fn run(&self, model: &str, more: &[&str]) -> Output {
        let scenario = self.scenario(model);
        self.coinfer(&[&["run", scenario.to_str().unwrap()], more].concat())
    }
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn error(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn what_is_exported_has_the_same_layers_and_counts_when_it_is_read() {
    let place = Place::new();
    let count = |arguments: &[&str]| -> u64 {
        let listed = text(&place.coinfer(&[&["models"], arguments, &["--format", "csv"]].concat()));
        let mut lines = csv::Reader::from_reader(listed.as_bytes());
        let header = lines.headers().unwrap().clone();
        let at = |name: &str| header.iter().position(|column| column == name).unwrap();
        let (name, macs) = (at("name"), at("macs"));
        let of_part = lines.records().map(Result::unwrap).filter(|line| line[name].starts_with("fire2."));
        of_part.map(|line| line[macs].parse::<u64>().unwrap()).sum()
    };
    let whole = count(&["squeezenet_v1.1"]);
    assert!(whole > 0);
    assert_eq!(count(&["net.onnx"]), whole);
}

#[test]
fn a_scenario_runs_a_network_from_a_file() {
    let place = Place::new();
    let output = place.run("onnx = { file = \"net.onnx\" }", &["--format", "csv"]);
    assert!(output.status.success(), "{}", error(&output));
    assert!(text(&output).contains("single"), "{}", text(&output));
    let manifest = fs::read_dir(place.path("results/scenario")).unwrap().next().unwrap().unwrap().path();
    assert!(fs::read_to_string(manifest.join("manifest.json")).unwrap().contains("net.onnx"));
}

#[test]
fn what_is_wrong_with_a_file_is_said_at_its_name() {
    let place = Place::new();
    let whole = fs::read(place.path("net.onnx")).unwrap();
    fs::write(place.path("torn.onnx"), &whole[..whole.len() / 2]).unwrap();
    fs::write(place.path("empty.onnx"), "").unwrap();
    let check = |model: &str, expected: &[&str]| {
        let output = place.run(model, &[]);
        assert_eq!(output.status.code(), Some(2), "{model}");
        let found = error(&output);
        for part in expected {
            assert!(found.contains(part), "{model}: `{part}` is not in\n{found}");
        }
        assert!(found.contains("scenario.toml:9:"), "{found}");
    };
    check("onnx = { file = \"absent.onnx\" }", &["does not exist"]);
    check("onnx = { file = \"torn.onnx\" }", &["torn.onnx", "cut off", "export the network again"]);
    check("onnx = { file = \"empty.onnx\" }", &["empty.onnx", "= help:"]);
    check("onnx = { file = \"net.onnx\", dims = { height = 0 } }", &["a dimension is a whole number from 1"]);
    check("onnx = { file = \".\" }", &["is a folder"]);
    check("zoo = \"resnet50\"", &["there is no such network in the zoo", "did you mean `resnet-50`?"]);
    check("zoo = \"resnet-50\"\nonnx = { file = \"net.onnx\" }", &["the model has both `zoo` and `onnx`"]);
}

#[test]
fn what_cannot_be_exported_is_refused_and_nothing_is_written() {
    let place = Place::new();
    let check = |arguments: &[&str], expected: &str| {
        let output = place.coinfer(&[&["export"], arguments, &["-o", "out.onnx"]].concat());
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(error(&output).contains(expected), "{}", error(&output));
        assert!(!Path::new(&place.path("out.onnx")).exists());
    };
    check(&["squeezenet"], "did you mean");
    check(&["vgg-16", "--layers", "conv9"], "does not compute `conv9`");
    check(&["vgg-16", "--layers", "input"], "does not compute `input`");
    check(&["vgg-16", "--layers", "conv1_2..conv1_1"], "in this order");
    check(&["vgg-16", "--layers", "conv1_1", "--rows", "0..225"], "has 224 rows, and 0..225 are asked for");
    check(&["vgg-16", "--layers", "conv1_1", "--rows", "5..5"], "these are no rows");
    check(&["vgg-16", "--samples", "0"], "0");
}
