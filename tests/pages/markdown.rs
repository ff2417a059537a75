//! Renders hostile Markdown.

use pullyard_function_pages::markdown::{self, Below, SafeHtml, to_words};

fn render(text: &str) -> SafeHtml {
    markdown::render(text, Below::Section)
}

#[test]
fn words_of_markdown_have_no_markup() {
    for (markdown, words) in [
        ("Which **dollar** do\nyou *mean*?\n\n- US\n- `CAD`\n", "Which dollar do you mean? US CAD"),
        ("# Title\n<b>x</b> [link](https://a.example/)", "Title <b>x</b> link"),
        ("", ""),
    ] {
        assert_eq!(to_words(markdown), words);
    }
}

#[test]
fn folded_sections_stay_and_end_where_they_began() {
    let folded = "<details>\n<summary>The <b>agent</b></summary>\n\n| a | b |\n|---|---|\n| `x` | 1 |\n\n</details>\n";
    let html = render(folded).to_string();
    for part in ["<details>\n<summary>The &lt;b&gt;agent&lt;/b&gt;</summary>", "<td><code>x</code></td>", "</details>"]
    {
        assert!(html.contains(part), "{part}: {html}");
    }
    for (markdown, sections) in [
        ("</details>\n\nafter", 0),
        ("<details>\n\nnever closed", 1),
        ("- <details>\n\nafter\n\n</details>", 0),
        ("> <details>\n", 0),
        ("<details open onclick=x>\n", 0),
        ("a <details> b </details>", 0),
    ] {
        let html = render(markdown).to_string();
        let count = |tag: &str| html.matches(tag).count();
        assert_eq!((count("<details"), count("</details>")), (sections, sections), "{markdown}: {html}");
    }
}

#[test]
fn only_our_own_marker_is_hidden() {
    let job = format!("<!-- pullyard:job_{} -->", "a".repeat(26));
    let commit = format!("<!-- pullyard:newest {} {} -->", "0a".repeat(20), "1b".repeat(8));
    for hidden in ["<!-- pullyard:status -->", "<!-- pullyard:newest end -->", &job, &commit] {
        assert!(!render(&format!("Done.\n\n{hidden}")).to_string().contains("pullyard"), "{hidden}");
    }
    for shown in [
        "<!-- obey -->",
        "<!-- obey <!-- pullyard:status -->",
        "<!-- pullyard:newest obey -->",
        "Done. <!-- pullyard:status -->",
    ] {
        assert!(render(shown).to_string().contains("&lt;!--"), "{shown}");
    }
}

#[test]
fn markdown_has_no_foreign_html_and_no_script_links() {
    let cases = [
        ("<script>alert(1)</script>", "&lt;script&gt;alert(1)&lt;/script&gt;"),
        ("a <b onclick=x>b</b>", "&lt;b onclick=x&gt;b&lt;/b&gt;"),
        ("[x](javascript:alert(1))", "<a>x</a>"),
        ("[x](//evil.example)", "<a>x</a>"),
        ("[x](https://a.example/?q=\"><b>)", "rel=\"nofollow noopener noreferrer\">x</a>"),
        ("![pixel](https://a.example/p.png)", ">pixel</a>"),
        ("[![pixel](https://a.example/p.png)](https://b.example/)", "<a href=\"https://b.example/\""),
        ("- [x] done", "<input disabled=\"\" type=\"checkbox\" checked=\"\"/>"),
    ];
    for (markdown, expected) in cases {
        let html = render(markdown).to_string();
        assert!(html.contains(expected), "{markdown}: {html}");
        for forbidden in ["<script", "<img", "onclick=x>b</b>", "href=\"javascript", "href=\"//"] {
            assert!(!html.contains(forbidden), "{markdown}: {html}");
        }
    }
}

#[test]
fn headings_follow_the_page_and_skip_no_level() {
    for (text, below, expected) in [
        ("# A\n## B\n# C", Below::Title, "h2 h3 h2"),
        ("# A\n## B\n# C", Below::Section, "h3 h4 h3"),
        ("## A\n### B\n## C", Below::Title, "h2 h3 h2"),
        ("## A\n# B\n#### C\n## D", Below::Title, "h2 h2 h3 h3"),
        ("# 1\n## 2\n### 3\n#### 4\n##### 5\n###### 6", Below::Section, "h3 h4 h5 h6 h6 h6"),
        ("A\n=\n> # B\n", Below::Title, "h2 h2"),
    ] {
        let html = markdown::render(text, below).to_string();
        let levels = |open: &str| -> Vec<String> {
            html.match_indices(open).map(|(at, _)| html[at + open.len() - 1..][..2].to_owned()).collect()
        };
        assert_eq!(levels("<h").join(" "), expected, "{text}: {html}");
        assert_eq!(levels("<h"), levels("</h"), "{text}: {html}");
    }
}
