//! Parses pagination links.

use reqwest::header::{HeaderMap, LINK};

pub(super) const PER_PAGE: &str = "100";

/// Only shows that a next page exists: the caller builds its URL.
pub(super) fn has_next_page(headers: &HeaderMap) -> bool {
    let links = headers.get_all(LINK).iter().filter_map(|links| links.to_str().ok());
    links.flat_map(|links| links.split([',', ';'])).any(|word| matches!(word.trim(), r#"rel="next""# | "rel=next"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn next_page_is_found_in_link_headers() {
        let next = "<https://forge/x?page=2>; rel=\"next\"";
        let after_previous = format!("<https://forge/x?page=1>; rel=\"prev\", {next}");
        for (links, expected) in [
            (vec![next], true),
            (vec![after_previous.as_str()], true),
            (vec!["<https://forge/x>; rel=\"last\"", next], true),
            (vec!["", "<https://forge/x>; rel=\"prev\"", "next"], false),
            (vec![], false),
        ] {
            let headers = links.iter().map(|links| (LINK, links.parse().unwrap())).collect();
            assert_eq!(has_next_page(&headers), expected, "{links:?}");
        }
    }
}
