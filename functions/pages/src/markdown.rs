//! Renders Markdown from tickets, agents and reviews. HTML in it stays text, and links lead to web pages only.

use crate::text::{self, http_url};
use pulldown_cmark::{CowStr, Event, HeadingLevel, LinkType, Options, Parser, Tag, TagEnd, html};
use std::fmt;

/// HTML that only this module creates; templates insert it with `|safe`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SafeHtml(String);

impl fmt::Display for SafeHtml {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl SafeHtml {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

pub fn render(markdown: &str) -> SafeHtml {
    let clean = text::block(markdown).to_string();
    let options = Options::ENABLE_TABLES | Options::ENABLE_STRIKETHROUGH | Options::ENABLE_TASKLISTS;
    let mut out = String::with_capacity(clean.len() * 3 / 2);
    let mut open_links = 0_u32;
    let events = Parser::new_ext(&clean, options).flat_map(|event| to_safe_events(event, &mut open_links));
    html::push_html(&mut out, events);
    SafeHtml(out)
}

pub fn plain(text: &str) -> SafeHtml {
    SafeHtml(format!("<p>{}</p>", escape(&text::block(text).to_string())))
}

/// `open_links` counts nested links; HTML allows no link inside a link.
fn to_safe_events<'a>(event: Event<'a>, open_links: &mut u32) -> Vec<Event<'a>> {
    match event {
        Event::Html(html) | Event::InlineHtml(html) => vec![Event::Text(html)],
        Event::Start(Tag::HtmlBlock) => vec![Event::Start(Tag::Paragraph)],
        Event::End(TagEnd::HtmlBlock) => vec![Event::End(TagEnd::Paragraph)],
        // The page has its own first three levels.
        Event::Start(Tag::Heading { level, .. }) => {
            vec![Event::Start(Tag::Heading { level: lower(level), id: None, classes: Vec::new(), attrs: Vec::new() })]
        }
        Event::End(TagEnd::Heading(level)) => vec![Event::End(TagEnd::Heading(lower(level)))],
        // An image would call a foreign server, so its description becomes a link.
        Event::Start(Tag::Link { dest_url: url, link_type, .. } | Tag::Image { dest_url: url, link_type, .. }) => {
            *open_links += 1;
            if *open_links > 1 { Vec::new() } else { vec![open_link(link_type, &url)] }
        }
        Event::End(TagEnd::Link | TagEnd::Image) => {
            *open_links = open_links.saturating_sub(1);
            if *open_links > 0 { Vec::new() } else { vec![Event::InlineHtml(CowStr::Borrowed("</a>"))] }
        }
        other => vec![other],
    }
}

fn lower(level: HeadingLevel) -> HeadingLevel {
    match level {
        HeadingLevel::H1 => HeadingLevel::H4,
        HeadingLevel::H2 => HeadingLevel::H5,
        _ => HeadingLevel::H6,
    }
}

/// An `a` without `href` is text, so a link with another scheme does nothing.
fn open_link(kind: LinkType, url: &str) -> Event<'static> {
    let url = if kind == LinkType::Email { format!("mailto:{url}") } else { url.to_owned() };
    let mail = url.strip_prefix("mailto:").filter(|address| !address.contains(|c: char| c.is_control() || c == '?'));
    let target = http_url(&url).or_else(|| mail.map(|_| url.clone()));
    let open = target.map_or_else(
        || "<a>".to_owned(),
        |url| format!("<a href=\"{}\" rel=\"nofollow noopener noreferrer\">", escape(&url)),
    );
    Event::InlineHtml(open.into())
}

fn escape(url: &str) -> String {
    url.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}
