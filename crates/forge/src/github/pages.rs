//! Parses pagination links.

use reqwest::{
    Url,
    header::{HeaderMap, LINK},
};

pub(super) const PER_PAGE: &str = "100";

pub(super) fn parse_next_link(headers: &HeaderMap) -> Option<Url> {
    let links = headers.get_all(LINK).iter().filter_map(|links| links.to_str().ok());
    links.flat_map(|links| links.split(',')).find_map(|link| {
        let (address, meaning) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = meaning.split(';').any(|word| matches!(word.trim(), r#"rel="next""# | "rel=next"));
        if is_next { address.parse().ok() } else { None }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(links: &[&str], expected: Option<&str>) {
        let headers = links.iter().map(|links| (LINK, links.parse().unwrap())).collect();
        assert_eq!(parse_next_link(&headers).as_ref().map(Url::as_str), expected, "{links:?}");
    }

    #[test]
    fn next_page_is_parsed_from_link_headers() {
        let next = "<https://forge/x?page=2>; rel=\"next\"";
        check(&[next], Some("https://forge/x?page=2"));
        check(&[&format!("<https://forge/x?page=1>; rel=\"prev\", {next}")], Some("https://forge/x?page=2"));
        check(&["<https://forge/x>; rel=\"last\"", next], Some("https://forge/x?page=2"));
        for none in ["", "<https://forge/x>; rel=\"prev\"", "next", "<no address>; rel=\"next\""] {
            check(&[none], None);
        }
        check(&[], None);
    }
}
