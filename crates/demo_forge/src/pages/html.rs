//! Builds HTML with escaped text.

use axum::{
    http::header,
    response::{IntoResponse, Response},
};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;\
padding:0 1rem}pre{overflow:auto;white-space:pre-wrap;overflow-wrap:anywhere;padding:1rem;border:1px solid #8884;border-radius:6px;\
font-size:14px}ins{color:#1a7f37;text-decoration:none}del{color:#cf222e;text-decoration:none}\
b{font-weight:600}input,select,textarea{max-width:100%;box-sizing:border-box}:root{color-scheme:light dark}";

pub(super) struct Html(String);

impl Html {
    pub(super) fn new() -> Self {
        Self(String::new())
    }

    pub(super) fn open(&mut self, tag: &'static str) -> &mut Self {
        self.0.push('<');
        self.0.push_str(tag);
        self.0.push('>');
        self
    }

    pub(super) fn close(&mut self, tag: &'static str) -> &mut Self {
        self.0.push_str("</");
        self.0.push_str(tag);
        self.0.push('>');
        self
    }

    pub(super) fn text(&mut self, text: &str) -> &mut Self {
        for character in text.chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                other => self.0.push(other),
            }
        }
        self
    }

    pub(super) fn link(&mut self, address: &str, text: &str) -> &mut Self {
        self.0.push_str("<a href=\"");
        self.text(address).0.push_str("\">");
        self.text(text).close("a")
    }

    pub(super) fn form(&mut self, address: &str) -> &mut Self {
        self.0.push_str("<form method=\"post\" action=\"");
        self.text(address).0.push_str("\">");
        self
    }

    pub(super) fn end_form(&mut self, button: &str) -> &mut Self {
        self.open("button").text(button).close("button").close("form")
    }

    pub(super) fn field(&mut self, name: &str, label: &str) -> &mut Self {
        self.open("p").open("label").text(label).text(" ").0.push_str("<input name=\"");
        self.text(name).0.push_str("\">");
        self.close("label").close("p")
    }

    pub(super) fn area(&mut self, name: &str, label: &str) -> &mut Self {
        self.open("p").open("label").text(label).0.push_str("<br><textarea rows=\"4\" cols=\"70\" name=\"");
        self.text(name).0.push_str("\">");
        self.close("textarea").close("label").close("p")
    }

    pub(super) fn choice(&mut self, name: &str, label: &str, options: &[(&str, &str)]) -> &mut Self {
        self.open("p").open("label").text(label).text(" ").0.push_str("<select name=\"");
        self.text(name).0.push_str("\">");
        for (value, shown) in options {
            self.0.push_str("<option value=\"");
            self.text(value).0.push_str("\">");
            self.text(shown).close("option");
        }
        self.close("select").close("label").close("p")
    }

    pub(super) fn diff(&mut self, diff: &str) -> &mut Self {
        for line in diff.split_inclusive('\n') {
            match line.as_bytes().first() {
                Some(b'+') => self.open("ins").text(line).close("ins"),
                Some(b'-') => self.open("del").text(line).close("del"),
                _ => self.text(line),
            };
        }
        self
    }

    pub(super) fn page(self, title: &str) -> Page {
        let mut page = Self("<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">".into());
        page.open("title").text(title).close("title");
        page.open("style").0.push_str(STYLE);
        page.close("style").close("head").open("body").0.push_str(&self.0);
        page.close("body").close("html");
        Page(page.0)
    }
}

pub(super) struct Page(String);

impl IntoResponse for Page {
    fn into_response(self) -> Response {
        let headers = [
            (header::CONTENT_TYPE, "text/html; charset=utf-8"),
            // A second defence in case an escape is missing.
            (header::CONTENT_SECURITY_POLICY, "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
            (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        ];
        (headers, self.0).into_response()
    }
}
