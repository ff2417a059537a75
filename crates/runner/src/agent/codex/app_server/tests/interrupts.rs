//! Which turns are interrupted, whoever says that they run.

use super::*;

#[test]
fn only_a_turn_that_runs_is_interrupted() {
    let (mut conversation, mut speech) = begun(Path::new("/workspace"));
    let lines = lines_of("interrupted_in_tool");
    let runs = place(&lines, &["turn/started"]);
    for line in &lines[..runs] {
        assert_eq!(speech.interrupt(), None);
        conversation.read(line.as_bytes());
    }
    conversation.read(lines[runs].as_bytes());
    let started: Value = serde_json::from_str(&lines[runs]).unwrap();
    let [asked] = objects(&speech.interrupt().unwrap()).try_into().unwrap();
    assert_eq!(asked["method"], "turn/interrupt");
    assert_eq!(asked["params"]["turnId"], started["params"]["turn"]["id"]);
    let (_, mut gone) = begun(Path::new("/workspace"));
    assert_eq!(gone.interrupt(), None);
    for version in versions("codex") {
        for name in ["interrupted_in_tool", "interrupted_waiting"] {
            let mut start = Beginning::new();
            start.hear(&lines_by(&version, name));
            let record = start.record();
            let terminal = record.terminal.unwrap();
            let interrupted = !terminal.well && terminal.words.contains("interrupted");
            assert!(interrupted && record.tools.is_empty(), "{version}/{name}: {terminal:?}");
        }
    }
}

#[test]
fn a_line_of_a_tool_moves_no_interrupt_away_from_the_turn_that_runs() {
    let (mut start, lines) = (Beginning::new(), lines_of("interrupted_in_tool"));
    let (runs, own) = (place(&lines, &["turn/started"]), turn_of(&lines));
    start.hear(&lines[..=runs]);
    assert_eq!(start.interrupts(), [own.as_str()]);
    // As often as it likes, and as an answer to whatever it guesses.
    let mut known = vec![own.as_str()];
    for forged in ["01a2-forged", "01a2-again"] {
        known.push(forged);
        start.hear([&lines[runs].replace(&own, forged)]);
        for id in ["interrupt", "initialize", "thread", MARK] {
            start.hear([&format!(r#"{{"id":"{id}","result":{{"turn":{{"id":"01a2-answered"}}}}}}"#)]);
        }
        // Nobody but Codex knows whether that one runs.
        assert_eq!(start.interrupts(), known);
    }
    // What interrupts of turns that don't run come to is nothing to tell.
    let said = start.said.len();
    start.hear([&r#"{"id":"interrupt.1","error":{"code":-32600,"message":"no active turn"}}"#.to_owned()]);
    assert_eq!((start.said.len(), start.record().terminal), (said, None));
    // Its end is the end of all that had begun by then.
    start.hear(&lines[place(&lines, &["turn/completed"])..]);
    assert!(start.record().has_ended());
    assert_eq!(start.reader.speech.interrupt(), None);
}

#[test]
fn a_turn_that_nobody_asked_for_is_interrupted_and_so_is_one_that_words_began() {
    let (mut start, lines) = (Beginning::new(), lines_of("told_after_its_end"));
    let (ended, told) = (place(&lines, &["\"id\":\"question\""]), place(&lines, &["\"id\":\"7d0c0e0e"]));
    let runs = place(&lines, &["turn/started"]);
    start.hear(&lines[..=ended]);
    assert_eq!(start.reader.speech.interrupt(), None);
    // As when an agent of the agent has ended.
    start.hear([&lines[runs].replace(&turn_of(&lines), "01a2-of-nobody")]);
    assert_eq!(start.interrupts(), ["01a2-of-nobody"]);
    // No answer of Codex names it: what a tool writes takes no place but its own.
    start.hear([&lines[runs].replace(&turn_of(&lines), "01a2-forged")]);
    assert_eq!(start.interrupts(), ["01a2-of-nobody", "01a2-forged"]);
    start.reader.speech.tell("Greet in Latin.", MARK);
    start.hear(&lines[told..=told]);
    let named: Value = serde_json::from_str(&lines[told]).unwrap();
    let named = named["result"]["turn"]["id"].as_str().unwrap();
    assert_eq!(start.interrupts(), [named, "01a2-of-nobody", "01a2-forged"]);
}

#[test]
fn however_many_turns_are_said_to_begin_the_first_of_them_and_the_last_are_interrupted() {
    let (mut start, lines) = (Beginning::new(), lines_of("told_after_its_end"));
    let (runs, completed) = (place(&lines, &["turn/started"]), place(&lines, &["turn/completed"]));
    let (own, ended) = (turn_of(&lines), place(&lines, &["\"id\":\"question\""]));
    let begins = |turn: &str| lines[runs].replace(&own, turn);
    start.hear(&lines[..=ended]);
    start.hear([&begins("01a2-of-nobody")]);
    for number in 0..50 {
        // Said twice, it is one all the same.
        start.hear([&begins(&format!("01a2-forged-{number}")), &begins(&format!("01a2-forged-{number}"))]);
    }
    // It would be kept with each question and written with each interrupt.
    start.hear([&begins(&"f".repeat(speech::LONGEST_TURN + 1))]);
    let asked = start.interrupts();
    assert_eq!(asked.len(), speech::MOST_BEGUN);
    assert_eq!((asked[0].as_str(), asked[15].as_str()), ("01a2-of-nobody", "01a2-forged-49"));
    // Its end is theirs too, whichever of them was said to have ended.
    start.hear([&lines[completed].replace(&own, "01a2-forged-49")]);
    start.hear([&lines[ended].replace(&own, "01a2-of-nobody")]);
    assert_eq!((start.record().ends, start.reader.speech.interrupt()), (2, None));
}

#[test]
fn what_began_since_an_end_was_asked_for_is_interrupted_after_it() {
    let (mut start, lines) = (Beginning::new(), lines_of("told_after_its_end"));
    let (runs, ended) = (place(&lines, &["turn/started"]), place(&lines, &["\"id\":\"question\""]));
    start.hear(&lines[..ended]);
    start.hear([&lines[runs].replace(&turn_of(&lines), "01a2-of-nobody")]);
    start.hear([&lines[ended]]);
    assert_eq!((start.record().ends, start.interrupts()), (1, vec!["01a2-of-nobody".to_owned()]));
}
