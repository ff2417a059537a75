//! Parses the XML of AWS's older services. Reads elements and text only, because the rest has no meaning there.

use xmlparser::{ElementEnd, Token, Tokenizer};

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

/// Deeper than any response; bounds the recursion.
const MAX_DEPTH: usize = 64;

impl Element {
    pub fn parse(text: &str) -> Option<Self> {
        let mut open = vec![Self::default()];
        for token in Tokenizer::from(text) {
            match token.ok()? {
                Token::ElementStart { local, .. } if open.len() < MAX_DEPTH => {
                    open.push(Self { name: local.as_str().to_owned(), ..Self::default() });
                }
                Token::ElementStart { .. } => return None,
                Token::Text { text } => open.last_mut()?.text.push_str(&unescape(text.as_str())?),
                Token::Cdata { text, .. } => open.last_mut()?.text.push_str(text.as_str()),
                Token::ElementEnd { end: ElementEnd::Close(_, name), .. } if open.last()?.name != name.as_str() => {
                    return None;
                }
                Token::ElementEnd { end: ElementEnd::Close(..) | ElementEnd::Empty, .. } => {
                    let closed = open.pop()?;
                    open.last_mut()?.children.push(closed);
                }
                _ => {}
            }
        }
        let mut document = open.pop().filter(|_| open.is_empty())?;
        let root = document.children.pop()?;
        document.children.is_empty().then_some(root)
    }

    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    pub fn child_text(&self, name: &str) -> Option<&str> {
        self.child(name).map(|child| child.text.trim()).filter(|text| !text.is_empty())
    }

    /// Members of a list: `member` in most services, `item` in EC2.
    pub fn members(&self, name: &str) -> impl Iterator<Item = &Self> {
        let members = self.child(name).into_iter().flat_map(|list| &list.children);
        members.filter(|child| matches!(child.name.as_str(), "member" | "item"))
    }

    pub fn descendant(&self, name: &str) -> Option<&Self> {
        self.children.iter().find_map(|child| if child.name == name { Some(child) } else { child.descendant(name) })
    }
}

/// `None` for an entity that XML does not define.
fn unescape(text: &str) -> Option<String> {
    let mut parts = text.split('&');
    let mut unescaped = parts.next()?.to_owned();
    for part in parts {
        let (entity, rest) = part.split_once(';')?;
        let number = |digits: &str, radix| u32::from_str_radix(digits, radix).ok().and_then(char::from_u32);
        let character = match (entity, entity.strip_prefix("#x"), entity.strip_prefix('#')) {
            ("lt", ..) => '<',
            ("gt", ..) => '>',
            ("amp", ..) => '&',
            ("quot", ..) => '"',
            ("apos", ..) => '\'',
            (_, Some(hex), _) => number(hex, 16)?,
            (_, None, Some(decimal)) => number(decimal, 10)?,
            _ => return None,
        };
        unescaped.push(character);
        unescaped.push_str(rest);
    }
    Some(unescaped)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_text_and_entities_are_parsed() {
        let text = r#"<?xml version="1.0"?>
            <A xmlns="http://x/"><R><L><member><K>a &amp; b&#10;&#x41;</K></member><member/><other/></L></R>
            <S><![CDATA[<x>]]></S></A>"#;
        let root = Element::parse(text).unwrap();
        let result = root.child("R").unwrap();
        let members: Vec<_> = result.members("L").map(|member| member.child_text("K")).collect();
        assert_eq!(members, [Some("a & b\nA"), None]);
        assert_eq!(root.child_text("S"), Some("<x>"));
        assert_eq!(root.descendant("K").unwrap().text, "a & b\nA");
        assert_eq!((root.child("T"), root.members("T").count()), (None, 0));
    }

    #[test]
    fn malformed_xml_is_rejected() {
        let deep = "<a>".repeat(10_000);
        for bad in ["", "{}", "<a>", "<a></b>", "<a/><b/>", "<a>&nope;</a>", "<a>&#xFFFFFFF;</a>", deep.as_str()] {
            assert_eq!(Element::parse(bad), None, "{}", bad.get(..20).unwrap_or(bad));
        }
    }
}
