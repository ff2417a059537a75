//! Describes the changes between two recordings.

use serde_json::Value;

/// Values are cut after this length. Units: characters.
const MOST: usize = 160;

/// Returns `None` if both are equal.
pub(crate) fn told(before: &[String], now: &[String]) -> Option<String> {
    if before == now {
        return None;
    }
    let first = before.iter().zip(now).take_while(|(before, now)| before == now).count();
    let last = before[first..].iter().rev().zip(now[first..].iter().rev()).take_while(|(before, now)| before == now);
    let last = last.count();
    let (gone, new) = (&before[first..before.len() - last], &now[first..now.len() - last]);
    let mut told = Vec::new();
    if gone.len() == new.len() {
        for (number, (before, now)) in gone.iter().zip(new).enumerate() {
            for change in changes(before, now) {
                told.push(format!("  line {}: {change}", first + number + 1));
            }
        }
    } else {
        told.push(format!("  from line {}: {} lines instead of {}", first + 1, new.len(), gone.len()));
        told.extend(gone.iter().map(|line| format!("  - {}", short(line))));
        told.extend(new.iter().map(|line| format!("  + {}", short(line))));
    }
    Some(told.join("\n"))
}

fn changes(before: &str, now: &str) -> Vec<String> {
    let mut told = Vec::new();
    match (serde_json::from_str::<Value>(before), serde_json::from_str::<Value>(now)) {
        (Ok(before), Ok(now)) => walk("", &before, &now, &mut told),
        _ => told.push(format!("was {}, is {}", short(before), short(now))),
    }
    if told.is_empty() && before != now {
        told.push("its fields have another order".into());
    }
    told
}

fn walk(path: &str, before: &Value, now: &Value, told: &mut Vec<String>) {
    let of = |field: &str| if path.is_empty() { field.to_owned() } else { format!("{path}.{field}") };
    match (before, now) {
        (Value::Object(before), Value::Object(now)) => {
            for (field, now) in now {
                match before.get(field) {
                    Some(before) => walk(&of(field), before, now, told),
                    None => told.push(format!("{} is new: {}", of(field), short(&now.to_string()))),
                }
            }
            let gone = before.keys().filter(|field| !now.contains_key(*field));
            told.extend(gone.map(|field| format!("{} is gone", of(field))));
        }
        (Value::Array(before), Value::Array(now)) if before.len() == now.len() => {
            for (number, (before, now)) in before.iter().zip(now).enumerate() {
                walk(&of(&number.to_string()), before, now, told);
            }
        }
        (before, now) if before == now => {}
        (before, now) => {
            told.push(format!("{path} was {}, is {}", short(&before.to_string()), short(&now.to_string())));
        }
    }
}

fn short(text: &str) -> String {
    let mut begin: String = text.chars().take(MOST).collect();
    if begin.len() < text.len() {
        begin.push('…');
    }
    begin
}

fn lines(texts: &[&str]) -> Vec<String> {
    texts.iter().map(|text| (*text).to_owned()).collect()
}

#[test]
fn changes_are_listed_by_line_and_field() {
    let before = lines(&["{}", r#"{"type":"result","result":"a","old":1}"#, "last"]);
    let now = lines(&["{}", r#"{"type":"result","result":"b","new":{"x":[2]}}"#, "last"]);
    assert_eq!(
        told(&before, &now).unwrap(),
        "  line 2: new is new: {\"x\":[2]}\n  line 2: result was \"a\", is \"b\"\n  line 2: old is gone"
    );
    assert_eq!(told(&now, &now), None);
    let order = told(&lines(&[r#"{"a":1,"b":2}"#]), &lines(&[r#"{"b":2,"a":1}"#]));
    assert_eq!(order.unwrap(), "  line 1: its fields have another order");
}

#[test]
fn added_and_removed_lines_are_listed() {
    let (before, now) = (lines(&["a", "b", "z"]), lines(&["a", "z"]));
    assert_eq!(told(&before, &now).unwrap(), "  from line 2: 0 lines instead of 1\n  - b");
    assert_eq!(told(&now, &before).unwrap(), "  from line 2: 1 lines instead of 0\n  + b");
    assert_eq!(told(&now, &lines(&["a", "z", "z"])).unwrap(), "  from line 3: 1 lines instead of 0\n  + z");
}
