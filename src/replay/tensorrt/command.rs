//! Command lines of trtexec, with the options that the one that is there knows.

use std::path::Path;

use super::program::Program;
use crate::platform::{Precision, TensorrtUnit};

/// Iterations of a profile, which says where layers run.
const PROFILED: &str = "--iterations=10";
/// Before times count, in milliseconds.
const WARM_UP: &str = "--warmUp=500";
/// Times are taken for so many iterations at least, and so many seconds.
const TIMED: [&str; 2] = ["--iterations=10", "--duration=2"];
/// Longer than anything runs beside it, in seconds.
const OCCUPIED: &str = "--duration=86400";
/// The memory for choosing kernels, in MiB, where the default would be 16.
const WORKSPACE: &str = "--workspace=1024";

/// Builds an engine of the file at `onnx`, and says what it is made of.
pub(super) fn build(
    program: &Program,
    unit: &TensorrtUnit,
    onnx: &Path,
    [engine, profile, layers]: [&Path; 3],
) -> Vec<String> {
    let mut arguments =
        vec![option("--onnx", onnx), option("--saveEngine", engine), option("--exportProfile", profile)];
    if program.knows("--exportLayerInfo") && program.knows("--profilingVerbosity") {
        arguments.extend([option("--exportLayerInfo", layers), "--profilingVerbosity=detailed".into()]);
    }
    arguments.extend([PROFILED, "--duration=0", "--warmUp=0"].map(str::to_owned));
    arguments.extend(making(program, unit));
    arguments.extend(place(program, unit));
    arguments
}

/// What makes engines differ, of one file for one unit.
pub(super) fn making(program: &Program, unit: &TensorrtUnit) -> Vec<String> {
    let precisions: &[&str] = match unit.precision {
        Precision::Fp32 => &[],
        Precision::Fp16 => &["--fp16"],
        // Layers that have no kernel for int8 would be fp32, which a DLA does not know.
        Precision::Int8 => &["--int8", "--fp16"],
    };
    let workspace = program.knows("--workspace") && !program.knows("--memPoolSize");
    let all = precisions.iter().copied().chain(workspace.then_some(WORKSPACE));
    all.map(str::to_owned).collect()
}

/// Times the engine in the file.
pub(super) fn time(program: &Program, unit: &TensorrtUnit, engine: &Path, times: &Path) -> Vec<String> {
    let mut arguments = vec![option("--loadEngine", engine), option("--exportTimes", times), WARM_UP.into()];
    arguments.extend(TIMED.map(str::to_owned));
    arguments.extend(place(program, unit));
    arguments
}

/// Runs the engine in the file again and again, until it is stopped.
pub(super) fn occupy(program: &Program, unit: &TensorrtUnit, engine: &Path) -> Vec<String> {
    let mut arguments = vec![option("--loadEngine", engine), "--warmUp=0".into(), OCCUPIED.into()];
    arguments.extend(place(program, unit));
    arguments
}

/// Where it runs, and that nothing else runs there with it.
fn place(program: &Program, unit: &TensorrtUnit) -> Vec<String> {
    let mut arguments = Vec::new();
    if let Some(core) = unit.dla_core {
        arguments.push(format!("--useDLACore={core}"));
        arguments.extend(unit.gpu_fallback.then(|| "--allowGPUFallback".to_owned()));
    }
    // Before version 8, files of ONNX have no other.
    arguments.extend(program.knows("--explicitBatch").then(|| "--explicitBatch".to_owned()));
    // Copies from and to the host would run beside the computation.
    let without_copies = ["--noDataTransfers", "--exposeDMA"].into_iter().find(|option| program.knows(option));
    arguments.extend(without_copies.map(str::to_owned));
    arguments
}

fn option(name: &str, path: &Path) -> String {
    format!("{name}={}", path.display())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Lines of the help of TensorRT 7.1.
    pub(in crate::replay::tensorrt) const HELP_7: &str = "\
&&&& RUNNING TensorRT.trtexec # /usr/src/tensorrt/bin/trtexec --help
=== Model Options ===
  --onnx=<file>               ONNX model
=== Build Options ===
  --explicitBatch             Use explicit batch sizes when building the engine (default = implicit)
  --workspace=N               Set workspace size in megabytes (default = 16)
  --fp16                      Enable fp16 algorithms, in addition to fp32 (default = disabled)
  --int8                      Enable int8 algorithms, in addition to fp32 (default = disabled)
  --saveEngine=<file>         Save the serialized engine
  --loadEngine=<file>         Load a serialized engine
  --iterations=N              Run at least N inference iterations (default = 10)
  --warmUp=N                  Run for N milliseconds to warmup before measuring performance (default = 200)
  --duration=N                Run performance measurements for at least N seconds wallclock time (default = 3)
  --exposeDMA                 Serialize DMA transfers to and from device. (default = disabled)
  --buildOnly                 Skip inference perf measurement (default = disabled)
  --exportTimes=<file>        Write the timing results in a json file (default = disabled)
  --exportProfile=<file>      Write the profile information per layer in a json file (default = disabled)
  --useDLACore=N              Select DLA core N for layers that support DLA (default = none)
  --allowGPUFallback          When DLA is enabled, allow GPU fallback for unsupported layers (default = disabled)
";

    /// Lines of the help of TensorRT 8.5.
    pub(in crate::replay::tensorrt) const HELP_8: &str = "\
&&&& RUNNING TensorRT.trtexec [TensorRT v8502] # trtexec --help
  --onnx=<file>               ONNX model
                              Note: The --explicitBatch flag has been deprecated.
  --workspace=N               Set workspace size in MiB.
  --memPoolSize=poolspec      Specify the size constraints of the designated memory pool(s) in MiB.
  --profilingVerbosity=mode   Specify profiling verbosity.
  --fp16                      Enable fp16 precision, in addition to fp32 (default = disabled)
  --int8                      Enable int8 precision, in addition to fp32 (default = disabled)
  --saveEngine=<file>         Save the serialized engine
  --loadEngine=<file>         Load a serialized engine
  --iterations=N              Run at least N inference iterations (default = 10)
  --warmUp=N                  Run for N milliseconds to warmup before measuring performance (default = 200)
  --duration=N                Run performance measurements for at least N seconds wallclock time (default = 3)
  --exposeDMA                 Serialize DMA transfers to and from device (default = disabled).
  --noDataTransfers           Disable DMA transfers to and from device (default = enabled).
  --exportTimes=<file>        Write the timing results in a json file (default = disabled)
  --exportProfile=<file>      Write the profile information per layer in a json file (default = disabled)
  --exportLayerInfo=<file>    Write the layer information of the engine in a json file (default = disabled)
  --useDLACore=N              Select DLA core N for layers that support DLA (default = none)
  --allowGPUFallback          When DLA is enabled, allow GPU fallback for unsupported layers (default = disabled)
";

    /// Lines of the help of TensorRT 10.3.
    pub(in crate::replay::tensorrt) const HELP_10: &str = "\
&&&& RUNNING TensorRT.trtexec [TensorRT v100300] [b17] # trtexec --help
  --onnx=<file>               ONNX model
  --memPoolSize=poolspec      Specify the size constraints of the designated memory pool(s)
  --profilingVerbosity=mode   Specify profiling verbosity.
  --fp16                      Enable fp16 precision, in addition to fp32 (default = disabled)
  --int8                      Enable int8 precision, in addition to fp32 (default = disabled)
  --skipInference             Exit after the engine has been built and skip inference perf measurement
  --saveEngine=<file>         Save the serialized engine
  --loadEngine=<file>         Load a serialized engine
  --iterations=N              Run at least N inference iterations (default = 10)
  --warmUp=N                  Run for N milliseconds to warmup before measuring performance (default = 200)
  --duration=N                Run performance measurements for at least N seconds wallclock time (default = 3)
  --exposeDMA                 Serialize DMA transfers to and from device (default = disabled).
  --noDataTransfers           Disable DMA transfers to and from device (default = enabled).
  --exportTimes=<file>        Write the timing results in a json file (default = disabled)
  --exportProfile=<file>      Write the profile information per layer in a json file (default = disabled)
  --exportLayerInfo=<file>    Write the layer information of the engine in a json file (default = disabled)
  --useDLACore=N              Select DLA core N for layers that support DLA (default = none)
  --allowGPUFallback          When DLA is enabled, allow GPU fallback for unsupported layers (default = disabled)
";

    fn line(arguments: Vec<String>) -> String {
        arguments.join(" ")
    }

    fn built(help: &str, unit: &TensorrtUnit) -> String {
        let program = Program::of_help("trtexec".into(), help).unwrap();
        line(build(&program, unit, Path::new("o"), ["e", "p", "l"].map(Path::new)))
    }

    fn unit(dla_core: Option<u32>, gpu_fallback: bool, precision: Precision) -> TensorrtUnit {
        TensorrtUnit { dla_core, gpu_fallback, precision }
    }

    #[test]
    fn an_engine_is_built_with_the_options_of_each_version() {
        let gpu = unit(None, true, Precision::Fp32);
        assert_eq!(
            built(HELP_7, &gpu),
            "--onnx=o --saveEngine=e --exportProfile=p --iterations=10 --duration=0 --warmUp=0 --workspace=1024 \
             --explicitBatch --exposeDMA"
        );
        assert_eq!(
            built(HELP_8, &gpu),
            "--onnx=o --saveEngine=e --exportProfile=p --exportLayerInfo=l --profilingVerbosity=detailed \
             --iterations=10 --duration=0 --warmUp=0 --noDataTransfers"
        );
        assert_eq!(built(HELP_8, &gpu), built(HELP_10, &gpu));
    }

    #[test]
    fn a_unit_says_where_and_in_what_its_engines_compute() {
        let of = |unit| built(HELP_8, &unit).split_once("--warmUp=0 ").unwrap().1.to_owned();
        assert_eq!(of(unit(None, true, Precision::Fp16)), "--fp16 --noDataTransfers");
        assert_eq!(
            of(unit(Some(1), true, Precision::Int8)),
            "--int8 --fp16 --useDLACore=1 --allowGPUFallback --noDataTransfers"
        );
        assert_eq!(of(unit(Some(0), false, Precision::Fp16)), "--fp16 --useDLACore=0 --noDataTransfers");
    }

    #[test]
    fn an_engine_is_timed_and_keeps_its_unit_busy_where_it_was_built_for() {
        let program = Program::of_help("trtexec".into(), HELP_8).unwrap();
        let dla = unit(Some(1), true, Precision::Fp16);
        let place = "--useDLACore=1 --allowGPUFallback --noDataTransfers";
        assert_eq!(
            line(time(&program, &dla, Path::new("e"), Path::new("t"))),
            format!("--loadEngine=e --exportTimes=t --warmUp=500 --iterations=10 --duration=2 {place}")
        );
        assert_eq!(
            line(occupy(&program, &dla, Path::new("e"))),
            format!("--loadEngine=e --warmUp=0 --duration=86400 {place}")
        );
    }
}
