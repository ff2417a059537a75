//! Reads lists page by page, up to a limit.

use reqwest::{
    Url,
    header::{HeaderMap, LINK},
};
use serde::de::DeserializeOwned;

use super::client::Client;
use crate::{Error, Listed, listed::MAX_PAGES};

/// GitHub's limit.
pub(super) const PER_PAGE: &str = "100";

pub(super) fn next(headers: &HeaderMap) -> Option<Url> {
    let links = headers.get_all(LINK).iter().filter_map(|links| links.to_str().ok());
    links.flat_map(|links| links.split(',')).find_map(|link| {
        let (address, meaning) = link.trim().strip_prefix('<')?.split_once('>')?;
        let is_next = meaning.split(';').any(|word| matches!(word.trim(), r#"rel="next""# | "rel=next"));
        if is_next { address.parse().ok() } else { None }
    })
}

pub(super) fn query(address: &Url, name: &str) -> Option<String> {
    address.query_pairs().find(|(found, _)| found == name).map(|(_, value)| value.into_owned())
}

impl Client {
    pub(super) async fn list<T: DeserializeOwned>(&self, address: Url, what: &str) -> Result<Listed<T>, Error> {
        let mut found = Vec::new();
        for page in 1..=MAX_PAGES {
            let mut address = address.clone();
            address.query_pairs_mut().append_pair("per_page", PER_PAGE).append_pair("page", &page.to_string());
            // The link only shows that a next page exists; its URL is built here.
            let (items, next): (Vec<T>, _) = self.get_page(&address, what).await?;
            found.extend(items);
            if next.is_none() {
                return Ok(Listed { found, more: false });
            }
        }
        Ok(Listed { found, more: true })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(links: &[&str], expected: Option<&str>) {
        let headers = links.iter().map(|links| (LINK, links.parse().unwrap())).collect();
        assert_eq!(next(&headers).as_ref().map(Url::as_str), expected, "{links:?}");
    }

    #[test]
    fn the_next_page_is_found_among_the_links() {
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
