//! What trtexec exports of an engine: where its layers ran, and how long iterations took. The importer reads it.

use std::fs;
use std::path::Path;

use super::process::output;
use crate::cost::import::{Class, Format, Hints, Imported, Source, import};
use crate::cost::{LayerKey, Statistic};
use crate::units::Duration;

/// Where the layers of an engine ran, by its profile.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Placement {
    /// Networks of a DLA, each with the copies around it.
    pub(super) dla: Vec<String>,
    /// Layers on the GPU.
    pub(super) gpu: Vec<String>,
    /// The part of the profiled time that those took, and changes of layout.
    pub(super) gpu_share: f64,
    /// The hardware that the log names.
    pub(super) hardware: Option<String>,
}

/// The largest export that is read: 256 MiB.
const EXPORT_MAX: u64 = 256 << 20;

/// Where the layers of an engine ran, by its exported profile, what describes its layers if that is there, and the log.
pub(super) fn placement([profile, layers, log]: [&Path; 3], batch: u32) -> Result<Placement, String> {
    let (profile, log) = (read(profile)?, output(log).into_bytes());
    let mut sources = vec![Source { name: "the profile", bytes: &profile }, Source { name: "the log", bytes: &log }];
    let alone = |sources: &[Source]| imported(sources, batch);
    let imported = match read(layers) {
        // It tells layers of a DLA where log and copies do not. Some versions write what nobody can read.
        Ok(bytes) => {
            sources.push(Source { name: "the layer information", bytes: &bytes });
            alone(&sources).or_else(|_| alone(&sources[..2]))
        }
        Err(_) => alone(&sources),
    }?;
    let mut placement = Placement::default();
    let (mut on_gpu, mut all) = (0.0, 0.0);
    for reading in &imported.readings {
        let time = reading.time_ms.unwrap_or(0.0);
        match reading.class {
            Class::Layer => placement.gpu.push(reading.name.clone()),
            // A network of a DLA has copies around it, which say that it is one.
            Class::DlaGroup if reading.name.starts_with('{') => placement.dla.push(reading.name.clone()),
            Class::DlaGroup | Class::Reformat => {}
            Class::Whole | Class::Transfer | Class::Dropped => continue,
        }
        all += time;
        on_gpu += if reading.class == Class::DlaGroup { 0.0 } else { time };
    }
    placement.gpu_share = if all > 0.0 { on_gpu / all } else { 0.0 };
    placement.hardware = imported.trace.header.get("hardware").and_then(|names| names.first().cloned());
    Ok(placement)
}

/// What each iteration computed, by the exported times.
pub(super) fn times(file: &Path, batch: u32) -> Result<Vec<Duration>, String> {
    let bytes = read(file)?;
    let imported = imported(&[Source { name: "the times", bytes: &bytes }], batch)?;
    let raw = imported.trace.rows.iter().filter(|row| row.layer == LayerKey::Whole && row.statistic == Statistic::Raw);
    let times: Vec<Duration> = raw.map(|row| Duration::from_nanos_f64(row.time_ms * 1e6)).collect();
    if times.is_empty() { Err("the times that trtexec exported have no iteration".into()) } else { Ok(times) }
}

fn imported(sources: &[Source], batch: u32) -> Result<Imported, String> {
    let hints = Hints {
        format: Some(Format::Trtexec),
        device: Some("device".into()),
        model: Some("model".into()),
        precision: None,
        batch: Some(batch),
        columns: vec![],
    };
    import(sources, &hints).map_err(|faults| match faults.first() {
        Some(found) => {
            let name = sources.get(found.source).map_or("an export", |source| source.name);
            format!("{name} that trtexec wrote cannot be read: line {}: {}", found.fault.line, found.fault.cause)
        }
        None => "what trtexec wrote cannot be read".into(),
    })
}

fn read(file: &Path) -> Result<Vec<u8>, String> {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let wrong = |error: String| format!("trtexec ended well, but its file `{name}` cannot be read: {error}");
    let size = fs::metadata(file).map_err(|error| wrong(error.to_string()))?.len();
    if size > EXPORT_MAX {
        return Err(wrong(format!("it has {size} bytes")));
    }
    fs::read(file).map_err(|error| wrong(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(name: &str) -> std::path::PathBuf {
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/import").join(name)
    }

    #[test]
    fn layers_of_a_dla_are_told_from_those_that_fell_back() {
        let none = data("none");
        let found = placement([&data("trtexec-dla.json"), &none, &data("trtexec-dla.log")], 1).unwrap();
        assert_eq!(found.dla, ["{ForeignNode[Conv_0...Concat_198]}"]);
        assert_eq!(found.gpu, ["Resize_199 + Conv_200"]);
        assert!((found.gpu_share - 0.025).abs() < 0.001, "{}", found.gpu_share);
        assert_eq!(found.hardware.as_deref(), Some("Orin"));
        let folder = tempfile::tempdir().unwrap();
        let broken = folder.path().join("layers.json");
        fs::write(&broken, "{\"Layers\": [").unwrap();
        assert_eq!(placement([&data("trtexec-dla.json"), &broken, &data("trtexec-dla.log")], 1), Ok(found));
        let gpu = [&data("trtexec-profile.json"), &data("trtexec-layers.json"), &data("trtexec-dla.log")];
        let gpu = placement(gpu.map(|path| path.as_path()), 8).unwrap();
        assert_eq!((gpu.dla.len(), gpu.gpu.len(), gpu.gpu_share), (0, 5, 1.0));
        let missing = placement([&none, &none, &data("trtexec-dla.log")], 1).unwrap_err();
        assert!(missing.starts_with("trtexec ended well, but its file `none` cannot be read: "), "{missing}");
    }

    #[test]
    fn times_are_those_of_all_iterations() {
        let nanos = |time: &Duration| time.as_nanos();
        let found = times(&data("trtexec-times.json"), 8).unwrap();
        assert_eq!(found.iter().map(nanos).collect::<Vec<_>>(), [60_000, 58_000, 62_000]);
    }

    #[test]
    fn exports_that_are_cut_off_or_missing_are_faults() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("times.json");
        let missing = times(&file, 1).unwrap_err();
        assert!(missing.starts_with("trtexec ended well, but its file `times.json` cannot be read: "), "{missing}");
        let whole = fs::read(data("trtexec-times.json")).unwrap();
        fs::write(&file, &whole[..whole.len() / 2]).unwrap();
        let cut = times(&file, 1).unwrap_err();
        assert!(cut.starts_with("the times that trtexec wrote cannot be read: line "), "{cut}");
        fs::write(&file, "").unwrap();
        assert!(times(&file, 1).unwrap_err().contains("the file is empty"));
        fs::write(&file, "[]").unwrap();
        assert!(times(&file, 1).is_err());
    }
}
