//! Renders Markdown from tickets, agents and reviews. HTML in it stays text, except the tags of a folded section, and
//! our own markers are hidden. Links lead to web pages only.

use crate::text::{self, http_url};
use pulldown_cmark::{CowStr, Event, HeadingLevel, LinkType, Options, Parser, Tag, TagEnd, html};
use pullyard_domain::review::published::marker::is_marker_line;
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

const OPTIONS: Options = Options::ENABLE_TABLES.union(Options::ENABLE_STRIKETHROUGH).union(Options::ENABLE_TASKLISTS);

/// The heading of the page that a text follows. Headings in the text start one level below it.
#[derive(Clone, Copy)]
pub enum Below {
    Title = 1,
    Section = 2,
}

pub fn render(markdown: &str, below: Below) -> SafeHtml {
    let clean = text::block(markdown).to_string();
    let mut out = String::with_capacity(clean.len() * 3 / 2);
    let mut open = OpenTags { below: below as usize, ..OpenTags::default() };
    let events = Parser::new_ext(&clean, OPTIONS).flat_map(|event| to_safe_events(event, &mut open));
    html::push_html(&mut out, events);
    out.push_str(&"</details>\n".repeat(open.sections));
    SafeHtml(out)
}

/// The words without the markup, for a place of one line.
pub fn to_words(markdown: &str) -> String {
    let words = Parser::new_ext(markdown, OPTIONS).filter_map(|event| match event {
        Event::Text(text) | Event::Code(text) | Event::Html(text) | Event::InlineHtml(text) => Some(text),
        Event::SoftBreak | Event::HardBreak | Event::End(TagEnd::Paragraph | TagEnd::Heading(_) | TagEnd::Item) => {
            Some(CowStr::Borrowed(" "))
        }
        _ => None,
    });
    words.fold(String::new(), |text, word| text + &word).trim().to_owned()
}

pub fn plain(text: &str) -> SafeHtml {
    SafeHtml(format!("<p>{}</p>", escape(&text::block(text).to_string())))
}

#[derive(Default)]
struct OpenTags {
    /// HTML allows no link inside a link.
    links: u32,
    /// Depth of lists, quotations and other blocks. A folded section that begins inside a block could end outside.
    blocks: u32,
    sections: usize,
    /// Whether lines of HTML are in a paragraph.
    has_paragraph: bool,
    below: usize,
    /// The last heading and the headings that contain it, outermost first.
    headings: Vec<HeadingLevel>,
}

impl OpenTags {
    /// Levels that the text leaves out are closed up, so that the page never skips one.
    fn start_heading(&mut self, level: HeadingLevel) -> HeadingLevel {
        self.headings.retain(|outer| *outer < level);
        self.headings.push(level);
        self.shifted_level()
    }

    fn shifted_level(&self) -> HeadingLevel {
        HeadingLevel::try_from(self.below + self.headings.len()).unwrap_or(HeadingLevel::H6)
    }

    /// A tag of a folded section, alone in its line; an empty text for a marker.
    fn parse_safe_html(&mut self, line: &str) -> Option<String> {
        let line = line.trim();
        if is_marker_line(line) {
            return Some(String::new());
        }
        if self.blocks > 0 {
            return None;
        }
        let title = line.strip_prefix("<summary>").and_then(|rest| rest.strip_suffix("</summary>"));
        match line {
            "<details>" => self.sections += 1,
            "</details>" => self.sections = self.sections.checked_sub(1)?,
            _ if self.sections > 0 => return Some(format!("<summary>{}</summary>\n", escape(title?))),
            _ => return None,
        }
        Some(format!("{line}\n"))
    }
}

fn to_safe_events<'a>(event: Event<'a>, open: &mut OpenTags) -> Vec<Event<'a>> {
    let open_links = &mut open.links;
    match event {
        Event::InlineHtml(html) => vec![Event::Text(html)],
        Event::Html(html) => match open.parse_safe_html(&html) {
            Some(safe) => end_paragraph(open).into_iter().chain([Event::Html(safe.into())]).collect(),
            None if std::mem::replace(&mut open.has_paragraph, true) => vec![Event::Text(html)],
            None => vec![Event::Start(Tag::Paragraph), Event::Text(html)],
        },
        Event::Start(Tag::HtmlBlock) => Vec::new(),
        Event::End(TagEnd::HtmlBlock) => end_paragraph(open).into_iter().collect(),
        Event::Start(tag @ (Tag::List(_) | Tag::BlockQuote(_))) => {
            open.blocks += 1;
            vec![Event::Start(tag)]
        }
        Event::End(tag @ (TagEnd::List(_) | TagEnd::BlockQuote(_))) => {
            open.blocks = open.blocks.saturating_sub(1);
            vec![Event::End(tag)]
        }
        Event::Start(Tag::Heading { level, .. }) => {
            let level = open.start_heading(level);
            vec![Event::Start(Tag::Heading { level, id: None, classes: Vec::new(), attrs: Vec::new() })]
        }
        Event::End(TagEnd::Heading(_)) => vec![Event::End(TagEnd::Heading(open.shifted_level()))],
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

fn end_paragraph<'a>(open: &mut OpenTags) -> Option<Event<'a>> {
    std::mem::take(&mut open.has_paragraph).then_some(Event::End(TagEnd::Paragraph))
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
