//! Renders hostile Markdown.

use pullyard_function_pages::markdown::render;

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
        ("# Title", "<h4>Title</h4>"),
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
