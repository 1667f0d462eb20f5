//! The JSON schema of scenario files, for completion and hints in editors.

use schemars::Schema;
use schemars::generate::SchemaSettings;
use schemars::transform::{Transform, transform_subschemas};
use serde_json::Value;

use super::form::ScenarioForm;

/// The schema of a scenario file, in JSON Schema draft 07.
pub fn schema() -> Value {
    let settings = SchemaSettings::draft07().with_transform(WithoutNull);
    let mut schema = settings.into_generator().into_root_schema_for::<ScenarioForm>();
    schema.insert("title".to_owned(), "coinfer scenario".into());
    schema.to_value()
}

/// TOML has no null: an optional key is absent.
#[derive(Clone)]
struct WithoutNull;

impl Transform for WithoutNull {
    fn transform(&mut self, schema: &mut Schema) {
        let is_null = |value: &Value| *value == "null" || value.get("type").is_some_and(|kind| kind == "null");
        for keyword in ["type", "anyOf"] {
            let Some(Value::Array(choices)) = schema.get_mut(keyword) else {
                continue;
            };
            choices.retain(|choice| !is_null(choice));
            if choices.len() == 1 && keyword == "type" {
                let only = choices.remove(0);
                schema.insert(keyword.to_owned(), only);
            }
        }
        if schema.get("default").is_some_and(Value::is_null) {
            schema.remove("default");
        }
        transform_subschemas(self, schema);
    }
}
