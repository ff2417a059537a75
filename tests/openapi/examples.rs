//! Tests the parts of the document for readers: servers, audiences and examples.

use super::schema::validate;
use super::{document, operations};
use crate::prelude::*;

#[test]
fn every_route_has_examples_that_fit_its_schemas() {
    let document = document();
    let (mut examples, mut faults) = (0, Vec::new());
    for (name, operation) in operations(&document) {
        let answers = operation["responses"].as_object().unwrap().iter();
        let answers = answers.filter(|(status, _)| ["200", "201"].contains(&status.as_str())).map(|(_, answer)| answer);
        for place in answers.chain(operation.get("requestBody")) {
            for content in place["content"].as_object().unwrap().values() {
                let example = content.get("example").unwrap_or_else(|| panic!("{name} has no example"));
                faults.extend(validate(&document, &content["schema"], example, &name));
                examples += 1;
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
    assert!(examples > 130, "{examples} examples");
}

#[test]
fn validation_of_examples_finds_faults() {
    let document = document();
    let schema = json!({ "$ref": "#/components/schemas/CreateJob" });
    for (body, count) in [
        (json!({ "project": "acme", "ticket": "APP-1" }), 0),
        (json!({ "project": "acme", "ticket": null }), 0),
        (json!({}), 1),
        (json!({ "project": "No Slug" }), 1),
        (json!({ "project": "acme", "prompt": 7, "colour": "red" }), 2),
        (json!([]), 1),
    ] {
        let faults = validate(&document, &schema, &body, "");
        assert_eq!(faults.len(), count, "{body}: {faults:?}");
    }
}

#[test]
fn document_names_its_server_and_the_audience_of_each_route() {
    let document = document();
    assert_eq!(document["servers"][0]["url"], super::SERVER);
    let tags: Vec<&Value> = document["tags"].as_array().unwrap().iter().map(|tag| &tag["name"]).collect();
    assert_eq!(tags, ["Ticket tools", "Users and programs", "Administrators", "Runners", "Operations"]);
    for (name, operation) in operations(&document) {
        let [tag] = operation["tags"].as_array().unwrap().as_slice() else { panic!("{name} has not one tag") };
        assert!(tags.contains(&tag), "{name}: {tag}");
        let scope = operation["description"].as_str().unwrap_or_default();
        let good = match tag.as_str().unwrap() {
            "Ticket tools" => scope.contains("send ticket events"),
            "Users and programs" => !scope.is_empty() && !scope.contains("administer"),
            "Administrators" => scope.contains("administer"),
            "Runners" => scope.is_empty() && operation["security"].is_array(),
            _ => true,
        };
        assert!(good, "{name} is not for {tag}: {scope}");
    }
}
