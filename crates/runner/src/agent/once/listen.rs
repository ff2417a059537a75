//! What an agent says: each line of its pipes without secrets, and what it means.

use crate::agent::adapter::Reader;
use crate::agent::line::{self, Stream};
use crate::agent::lines::Lines;
use crate::agent::record::Shared;
use crate::agent::sign::Sign;
use crate::redact::Block;
use crate::reporter::Events;
use crate::said::Said;
use std::borrow::Cow;
use tokio::io::AsyncRead;
use tokio_util::task::AbortOnDropHandle;

pub(super) fn hear(signs: Vec<Sign>, events: &Events, shared: &Shared) {
    for sign in signs {
        shared.note(&sign);
        if let Sign::Said(said) = sign {
            events.add(said);
        }
    }
}

pub(super) fn listen(
    pipe: impl AsyncRead + Unpin + Send + 'static,
    mut reader: Box<dyn Reader>,
    events: &Events,
    shared: &Shared,
) -> AbortOnDropHandle<()> {
    let (events, shared) = (events.clone(), shared.clone());
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut lines = Lines::new(pipe, events.redactor());
        let mut kept = Unkeyed::default();
        while let Some(line) = lines.next().await {
            let signs = reader.read(&line);
            // A secret is known only whole, and each line is looked at alone: what comes once more is kept only then.
            if !signs.contains(&Sign::Piece) {
                events.raw(&kept.line(&line));
            }
            let signs = signs.into_iter().map(|sign| match sign {
                Sign::Said(said) => Sign::Said(kept.said(said)),
                other => other,
            });
            hear(signs.collect(), &events, &shared);
        }
    }))
}

pub(super) fn listen_to_errors(
    pipe: impl AsyncRead + Unpin + Send + 'static,
    events: &Events,
    shared: &Shared,
) -> AbortOnDropHandle<()> {
    let (events, shared) = (events.clone(), shared.clone());
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut lines = Lines::new(pipe, events.redactor());
        let mut kept = Unkeyed::default();
        while let Some(line) = lines.next().await {
            events.raw(&kept.line(&line));
            if let Some(said) = line::read(Stream::Err, &line) {
                // What its end means is judged by what it said, which stays here.
                let words = said.text.clone().unwrap_or_default();
                let said = kept.said(said);
                shared.note_error(&words, &said);
                events.add(said);
            }
        }
    }))
}

/// What one pipe says, without the private keys whose lines come one by one.
#[derive(Default)]
struct Unkeyed {
    lines: Block,
    texts: Block,
}

impl Unkeyed {
    /// A line as it came.
    fn line<'l>(&mut self, line: &'l [u8]) -> Cow<'l, [u8]> {
        // One of JSON is no line of a key, whatever it tells of one.
        match std::str::from_utf8(line) {
            Ok(text) if !text.trim_start().starts_with('{') => match self.lines.clean(text) {
                Cow::Borrowed(text) => Cow::Borrowed(text.as_bytes()),
                Cow::Owned(text) => Cow::Owned(text.into_bytes()),
            },
            _ => Cow::Borrowed(line),
        }
    }

    /// What it means.
    fn said(&mut self, mut said: Said) -> Said {
        if let Some(text) = &mut said.text
            && let Cow::Owned(clean) = self.texts.clean(text)
        {
            *text = clean;
        }
        said
    }
}
