//! Reads lists page by page, up to a limit.

use super::fault::Fault;
use super::screen::Screen;
use pullyard_domain::time::Timestamp;

const PAGE: usize = 50;

pub(super) struct Part<T> {
    pub(super) found: Vec<T>,
    pub(super) next: Option<String>,
    pub(super) looked_back_to: Option<Timestamp>,
}

pub(super) async fn read<T>(
    limit: Option<u16>,
    after: Option<String>,
    mut ask: impl AsyncFnMut(Option<usize>, Option<String>) -> Result<Part<T>, Fault>,
) -> Result<Part<T>, Fault> {
    let wanted = limit.map_or(PAGE, usize::from);
    let mut all = Part { found: Vec::new(), next: after, looked_back_to: None };
    loop {
        let left = wanted.saturating_sub(all.found.len());
        let page = ask((left < PAGE).then_some(left), all.next.take()).await?;
        let found = page.found.len();
        all.found.extend(page.found);
        all.next = page.next;
        all.looked_back_to = page.looked_back_to.or(all.looked_back_to);
        // A page that is not full ended at the server's search limit.
        if all.next.is_none() || all.found.len() >= wanted || found < left.min(PAGE) {
            return Ok(all);
        }
    }
}

pub(super) fn nothing(what: &str, next: Option<&str>, looked_back_to: Option<Timestamp>) -> String {
    match looked_back_to.filter(|_| next.is_some()) {
        Some(to) => format!("No such {what} back to {}.", to.day()),
        None => format!("No such {what}."),
    }
}

pub(super) fn hint(screen: &Screen, next: Option<&str>, looked_back_to: Option<Timestamp>) {
    if let Some(next) = next {
        let to = looked_back_to.map(|to| format!(", looked back to {}", to.day())).unwrap_or_default();
        screen.hint(&format!("there are older ones{to}: go on with `--after {next}`"));
    }
}
