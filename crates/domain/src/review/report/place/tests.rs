use super::*;
use crate::fixtures::job_id;
use crate::review::report::review_output::Category;
use proptest::prelude::*;
use std::collections::BTreeMap;

const PATCH: &str = "diff --git a/f.rs b/f.rs\n--- a/f.rs\n+++ b/f.rs\n\
    @@ -1,3 +1,3 @@\n a\n-\tlet b = 1;\n+\tlet b = 2;\n c\n@@ -40 +40 @@\n-k\n+K\n\
    diff --git a/gone.rs b/gone.rs\n--- a/gone.rs\n+++ /dev/null\n@@ -1 +0,0 @@\n-x\n";

fn finding(path: &str, line: Option<u32>) -> Finding {
    Finding {
        path: path.into(),
        line,
        start_line: None,
        side: Side::Right,
        severity: Severity::Medium,
        category: Category::Bug,
        title: "Wrong".into(),
        body: "It is wrong.".into(),
        suggestion: None,
    }
}

fn place_all(findings: &[Finding], posted: &BTreeSet<Fingerprint>, forge: ForgeKind) -> Vec<Place> {
    let rules =
        PlaceRules { forge, job: &job_id("j"), posted, is_in_tree: &|path| path == "f.rs" || path == "other.rs" };
    place(findings, &Diff::parse(PATCH), &rules)
}

fn place_one(finding: Finding) -> Place {
    place_all(&[finding], &BTreeSet::new(), ForgeKind::GitHub).remove(0)
}

fn comment(place: Place) -> InlineComment {
    match place {
        Place::Inline(comment) => comment,
        place => panic!("{place:?}"),
    }
}

#[test]
fn place_depends_on_path_line_and_severity() {
    let inline = |found: Finding| matches!(place_one(found), Place::Inline(_));
    let left = |path, line| Finding { side: Side::Left, ..finding(path, Some(line)) };
    assert!(inline(finding("f.rs", Some(1))) && inline(finding("f.rs", Some(2))) && inline(finding("f.rs", Some(40))));
    assert!(inline(left("f.rs", 3)) && inline(left("gone.rs", 1)));
    for found in [
        finding("f.rs", None),
        finding("f.rs", Some(4)),
        finding("f.rs", Some(41)),
        left("f.rs", 39),
        finding("gone.rs", Some(1)),
        finding("other.rs", Some(1)),
    ] {
        assert_eq!(place_one(found.clone()), Place::InText, "{found:?}");
    }
    for path in ["none.rs", "", "f.rs/", "a//b", "/f.rs", "../f.rs", "x/f.rs"] {
        assert_eq!(place_one(finding(path, Some(1))), Place::InText, "{path:?}");
    }
    for path in ["./f.rs", "f.rs\n", "b/f.rs", "f.rs:1"] {
        assert_eq!(comment(place_one(finding(path, Some(1)))).path, "f.rs", "{path:?}");
    }
    let nit = Finding { severity: Severity::Nit, ..finding("f.rs", Some(1)) };
    assert_eq!(place_one(nit), Place::Dropped(DropReason::BelowMinSeverity));
}

#[test]
fn range_outside_the_hunk_becomes_one_line() {
    let ranged = |start, line| Finding {
        start_line: Some(start),
        suggestion: Some("new".into()),
        ..finding("f.rs", Some(line))
    };
    let inside = comment(place_one(ranged(1, 3)));
    assert_eq!((inside.start_line, inside.line), (Some(1), 3));
    assert!(inside.body.contains("\n```suggestion\nnew\n```\n"), "{}", inside.body);
    let outside = comment(place_one(ranged(3, 40)));
    assert_eq!((outside.start_line, outside.line), (None, 40));
    assert!(outside.body.contains("\n```text\nnew\n```\n"), "{}", outside.body);
}

#[test]
fn suggestion_is_a_block_only_if_it_can_be_applied() {
    let suggested = |code: &str| Finding { suggestion: Some(code.into()), ..finding("f.rs", Some(2)) };
    let body = |found: Finding, forge| comment(place_all(&[found], &BTreeSet::new(), forge).remove(0)).body;
    for (code, block) in [
        ("\tlet b = 3;", "\n```suggestion\n\tlet b = 3;\n```\n"),
        ("\tlet b = 3;\n", "\n```suggestion\n\tlet b = 3;\n```\n"),
        ("", "\n```suggestion\n```\n"),
        ("\n", "\n```suggestion\n\n```\n"),
        ("````\n@ann", "\n`````suggestion\n````\n@ann\n`````\n"),
    ] {
        let text = body(suggested(code), ForgeKind::GitHub);
        assert!(text.contains(block), "{text}");
        assert!(!body(suggested(code), ForgeKind::Bitbucket).contains("suggestion"));
    }
    assert!(body(suggested("x"), ForgeKind::Bitbucket).contains("\nSuggested instead:\n\n```text\nx\n```\n"));
    assert!(body(suggested(" "), ForgeKind::Bitbucket).contains("\nSuggested: delete the lines.\n"));
    for code in ["\tlet b = 2;\n", "a <!-- b --> c", "a (hidden text left out)", "a\u{200b}b"] {
        assert!(!body(suggested(code), ForgeKind::GitHub).contains("suggestion"), "{code:?}");
    }
    let left = Finding { side: Side::Left, ..suggested("x") };
    assert!(!body(left, ForgeKind::GitHub).contains("suggestion"));
}

#[test]
fn comment_ends_with_the_marker_of_its_finding() {
    for forge in ForgeKind::ALL {
        let found = finding("f.rs", Some(2));
        let comment = comment(place_all(std::slice::from_ref(&found), &BTreeSet::new(), forge).remove(0));
        let marker = FindingMarker {
            job: job_id("j"),
            fingerprint: Fingerprint::new(&found, "  let b = 2;"),
            severity: Severity::Medium,
        };
        assert_eq!(Marker::parse(&comment.body), Some(Marker::Finding(marker.clone())));
        assert_eq!(marker.fingerprint, comment.fingerprint);
        assert!(comment.body.starts_with("**medium, bug:** Wrong\n\nIt is wrong.\n\n"), "{}", comment.body);
    }
}

#[test]
fn fingerprint_depends_on_all_but_the_lines_number() {
    let found = finding("f.rs", Some(2));
    let fingerprint = |found: &Finding| Fingerprint::new(found, "let b = 2;");
    let same = fingerprint(&found);
    for other in [
        Finding { path: "g.rs".into(), ..found.clone() },
        Finding { side: Side::Left, ..found.clone() },
        Finding { category: Category::Style, ..found.clone() },
    ] {
        assert_ne!(fingerprint(&other), same);
    }
    assert_ne!(Fingerprint::new(&found, "let b = 3;"), same);
    let reworded = Finding { line: Some(9), title: "Bad".into(), severity: Severity::Low, ..found };
    assert_eq!(Fingerprint::new(&reworded, "\tlet b = 2;\r"), same);
}

#[test]
fn finding_in_a_renamed_file_is_at_the_new_name() {
    let patch = "diff --git a/src/old.rs b/src/new.rs\nsimilarity index 90%\nrename from src/old.rs\n\
        rename to src/new.rs\n--- a/src/old.rs\n+++ b/src/new.rs\n@@ -31 +31 @@\n-a\n+b\n";
    let rules =
        PlaceRules { forge: ForgeKind::GitHub, job: &job_id("j"), posted: &BTreeSet::new(), is_in_tree: &|_| false };
    for (path, line, side) in [
        ("src/new.rs", Some(31), Side::Right),
        ("src/old.rs", Some(31), Side::Right),
        ("src/old.rs", Some(31), Side::Left),
        ("b/src/new.rs", Some(31), Side::Right),
        ("src/old.rs:31", None, Side::Right),
        ("src/new.rs:30-31", None, Side::Right),
    ] {
        let found = Finding { side, ..finding(path, line) };
        let comment = comment(place(&[found], &Diff::parse(patch), &rules).remove(0));
        assert_eq!((comment.path.as_str(), comment.line, comment.side), ("src/new.rs", 31, side), "{path}");
    }
    let elsewhere = finding("src/old.rs:30", None);
    assert_eq!(place(&[elsewhere], &Diff::parse(patch), &rules), [Place::InText]);
}

#[test]
fn posted_finding_is_a_repeat() {
    let found = finding("f.rs", Some(2));
    let posted = BTreeSet::from([Fingerprint::new(&found, "let b = 2;")]);
    assert_eq!(place_all(&[found], &posted, ForgeKind::GitHub), [Place::Repeated]);
    assert!(matches!(place_all(&[finding("f.rs", Some(1))], &posted, ForgeKind::GitHub)[..], [Place::Inline(_)]));
}

#[test]
fn the_first_20_by_severity_are_inline() {
    let lines: String = (1..=30).map(|n| format!("+line {n}\n")).collect();
    let patch = format!("diff --git a/f.rs b/f.rs\n--- a/f.rs\n+++ b/f.rs\n@@ -0,0 +1,30 @@\n{lines}");
    let severity = |n: u32| if n > 25 { Severity::Critical } else { Severity::Low };
    let findings: Vec<Finding> =
        (1..=30).map(|n| Finding { severity: severity(n), ..finding("f.rs", Some(n)) }).collect();
    let rules =
        PlaceRules { forge: ForgeKind::GitHub, job: &job_id("j"), posted: &BTreeSet::new(), is_in_tree: &|_| false };
    let places = place(&findings, &Diff::parse(&patch), &rules);
    let inline: Vec<u32> = places
        .iter()
        .filter_map(|place| if let Place::Inline(comment) = place { Some(comment.line) } else { None })
        .collect();
    assert_eq!(inline, (1..=15).chain(26..=30).collect::<Vec<u32>>());
    assert_eq!(places.iter().filter(|place| **place == Place::InText).count(), 10);
}

#[test]
fn second_finding_with_the_same_fingerprint_is_in_the_text() {
    let worse = Finding { severity: Severity::High, title: "Worse".into(), ..finding("f.rs", Some(2)) };
    let places = place_all(&[finding("f.rs", Some(2)), worse], &BTreeSet::new(), ForgeKind::GitHub);
    assert!(matches!(places[..], [Place::InText, Place::Inline(_)]), "{places:?}");
}

/// The lines that a generated diff shows, each with its hunk and text.
type Shown = BTreeMap<(String, bool, u32), (usize, String)>;

/// A patch of up to three files with up to three hunks of added, removed and unchanged lines.
fn patches() -> impl Strategy<Value = (String, Shown)> {
    let line =
        (0..3_u8, prop::sample::select(vec!["", "x", "@@ -1 +1 @@", "-- a/f0.rs", "++ b/f1.rs", "diff --git a/f b/f"]));
    let hunk = (1..50_u32, prop::collection::vec(line, 1..8));
    prop::collection::vec(prop::collection::vec(hunk, 1..4), 1..4).prop_map(|files| {
        let (mut patch, mut shown) = (String::new(), Shown::new());
        for (n, hunks) in files.iter().enumerate() {
            let path = format!("f{n}.rs");
            patch.push_str(&format!("diff --git a/{path} b/{path}\n--- a/{path}\n+++ b/{path}\n"));
            let (mut old, mut new) = (1, 1);
            for (hunk, (gap, lines)) in hunks.iter().enumerate() {
                (old, new) = (old + gap, new + gap);
                let count = |but: u8| lines.iter().filter(|(kind, _)| *kind != but).count();
                patch.push_str(&format!("@@ -{old},{} +{new},{} @@ f()\n", count(1), count(2)));
                for (kind, text) in lines {
                    patch.push_str(&format!("{}{text}\n", [' ', '+', '-'][usize::from(*kind)]));
                    if *kind != 1 {
                        shown.insert((path.clone(), false, old), (hunk, (*text).to_owned()));
                        old += 1;
                    }
                    if *kind != 2 {
                        shown.insert((path.clone(), true, new), (hunk, (*text).to_owned()));
                        new += 1;
                    }
                }
            }
        }
        (patch, shown)
    })
}

fn findings() -> impl Strategy<Value = Vec<Finding>> {
    let path = prop::sample::select(vec!["f0.rs", "f1.rs", "f2.rs", "tree.rs", "none.rs"]);
    let side = prop::sample::select(vec![Side::Left, Side::Right]);
    let severity = prop::sample::select(Severity::ALL.to_vec());
    let line = prop::option::weighted(0.9, 1..160_u32);
    let one = (path, line, prop::option::of(1..12_u32), side, severity, prop::option::of("[a@`\n]{0,6}"));
    let one = one.prop_map(|(path, line, length, side, severity, suggestion)| Finding {
        start_line: line.zip(length).and_then(|(line, length)| line.checked_sub(length)).filter(|start| *start > 0),
        side,
        severity,
        suggestion,
        ..finding(path, line)
    });
    prop::collection::vec(one, 0..50)
}

proptest! {
    #[test]
    fn each_finding_has_one_place_and_comments_lie_in_hunks(
        (patch, shown) in patches(),
        findings in findings(),
        is_posted in any::<bool>(),
    ) {
        let posted: BTreeSet<Fingerprint> = findings
            .iter()
            .filter_map(|finding| {
                let (_, text) = shown.get(&(finding.path.clone(), finding.side == Side::Right, finding.line?))?;
                Some(Fingerprint::new(finding, text)).filter(|_| is_posted)
            })
            .collect();
        let rules = PlaceRules {
            forge: ForgeKind::GitHub,
            job: &job_id("j"),
            posted: &posted,
            is_in_tree: &|path| path == "tree.rs",
        };
        let places = place(&findings, &Diff::parse(&patch), &rules);
        prop_assert_eq!(places.len(), findings.len());
        let mut inline = 0;
        for (finding, place) in findings.iter().zip(&places) {
            let key = |line| (finding.path.clone(), finding.side == Side::Right, line);
            let on_line = finding.line.and_then(|line| shown.get(&key(line)));
            let is_kept = finding.severity >= Severity::Low;
            match place {
                Place::Inline(comment) => {
                    inline += 1;
                    prop_assert!(is_kept && !is_posted);
                    prop_assert_eq!((&comment.path, comment.side, Some(comment.line)), (&finding.path, finding.side, finding.line));
                    let (hunk, _) = on_line.unwrap();
                    if let Some(start) = comment.start_line {
                        prop_assert!(start < comment.line);
                        prop_assert_eq!(Some(*hunk), shown.get(&key(start)).map(|(hunk, _)| *hunk));
                    }
                    prop_assert!(matches!(Marker::parse(&comment.body), Some(Marker::Finding(_))));
                }
                Place::InText => prop_assert!(is_kept && (on_line.is_none() || !is_posted)),
                Place::Repeated => prop_assert!(is_kept && is_posted && on_line.is_some()),
                Place::Dropped(_) => prop_assert!(!is_kept),
            }
        }
        prop_assert!(inline <= MAX_INLINE_FINDINGS);
    }
}
