//! The syntax of markers, which forges do not display.

pub(crate) const HTML_COMMENT: MarkerSyntax = MarkerSyntax { start: "<!-- pullyard:", end: " -->" };

pub(super) const LINK_DEFINITION: MarkerSyntax = MarkerSyntax { start: "[//]: # (pullyard:", end: ")" };

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MarkerSyntax {
    pub(crate) start: &'static str,
    pub(crate) end: &'static str,
}

impl MarkerSyntax {
    pub(crate) const ALL: [Self; 2] = [HTML_COMMENT, LINK_DEFINITION];
}
