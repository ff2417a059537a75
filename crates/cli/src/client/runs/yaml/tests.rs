use super::*;
use pullyard_domain::project::plan::MAX_FILE_BYTES;
use serde_json::json;

#[track_caller]
fn check(text: &str, expected: Value) {
    assert_eq!(parse_yaml(text).map(|(value, _)| value), Ok(expected), "{text}");
}

#[test]
fn plain_scalars_follow_the_core_schema() {
    check("[no, on, yes, ~, null, true, False]", json!(["no", "on", "yes", null, null, true, false]));
    check("[1, -2, +3, 0x1F, 1.5, 1e3]", json!([1, -2, 3, "0x1F", 1.5, 1000.0]));
    check(
        "[.inf, nan, inf, 1.2.3, 12:30, 0x, '1', \"true\", 1_000]",
        json!([".inf", "nan", "inf", "1.2.3", "12:30", "0x", "1", "true", "1_000"]),
    );
    check(
        "a:\n  - x: |\n      one\n      two\n  - - y\nb: {c: }\n",
        json!({ "a": [{ "x": "one\ntwo\n" }, ["y"]], "b": { "c": null } }),
    );
    check("", Value::Null);
    check(r#"{"name": "json", "steps": []}"#, json!({ "name": "json", "steps": [] }));
}

#[test]
fn nul_is_refused_at_its_place() {
    for (text, place) in [("a: 1\nb: \0\nsteps: []", (2, 4)), ("\0", (1, 1)), ("ü: x\0y", (1, 5))] {
        check_breach(text, place, "NUL (U+0000)", MAX_NODES);
    }
}

#[test]
fn every_key_and_item_has_its_place() {
    let (_, places) = parse_yaml("name: x\nsteps:\n  - {name: a, needs: [b,\n     c]}\n  - a/b~: 1\n").unwrap();
    for (pointer, place) in [
        ("", (1, 1)),
        ("/name", (1, 1)),
        ("/steps", (2, 1)),
        ("/steps/0", (3, 6)),
        ("/steps/0/name", (3, 6)),
        ("/steps/0/needs/0", (3, 23)),
        ("/steps/0/needs/1", (4, 6)),
        ("/steps/1/a~1b~0", (5, 5)),
        ("/steps/1/missing", (5, 5)),
        ("/missing", (1, 1)),
    ] {
        assert_eq!(places.find(pointer), place, "{pointer}");
    }
}

#[test]
fn empty_mapping_of_a_list_has_the_place_of_its_line() {
    let (_, places) = parse_yaml("steps:\n  - name: a\n    prompt: x\n  - {}\n").unwrap();
    assert_eq!(places.find("/steps/1/name").0, 4);
}

/// A hostile file is refused at its first breach, after few nodes.
#[track_caller]
fn check_breach(text: &str, place: Place, says: &str, max_nodes: usize) {
    let mut reader = Reader::default();
    let breach = reader.read(text).unwrap_err();
    assert!((breach.line, breach.column) == place && breach.fault.contains(says), "{breach:?}");
    assert!(reader.nodes <= max_nodes, "{} nodes", reader.nodes);
    assert!(reader.places.0.len() <= max_nodes + 1);
}

#[test]
fn hostile_file_is_refused_at_its_first_breach() {
    check_breach("a: &x [lol]\nb: [*x, *x]\n", (1, 7), "anchors", 3);
    check_breach("a: *x\n", (1, 4), "not YAML", 2);
    check_breach("a: !!str 1\n", (1, 10), "tags", 3);
    check_breach("a: !x {}\n", (1, 7), "tags", 3);
    check_breach("<<: {a: 1}\n", (1, 1), "merge keys", 2);
    check_breach("a: 1\nb: 2\na: 3\n", (3, 1), "`a` is set twice", 6);
    check_breach("a: 1\n---\nb: 2\n", (2, 1), "one document", 3);
    check_breach("? [a]\n: 1\n", (1, 3), "a key is text", 2);
    check_breach("a: [1\n", (2, 1), "not YAML", 4);
    check_breach(&"[".repeat(20), (1, MAX_DEPTH + 1), "12 levels", MAX_DEPTH + 1);
    // The parser looks ahead for the end of a possible key, up to a limit of its own.
    check_breach(&"[".repeat(MAX_FILE_BYTES), (1, 256), "not YAML", 0);
    let nested = "- ".repeat(MAX_FILE_BYTES / 2);
    check_breach(&nested, (1, 2 * MAX_DEPTH + 1), "12 levels", MAX_DEPTH + 1);
    let many = "- a\n".repeat(MAX_FILE_BYTES / 4);
    check_breach(&many, (MAX_NODES, 3), "5000 nodes", MAX_NODES + 1);
    let keys: String = (0..9_000).map(|key| format!("{key}:\n")).collect();
    check_breach(&keys, (MAX_NODES / 2 + 1, 1), "5000 nodes", MAX_NODES + 1);
    // Without a limit of keys, each of 5,000 pointers would have 54 KB.
    let long = format!("{{\"{}\": [{}]}}", "k".repeat(54_000), "a,".repeat(4_900));
    check_breach(&long, (1, 2), "100 bytes", 2);
    let nested =
        (0..MAX_DEPTH - 1).fold("a,".repeat(4_900), |inner, _| format!("{{\"{}\": [{inner}]}}", "~".repeat(100)));
    let mut reader = Reader::default();
    let _ = reader.read(&nested);
    assert!(reader.places.0.keys().map(String::len).sum::<usize>() < 20_000_000);
}
