//! Where results come from: enough to make them again.

use serde::{Deserialize, Serialize};

use super::encode::json_text;

/// What a run was made of. All but `created` follows from the inputs.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Manifest {
    /// The scenario's name.
    pub scenario: String,
    /// What the user asked for, as words.
    pub command: Vec<String>,
    /// Values that override the scenario's, name and value.
    pub settings: Vec<(String, String)>,
    /// Every file that was read.
    pub inputs: Vec<Input>,
    /// The scenario's seed of random draws.
    pub seed: u64,
    /// Version of this program.
    pub version: String,
    /// The git commit that it was built from, if known.
    pub commit: Option<String>,
    /// When the results were made; the only field that differs between equal runs.
    pub created: String,
}

/// A file that a run read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Input {
    /// Its path, as the user or the scenario wrote it.
    pub path: String,
    /// Hash of its bytes, hexadecimal.
    pub blake3: String,
}

/// The manifest as JSON with a newline at its end.
pub fn manifest_json(manifest: &Manifest) -> Vec<u8> {
    json_text(manifest).into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_manifest_names_inputs_settings_and_program() {
        let manifest = Manifest {
            scenario: "kcc2020".into(),
            command: ["run", "scenarios/kcc2020.toml"].map(String::from).into(),
            settings: vec![("load.samples".into(), "200".into())],
            inputs: vec![Input { path: "scenarios/kcc2020.toml".into(), blake3: "af1349b9".into() }],
            seed: 7,
            version: "0.1.0".into(),
            commit: None,
            created: "2020-07-01T12:00:00Z".into(),
        };
        insta::assert_snapshot!(String::from_utf8(manifest_json(&manifest)).unwrap(), @r#"
        {
          "scenario": "kcc2020",
          "command": [
            "run",
            "scenarios/kcc2020.toml"
          ],
          "settings": [
            [
              "load.samples",
              "200"
            ]
          ],
          "inputs": [
            {
              "path": "scenarios/kcc2020.toml",
              "blake3": "af1349b9"
            }
          ],
          "seed": 7,
          "version": "0.1.0",
          "commit": null,
          "created": "2020-07-01T12:00:00Z"
        }
        "#);
    }
}
