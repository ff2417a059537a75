//! Reads lists page by page, up to a limit.

use super::fault::CliError;
use super::screen::Screen;
use pullyard_domain::text::time::Timestamp;
use std::fmt::Display;

const PAGE_SIZE: usize = 50;

pub(super) struct Page<T> {
    pub(super) items: Vec<T>,
    pub(super) next: Option<String>,
    pub(super) searched_to: Option<Timestamp>,
}

#[derive(clap::Args, Default, PartialEq)]
pub(super) struct PageArgs {
    /// Maximum number (default: 50).
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1000))]
    limit: Option<u16>,
    /// Continue after the page that printed this cursor.
    #[arg(long, value_name = "CURSOR", value_parser = super::parse_cursor)]
    after: Option<String>,
    /// Refresh every two seconds until Ctrl-C.
    #[arg(long)]
    pub(super) watch: bool,
}

impl PageArgs {
    pub(super) async fn load<T>(
        &self,
        mut load_page: impl AsyncFnMut(Option<usize>, Option<String>) -> Result<Page<T>, CliError>,
    ) -> Result<Page<T>, CliError> {
        let max_items = self.limit.map_or(PAGE_SIZE, usize::from);
        let mut all = Page { items: Vec::new(), next: self.after.clone(), searched_to: None };
        loop {
            let remaining = max_items.saturating_sub(all.items.len());
            let page = load_page((remaining < PAGE_SIZE).then_some(remaining), all.next.take()).await?;
            let count = page.items.len();
            all.items.extend(page.items);
            all.next = page.next;
            all.searched_to = page.searched_to.or(all.searched_to);
            // A page that is not full ended at the server's search limit.
            if all.next.is_none() || all.items.len() >= max_items || count < remaining.min(PAGE_SIZE) {
                return Ok(all);
            }
        }
    }
}

/// Reads a list to its end.
pub(super) async fn load_all<T, E>(
    mut load: impl AsyncFnMut(Option<String>) -> Result<(Vec<T>, Option<String>), E>,
) -> Result<Vec<T>, E> {
    let (mut all, mut after) = (Vec::new(), None);
    loop {
        let (items, next) = load(after).await?;
        all.extend(items);
        if next.is_none() {
            return Ok(all);
        }
        after = next;
    }
}

/// Names the command that continues a list. With `--json`, the document has the cursor.
pub(super) fn hint_more(screen: &Screen, command: &str, next: Option<impl Display>) {
    if let Some(next) = next.filter(|_| !screen.is_json()) {
        screen.hint(&format!("there are more: `pullyard {command} --after {next}`"));
    }
}

pub(super) fn empty_message(noun: &str, next: Option<&str>, searched_to: Option<Timestamp>) -> String {
    match searched_to.filter(|_| next.is_some()) {
        Some(to) => format!("No such {noun} back to {}.", to.day()),
        None => format!("No such {noun}."),
    }
}

pub(super) fn hint_next_page(screen: &Screen, next: Option<&str>, searched_to: Option<Timestamp>) {
    if let Some(next) = next {
        let to = searched_to.map(|to| format!(", looked back to {}", to.day())).unwrap_or_default();
        screen.hint(&format!("there are older ones{to}: continue with `--after {next}`"));
    }
}
