//! Tests templates, style and script of the pages: escaping, contrast, labels, and hostile text.

use crate::prelude::*;
use pullyard_function_pages::hints::{Page, name_buttons};
use pullyard_function_pages::text;

const STYLE: &str = include_str!("../../functions/pages/assets/ui.css");
const SCRIPT: &str = include_str!("../../functions/pages/assets/ui.js");
const BOARD_SCRIPT: &str = include_str!("../../functions/pages/assets/board.js");
const LOG_SCRIPT: &str = include_str!("../../functions/pages/assets/log.js");

fn templates() -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../functions/pages/templates");
    let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    files.map(|path| (path.display().to_string(), std::fs::read_to_string(&path).unwrap())).collect()
}

#[test]
fn templates_and_script_keep_the_escaping() {
    let templates = templates();
    assert!(templates.len() > 10);
    for (path, source) in templates {
        assert!(path.ends_with(".html"), "{path} is not escaped by its ending");
        // Only rendered Markdown, which has its own type.
        let source = source.replace("{{ description|safe }}", "").replace("{{ html|safe }}", "");
        for banned in
            ["|safe", "| safe", "escape none", "|escape", " style=", "<style", " onclick", " onload", "javascript:"]
        {
            assert!(!source.contains(banned), "{path} has {banned}");
        }
        for script in source.split("<script").skip(1) {
            let own = ["frame.script", "script", "frame.log_script()"];
            let is_own = |asset: &&str| script.starts_with(&format!(" src=\"{{{{ {asset} }}}}\" defer></script>"));
            assert!(own.iter().any(is_own), "{path} has a script of its own");
        }
    }
    for banned in [
        "innerHTML = ",
        "innerHTML=",
        "innerHTML +",
        "outerHTML",
        "insertAdjacentHTML",
        "document.write",
        "eval(",
        "new Function",
        ".style",
    ] {
        let scripts = [SCRIPT, BOARD_SCRIPT, LOG_SCRIPT];
        assert!(!scripts.iter().any(|script| script.contains(banned)), "a script has {banned}");
    }
    assert!(!STYLE.contains("url(") && !STYLE.contains("@import"), "the style fetches a file");
}

#[test]
fn style_and_scripts_are_below_80_kb() {
    let sizes = [STYLE, SCRIPT, LOG_SCRIPT].map(str::len);
    assert!(sizes.iter().sum::<usize>() < 80_000, "{sizes:?}");
}

#[test]
fn board_script_matches_the_markup_of_the_board() {
    let (_, board) = templates().into_iter().find(|(path, _)| path.ends_with("/board.html")).unwrap();
    for (script, markup) in [
        (r#"querySelector("a.act")"#, r#"<a class="act" href="{{ card.address }}&amp;move=1""#),
        (r#"byId("moved")"#, r#"id="moved" role="status""#),
        (r#"hasAttribute("data-accepts")"#, " data-accepts{% endif %}"),
        ("column.dataset.status", r#" data-status="{{ column.status }}""#),
        ("card.dataset.key", r#" data-key="{{ card.raw_key }}""#),
        ("item.dataset.count", r#" data-key="{{ key }}" data-count="{{ count }}""#),
        ("head.dataset.effect", r#"<header data-effect="{{ column.effect }}">"#),
    ] {
        assert!(BOARD_SCRIPT.contains(script) && board.contains(markup), "{script} {markup}");
    }
}

#[test]
fn board_script_takes_only_forms_of_the_menu_for_moves() {
    let templates = templates();
    let ends_with = |name: &str| templates.iter().find(|(path, _)| path.ends_with(name)).unwrap().1.as_str();
    assert!(BOARD_SCRIPT.contains(r##"event.target.closest("#moves")?.closest(".card")"##));
    assert!(ends_with("/ticket.html").contains(r#"id="moves""#));
    let (board, form) = (ends_with("/board.html"), r#"<form class="why above" method="post" action="/pulls/revise">"#);
    assert!(board.contains(form) && !board.contains(r#"id="moves""#), "the form of a card is outside the menu");
}

#[test]
fn scripts_match_the_markup_of_logs_and_pull_requests() {
    for (script, part, template, markup) in [
        (LOG_SCRIPT, ":scope > div:not(:has(> .second)) > .out > pre", "/log_rows.html", r#"<div class="out"><pre "#),
        (LOG_SCRIPT, ":not(:has(> .second))", "/log_rows.html", r#"{% if entry.cut %}<p class="second">"#),
        (LOG_SCRIPT, "[id^=m] > .meta", "/log_rows.html", r#"<span class="meta"#),
        (LOG_SCRIPT, r#"getElementById("head").dataset.read"#, "/job_fragment.html", r#"id="head" data-read=""#),
        (SCRIPT, r#"querySelector("[data-version]")"#, "/pull_request.html", r#" data-version="{{ version }}""#),
        (
            SCRIPT,
            "details.menu[open], dialog[open], [data-sent]",
            "/base.html",
            r#"<dialog class="palette" id="palette""#,
        ),
        (SCRIPT, r#"matches("input, select, textarea")"#, "/pull_request.html", "<textarea "),
    ] {
        let (_, source) = templates().into_iter().find(|(path, _)| path.ends_with(template)).unwrap();
        assert!(script.contains(part) && source.contains(markup), "{part} {markup}");
    }
}

#[test]
fn every_field_has_a_label_and_every_page_one_h1() {
    for (path, source) in templates() {
        for field in ["<input ", "<select ", "<textarea "] {
            for (at, _) in source.match_indices(field) {
                let (before, tag) = (&source[..at], source[at..].split('\n').next().unwrap());
                let tag = tag[1..].split('<').next().unwrap();
                let id = tag.split(" id=\"").nth(1).and_then(|rest| rest.split('"').next());
                let labelled = id.is_some_and(|id| source.contains(&format!("for=\"{id}\"")));
                let inside =
                    before.rfind("<label").is_some_and(|open| before.rfind("</label>").is_none_or(|end| end < open));
                let named = tag.contains("type=\"hidden\"") || tag.contains("aria-label=\"");
                assert!(named || labelled || inside, "{path}: {field}{tag}");
            }
        }
        let extends = source.contains("{% extends \"base.html\" %}");
        let headings = source.matches("<h1").count();
        let of_another = path.ends_with("/job_base.html");
        assert_eq!(headings, usize::from((extends && !of_another) || path.ends_with("/job_head.html")), "{path}");
    }
}

/// The light and the dark value of every color name.
fn colors() -> BTreeMap<String, [f64; 2]> {
    let mut colours = BTreeMap::new();
    for part in STYLE.split("--").skip(1) {
        let Some((name, rest)) = part.split_once(':') else { continue };
        let Some(pair) = rest.trim_start().strip_prefix("light-dark(").and_then(|rest| rest.split(')').next()) else {
            continue;
        };
        let shades: Vec<f64> = pair.split(',').map(|shade| luminance(shade.trim())).collect();
        colours.insert(name.to_owned(), [shades[0], shades[1]]);
    }
    colours
}

/// WCAG's relative luminance.
fn luminance(shade: &str) -> f64 {
    let part = |at: usize| {
        let value = f64::from(u8::from_str_radix(&shade[at..at + 2], 16).unwrap()) / 255.0;
        if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
    };
    0.2126 * part(1) + 0.7152 * part(3) + 0.0722 * part(5)
}

#[test]
fn color_contrast_is_sufficient_in_both_themes() {
    let colours = colors();
    let check = |front: &str, back: &str, least: f64| {
        for (theme, name) in ["light", "dark"].into_iter().enumerate() {
            let (one, two) = (colours[front][theme], colours[back][theme]);
            let contrast = (one.max(two) + 0.05) / (one.min(two) + 0.05);
            assert!(contrast >= least, "{front} on {back} has {contrast:.1} in the {name} theme");
        }
    };
    let surfaces = ["bg", "side", "surface", "sunken", "hover", "row", "chosen", "float"];
    for back in surfaces.into_iter().chain(["ok-bg", "bad-bg", "warn-bg", "ask-bg", "accent-bg"]) {
        check("text", back, 4.5);
        check("muted", back, 4.5);
    }
    for tone in ["ok", "bad", "warn", "ask", "accent"] {
        for back in ["bg", "surface", "sunken", "hover", "float", &format!("{tone}-bg")] {
            check(tone, back, 4.5);
        }
    }
    for (front, back) in [("on-ink", "ink"), ("add", "add-bg"), ("del", "del-bg")] {
        check(front, back, 4.5);
    }
    for shape in ["control", "fill", "fill-run", "fill-ok", "fill-bad"] {
        check(shape, "surface", 3.0);
    }
    check("control", "bg", 3.0);
}

#[test]
fn misleading_characters_are_made_visible_or_removed() {
    let line = |text: &str| text::line(text).to_string();
    assert_eq!(line("a\nb\tc\r\n"), "a b c");
    assert_eq!(line("\u{202e}gpj.exe"), "⟨U+202E⟩gpj.exe");
    assert_eq!(line("pa\u{200b}y\u{feff}pal\u{00ad}"), "paypal");
    assert_eq!(line("a\0b\u{7f}\u{9b}c"), "a␀b␡\u{fffd}c");
    assert_eq!(line("\u{e0041}"), "\u{fffd}");
    assert_eq!(line(&"x".repeat(5_000)).chars().count(), 2_001);
    assert_eq!(text::block("a\r\nb\rc\u{2028}d\n\n").to_string(), "a\nb\nc\nd");
    assert_eq!(text::block("\u{1b}[31m").to_string(), "␛[31m", "an escape sequence was interpreted");
}

#[test]
fn terminal_output_is_shown_without_control_sequences() {
    let output = |text: &str| text::output(text).to_string();
    assert_eq!(output("\u{1b}[1;31mred\u{1b}[0m \u{1b}[2K\u{1b}[1Aup"), "red up");
    assert_eq!(output("\u{1b}]0;title\u{7}a\u{1b}]8;;https://x.example\u{1b}\\link\u{1b}]8;;\u{1b}\\b"), "alinkb");
    assert_eq!(output("10 %\r20 %\r\nab\u{8}c\u{7}"), "10 %\n20 %\nac");
    assert_eq!(output("\u{1b}["), "");
    assert_eq!(output("\u{1b}]endless"), "");
    let long = format!("{}\n", "y".repeat(3_000)).repeat(100);
    let result = output(&long);
    assert!(result.len() < 70_000 && result.ends_with("longer than a page shows"), "{}", result.len());
    assert!(result.lines().all(|line| line.chars().count() <= 2_001));
}

#[test]
fn only_http_urls_become_links() {
    assert_eq!(text::http_url("https://x.example/1").as_deref(), Some("https://x.example/1"));
    for other in [
        "javascript:alert(1)",
        "data:text/html,x",
        "//x.example",
        "https://x.example/a b",
        "https://x\n",
        "",
        "HTTPS://x",
    ] {
        assert_eq!(text::http_url(other), None, "{other}");
    }
    assert_eq!(text::percent_encode("a/b?ä"), "a%2Fb%3F%C3%A4");
}

#[test]
fn commands_in_a_help_text_are_marked() {
    let parts = |help: &str| {
        let help_text = text::help(help);
        help_text.parts().iter().map(|(part, is_command)| (part.to_string(), *is_command)).collect::<Vec<_>>()
    };
    let expected = [("Answer it: ", false), ("pullyard jobs answer", true), (". <b>", false)];
    assert_eq!(parts("Answer it: `pullyard jobs\nanswer`. <b>"), expected.map(|(part, is)| (part.to_owned(), is)));
    assert_eq!(parts("`a"), [("a".to_owned(), true)]);
    assert!(text::help(" ").is_empty());
}

#[test]
fn advice_names_the_button_that_the_page_has() {
    let doctor = "Run `pullyard doctor`.";
    for (page, help, expected) in [
        (Page::Job, "Read it with `pullyard jobs checks`.", "Read it under “Attempts”."),
        (Page::Job, "Read `pullyard jobs logs`; then `pullyard jobs retry`.", "Read the log; then “Retry”."),
        (Page::Job, "Continue it with `pullyard jobs continue`.", "Continue it with “Continue”."),
        (Page::Other, "Cancel it: `pullyard jobs cancel job_1`.", "Cancel it: “Cancel” on the job’s page."),
        (Page::Ticket, "Start it now: `pullyard revise acme/app#7`.", "Start it now: “Revise”."),
        (Page::Other, "`pullyard review a/b#7 --full`.", "“Full review” on the pull request’s page."),
        (Page::Other, "`pullyard review a/b#7`.", "“Review” on the pull request’s page."),
        (Page::Other, "`pullyard release`.", "“Release” on the board."),
        (Page::Job, "Raise `a.b` with `pullyard settings set`.", "Raise `a.b` in Settings."),
        (Page::Job, "`pullyard settings set a=b`.", "`a=b` in Settings."),
        (Page::Job, "Test it: `pullyard repos test acme/app`.", "Test it: “Test now” on the Repositories page."),
        (Page::Job, "`pullyard repos delete acme/app`.", "“Remove” on the Repositories page."),
        (Page::Job, "`pullyard hooks delete app`.", "“Remove” on the webhook’s page."),
        (Page::Run, "Raise it: `pullyard runs resume K3TZ --cost-usd N`.", "Raise it: “Cost limit” beside “Resume”."),
        (Page::Job, "Resume its run: `pullyard runs resume K3TZ`.", "Resume its run: “Resume” on the run’s page."),
        (
            Page::Run,
            "`pullyard runs why K3TZ` names it; then `pullyard runs resume K3TZ`.",
            "“Plan” names it; then “Resume”.",
        ),
        (Page::Job, doctor, doctor),
        (Page::Job, "Read `pullyard jobs logs", "Read `pullyard jobs logs"),
    ] {
        assert_eq!(name_buttons(help, page), expected);
    }
}
