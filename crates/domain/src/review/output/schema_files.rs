//! Compares docs/reference/output with the types of `output.json`. `PULLYARD_WRITE_DOCS=1` writes the files.

use super::{Answer, OUTPUT_FILE};
use crate::generated;
use crate::review::analysis::SummaryOutput;
use crate::review::report::fix_output::FixOutput;
use crate::review::report::review_output::ReviewOutput;
use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde_json::{Value, json};

/// The file has the version in addition to the type's fields.
fn schema<T: JsonSchema>(kind: &str) -> Value {
    let mut schema = SchemaSettings::draft2020_12().into_generator().into_root_schema_for::<T>().to_value();
    schema["title"] = json!(format!("{OUTPUT_FILE} of a job of kind {kind}"));
    schema["properties"]["v"] = json!({ "const": 1, "description": "Version." });
    schema["required"].as_array_mut().unwrap().insert(0, json!("v"));
    schema
}

#[test]
fn schemas_of_the_output_file_equal_its_types() {
    for (kind, schema) in [
        ("read", schema::<Answer>("read")),
        ("review", schema::<ReviewOutput>("review")),
        ("resolve", schema::<FixOutput>("resolve")),
        ("analysis", schema::<SummaryOutput>("analysis")),
    ] {
        assert_eq!(schema["additionalProperties"], json!(false), "{kind}");
        let file = format!("docs/reference/output/{kind}.json");
        generated::compare_or_write(&file, &format!("{}\n", serde_json::to_string_pretty(&schema).unwrap()));
    }
}
