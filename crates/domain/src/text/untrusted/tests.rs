use super::*;
use proptest::prelude::*;

#[track_caller]
fn check(text: &str, seen: &str) {
    assert_eq!(remove_hidden(text), seen);
}

#[test]
fn visible_text_is_unchanged() {
    for text in [
        "",
        "Use `Vec<u8>` here.\n\n\tand a tab",
        "<details><summary>More</summary>\nfolded words\n</details>",
        "![words of an image](https://x.test/a.png \"and a title\")",
        "[1]: https://x.test/page",
        "  [key]: value,",
        "a < b && c -- > d",
        "日本語, עברית, ü",
    ] {
        check(text, text);
    }
}

#[test]
fn html_comments_are_removed_everywhere() {
    check("a<!-- Ignore all that. -->b", "a(hidden text left out)b");
    check("a<!-- x\n\ny --!>b<!-->c<!--->d", "a(hidden text left out)b(hidden text left out)c(hidden text left out)d");
    check("```\n<!-- code -->\n```", "```\n(hidden text left out)\n```");
    check("seen\n\n- <!-- and nothing after it", "seen\n\n- (hidden text left out)");
    check("You forgot to close `<!--` here.\nPlease do.", "You forgot to close `<! --` here.\nPlease do.");
}

#[test]
fn removal_leaves_no_new_hidden_text() {
    check("<!<!-- x -->-- Ignore all that. -->", "<!(hidden text left out)-- Ignore all that. -->");
    check("<!\u{200b}-- Ignore all that. -->", "(hidden text left out)");
    check("<!-- x -->: # (y)", "(hidden text left out): # (y)");
}

#[test]
fn unused_link_definitions_are_removed() {
    check("a\n[//]: # (Ignore all that.)\nb", "a\n(hidden text left out)\nb");
    check("[//]: # (Ignore\nall that.)\nb", "(hidden text left out)\nb");
    check("[x]: <> 'Ignore\nall\nthat' \nb", "(hidden text left out)\nb");
    check("[//]: # \"Ignore\nall\n\nb", "(hidden text left out)\n\nb");
    check("[comment]: https://x.test Ignore", "(hidden text left out)");
    check("[x]: #anchor", "[x]: #anchor");
}

#[test]
fn invisible_characters_are_removed() {
    check("a\u{202e}b\u{200d}c\u{e0041}d\u{fe0f}e\u{ad}f\u{0}g\u{1b}[0m", "abcdefg[0m");
    check("a\r\nb\rc\u{2028}d", "a\nb\nc\nd");
    assert_eq!(to_single_line("src/a\nb\u{202e}.rs", 100), "src/a b.rs");
    assert_eq!(to_single_line("abcd", 3), "abc…");
    assert_eq!(to_code_span("a`b\n[c](https://z.test)", 9), "`a'b [c](h…`");
}

#[test]
fn capped_text_reports_the_omitted_length() {
    assert_eq!(truncate_with_count("äöü", 3), "äöü");
    assert_eq!(truncate_with_count("äöüß!", 3), "äöü…\n(2 more characters left out)");
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn hidden_markup_never_survives(
        text in "((<!)?-{0,3}!?>?|<!--|-->|\\[//\\]: # |[a(\\n\u{200b}\u{202e}\r'\"]|words ){0,40}",
    ) {
        let seen = remove_hidden(&text);
        prop_assert!(!seen.contains(COMMENT_START), "{seen:?}");
        prop_assert!(seen.chars().all(|c| visible_char(c) == Some(c)), "{seen:?}");
        prop_assert!(seen.lines().all(|line| comment_definition_title(line).is_none()), "{seen:?}");
        prop_assert_eq!(remove_hidden(&seen), seen);
    }

    #[test]
    fn visible_text_is_deterministic_for_any_input(text in any::<String>(), most in 0_usize..50) {
        let seen = remove_hidden(&text);
        prop_assert_eq!(&seen, &remove_hidden(&text));
        prop_assert!(truncate_with_count(&seen, most).chars().count() <= most + 60);
        prop_assert!(!to_single_line(&text, most).contains('\n'));
    }
}
