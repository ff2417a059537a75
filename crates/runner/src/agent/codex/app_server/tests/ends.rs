//! What ends a turn, and what only says so.

use super::*;

#[test]
fn an_end_that_a_tool_wrote_in_its_name_is_none() {
    let (mut start, lines) = (Beginning::new(), lines_of("tools_and_edits"));
    let (runs, completed) = (place(&lines, &["turn/started"]), place(&lines, &["turn/completed"]));
    start.hear(&lines[..=runs]);
    let claim = lines[completed].replace("\"status\":\"completed\"", "\"status\":\"failed\"");
    let open = lines[completed + 1].replace("\"status\":\"completed\"", "\"status\":\"inProgress\"");
    start.hear([&claim]);
    // Under an id that a tool may guess, nobody is believed.
    start.hear([&lines[completed + 1].replace("question", "question ")]);
    assert!(start.record().terminal.is_none());
    start.hear([&open]);
    assert!(start.record().terminal.is_none());
    // Its own end is one all the same, and comes once.
    start.hear(&lines[runs + 1..]);
    let again = start.questions();
    assert!(start.record().has_ended_well() && start.record().ends == 1);
    start.hear([&claim, &lines[completed + 1]]);
    assert_eq!((start.record().ends, start.questions()), (1, again + 1));
    let ids: std::collections::BTreeSet<String> =
        start.written.iter().filter(|asked| asked["method"] == TURNS).map(|asked| asked["id"].to_string()).collect();
    assert_eq!(ids.len(), start.questions(), "each question has an id of its own");
}

#[test]
fn an_end_that_it_does_not_know_is_asked_for_at_its_pace_until_the_time_is_over() {
    let (mut start, lines) = (Beginning::new(), lines_of("tools_and_edits"));
    let (runs, completed) = (place(&lines, &["turn/started"]), place(&lines, &["turn/completed"]));
    let begin = Instant::now();
    start.hear_at(begin, &lines[..=runs]);
    start.hear_at(begin, [&lines[completed]]);
    let open = lines[completed + 1].replace("\"status\":\"completed\"", "\"status\":\"inProgress\"");
    let unknown = r#"{"id":"question","result":{"data":[]}}"#.to_owned();
    let error = r#"{"id":"question","error":{"code":-32603,"message":"no"}}"#.to_owned();
    let last = begin + ASK_LIMIT - ASK_EVERY;
    for (now, answer) in [(begin, &open), (begin + ASK_LIMIT / 2, &unknown), (last, &error), (last, &open)] {
        let asked = start.questions();
        let signs = start.reader.read_at(answer.as_bytes(), now);
        // No answer, however many there are, is answered at once.
        assert!(matches!(&signs[..], [Sign::Alive, Sign::WriteIn(after, _)] if *after == ASK_EVERY), "{signs:?}");
        start.written.extend(written(&signs));
        assert_eq!(start.questions(), asked + 1);
    }
    let asked = start.questions();
    start.hear_at(begin + ASK_LIMIT, [&open]);
    assert_eq!((start.questions(), start.record().terminal), (asked, None));
    assert_eq!(start.said.last().map(|said| said.kind), Some(EventKind::Log));
    // Another line that says so is another reason to ask, for as long.
    start.hear_at(begin + ASK_LIMIT, [&lines[completed], &open]);
    assert_eq!(start.questions(), asked + 2);
    start.hear_at(begin + 2 * ASK_LIMIT, [&error]);
    assert_eq!(start.record().terminal.unwrap().words, "thread/turns/list failed: no");
}

#[test]
fn a_question_that_is_not_answered_in_its_time_keeps_no_later_end_from_being_asked_for() {
    let (mut start, lines) = (Beginning::new(), lines_of("tools_and_edits"));
    let (runs, completed) = (place(&lines, &["turn/started"]), place(&lines, &["turn/completed"]));
    let begin = Instant::now();
    start.hear_at(begin, &lines[..=runs]);
    start.hear_at(begin, [&lines[completed]]);
    start.hear_at(begin + ASK_LIMIT / 2, [&lines[completed]]);
    assert_eq!(start.questions(), 1);
    start.hear_at(begin + ASK_LIMIT, [&lines[completed]]);
    assert_eq!(start.questions(), 2);
    start.hear_at(begin + ASK_LIMIT, [&lines[completed + 1]]);
    assert!(start.record().has_ended_well());
}

#[test]
fn however_often_its_end_is_said_one_question_is_open_and_what_was_said_since_is_asked_then() {
    let (mut start, lines) = (Beginning::new(), lines_of("tools_and_edits"));
    let (runs, completed) = (place(&lines, &["turn/started"]), place(&lines, &["turn/completed"]));
    start.hear(&lines[..=runs]);
    for _ in 0..50 {
        start.hear([&lines[completed]]);
    }
    assert_eq!(start.questions(), 1);
    let another = r#"{"id":"question","result":{"data":[{"id":"another","status":"inProgress"}]}}"#;
    start.hear([&another.to_owned()]);
    assert_eq!((start.questions(), start.record().terminal), (2, None));
    start.hear(&lines[completed + 1..]);
    assert_eq!((start.questions(), start.record().has_ended_well()), (2, true));
}

#[test]
fn what_is_counted_after_its_end_begins_no_turn_anew() {
    let (mut start, lines) = (golden("tools_and_edits"), lines_of("tools_and_edits"));
    let counted = lines.iter().rposition(|line| line.contains("thread/tokenUsage/updated")).unwrap();
    start.hear([&lines[counted]]);
    assert!(start.record().has_ended_well());
}

#[test]
fn a_request_whose_id_is_longer_than_any_is_answered_by_nothing() {
    let (mut conversation, _) = begun(Path::new("/workspace"));
    let asked = |id: &str| format!(r#"{{"id":"{id}","method":"item/tool/requestUserInput"}}"#);
    assert_eq!(written(&conversation.read(asked(&"i".repeat(64)).as_bytes())).len(), 1);
    assert_eq!(conversation.read(asked(&"i".repeat(65)).as_bytes()), [Sign::Alive]);
    assert_eq!(conversation.read(br#"{"id":["i"],"method":"new/thing"}"#), [Sign::Alive]);
}

#[test]
fn a_newer_turn_that_runs_by_then_is_not_ended_by_the_one_before() {
    let (mut start, lines) = (Beginning::new(), lines_of("tools_and_edits"));
    let completed = place(&lines, &["turn/completed"]);
    start.hear(&lines[..=completed]);
    let object: Value = serde_json::from_str(&lines[completed + 1]).unwrap();
    let id = object["result"]["data"][0]["id"].as_str().unwrap();
    let newer = lines[completed + 1].replace(id, "01a2-newer").replace("\"completed\"", "\"inProgress\"");
    let before = start.written.len();
    start.hear([&newer]);
    assert!(start.record().terminal.is_none() && start.written.len() == before);
}
