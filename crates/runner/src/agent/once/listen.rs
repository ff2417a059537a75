//! Reads an agent's pipes: removes private keys from each line and derives its signs.

use crate::agent::adapter::Reader;
use crate::agent::line::{self, Stream};
use crate::agent::lines::Lines;
use crate::agent::record::Shared;
use crate::agent::sign::Sign;
use crate::api::reporter::Events;
use crate::api::said::Said;
use crate::secrets::redact::Block;
use std::borrow::Cow;
use tokio::io::AsyncRead;
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;

/// Slows the reading of an agent to the rate at which events can be sent, until the agent ends or is stopped.
#[derive(Clone)]
pub(super) struct Pace {
    shared: Shared,
    over: CancellationToken,
}

impl Pace {
    pub(super) fn of(shared: &Shared) -> Self {
        Self { shared: shared.clone(), over: CancellationToken::new() }
    }

    /// From now on the last output is read without delay.
    pub(super) fn ends(&self) {
        self.over.cancel();
    }

    async fn keep(&self, events: &Events) {
        tokio::select! {
            biased;
            () = self.over.cancelled() => {}
            () = events.has_room(|time| self.shared.held_up(time)) => {}
        }
    }
}

pub(super) fn hear(signs: Vec<Sign>, events: &Events, shared: &Shared) {
    for sign in signs {
        shared.note(&sign);
        if let Sign::Said(said) | Sign::TriesAgain(said) = sign {
            events.add(said);
        }
    }
}

pub(super) fn listen(
    pipe: impl AsyncRead + Unpin + Send + 'static,
    mut reader: Box<dyn Reader>,
    events: &Events,
    pace: &Pace,
) -> AbortOnDropHandle<()> {
    let shared = pace.shared.clone();
    each_line(pipe, events, pace, move |line, kept, events| {
        let signs = reader.read(line);
        // A key is recognized only as a whole, and each line is examined alone. A part of a message is not recorded,
        // because the message arrives again as a whole.
        let is_piece = signs.contains(&Sign::Piece);
        let mut shows = Shows::All;
        let unkeyed = signs.into_iter().map(|sign| match sign {
            Sign::Said(said) => Sign::Said(kept.said(said, &mut shows)),
            Sign::TriesAgain(said) => Sign::TriesAgain(kept.said(said, &mut shows)),
            other => other,
        });
        let signs: Vec<Sign> = unkeyed.collect();
        if let Some(line) = kept.line(line, shows).filter(|_| !is_piece) {
            events.raw(&line);
        }
        hear(signs, events, &shared);
    })
}

pub(super) fn listen_to_errors(
    pipe: impl AsyncRead + Unpin + Send + 'static,
    events: &Events,
    pace: &Pace,
) -> AbortOnDropHandle<()> {
    let shared = pace.shared.clone();
    each_line(pipe, events, pace, move |line, kept, events| {
        let mut shows = Shows::All;
        // The end is classified by the original text, which stays on this machine.
        let said = line::read(Stream::Err, line).map(|said| (said.text.clone(), kept.said(said, &mut shows)));
        if let Some(line) = kept.line(line, shows) {
            events.raw(&line);
        }
        if let Some((words, said)) = said {
            shared.note_error(&words.unwrap_or_default(), &said);
            events.add(said);
        }
    })
}

/// Calls `heard` for each line of a pipe until the pipe ends, with the state of keys that span lines.
fn each_line(
    pipe: impl AsyncRead + Unpin + Send + 'static,
    events: &Events,
    pace: &Pace,
    mut heard: impl FnMut(&[u8], &mut Unkeyed, &Events) + Send + 'static,
) -> AbortOnDropHandle<()> {
    let (events, pace) = (events.clone(), pace.clone());
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut lines = Lines::new(pipe, events.redactor());
        let mut kept = Unkeyed::default();
        while let Some(line) = lines.next().await {
            heard(&line, &mut kept, &events);
            pace.keep(&events).await;
        }
    }))
}

/// Removes private keys from one pipe's output, where their lines arrive one by one.
#[derive(Default)]
struct Unkeyed {
    lines: Block,
    texts: Block,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Shows {
    All,
    /// A text contains lines of a key.
    Part,
}

impl Unkeyed {
    /// The raw line; `None` if it would show a removed part of its texts.
    fn line<'l>(&mut self, line: &'l [u8], shows: Shows) -> Option<Cow<'l, [u8]>> {
        // A JSON line is no line of a key, even if it mentions one.
        let clean = match std::str::from_utf8(line) {
            Ok(text) if !text.trim_start().starts_with('{') => self.lines.clean(text),
            _ => return (shows == Shows::All).then_some(Cow::Borrowed(line)),
        };
        match clean {
            Cow::Borrowed(_) => (shows == Shows::All).then_some(Cow::Borrowed(line)),
            Cow::Owned(text) => Some(Cow::Owned(text.into_bytes())),
        }
    }

    fn said(&mut self, mut said: Said, shows: &mut Shows) -> Said {
        if let Some(text) = &mut said.text
            && let Cow::Owned(clean) = self.texts.clean(text)
        {
            *text = clean;
            *shows = Shows::Part;
        }
        said
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pullyard_protocol::event::EventKind;
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::task::Poll;

    const BEGIN: &str = "-----BEGIN PRIVATE KEY-----";
    const LINE: &str = "MIIEvQIBADANBgkqhkiG9w0BAQEFAASCBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj";

    /// The uploaded form of each line; the second string is its text.
    fn kept(lines: &[(&str, &str)]) -> Vec<Option<String>> {
        let mut kept = Unkeyed::default();
        let each = lines.iter().map(|(line, text)| {
            let mut shows = Shows::All;
            kept.said(Said::words(EventKind::Text, *text), &mut shows);
            let line = kept.line(line.as_bytes(), shows);
            line.map(|line| String::from_utf8_lossy(&line).into_owned())
        });
        each.collect()
    }

    /// Polls once and returns whether the future is pending.
    async fn waits(what: &mut (impl Future<Output = ()> + Unpin)) -> bool {
        poll_fn(|context| Poll::Ready(Pin::new(&mut *what).poll(context).is_pending())).await
    }

    #[tokio::test]
    async fn reading_waits_while_the_event_queue_is_full() {
        let (events, pace) = (Events::unsent(), Pace::of(&Shared::new()));
        assert!(!waits(&mut Box::pin(pace.keep(&events))).await, "the queue has room");
        events.fill();
        let mut next = Box::pin(pace.keep(&events));
        assert!(waits(&mut next).await);
        events.send_some();
        next.await;
    }

    #[tokio::test]
    async fn reading_an_ended_agent_does_not_wait_for_the_queue() {
        let (events, pace) = (Events::unsent(), Pace::of(&Shared::new()));
        events.fill();
        let mut next = Box::pin(pace.keep(&events));
        assert!(waits(&mut next).await);
        pace.ends();
        next.await;
        assert!(!waits(&mut Box::pin(pace.keep(&events))).await);
    }

    #[test]
    fn json_lines_inside_a_private_key_are_dropped() {
        let json = |text: &str| format!("{{\"kind\":\"text\",\"text\":\"{text}\"}}");
        let texts = ["before", BEGIN, LINE, "-----END PRIVATE KEY-----", "after"];
        let lines = texts.map(|text| (json(text), text));
        let lines: Vec<(&str, &str)> = lines.iter().map(|(line, text)| (line.as_str(), *text)).collect();
        let expected = [Some(json("before")), None, None, None, Some(json("after"))];
        assert_eq!(kept(&lines), expected);
    }

    #[test]
    fn plain_lines_inside_a_private_key_are_redacted() {
        let plain = [BEGIN, LINE, "-----END PRIVATE KEY-----", "after"].map(|line| (line, line));
        let marks = ["[redacted]", "[redacted]", "[redacted]", "after"];
        assert_eq!(kept(&plain), marks.map(|line| Some(line.to_owned())));
    }
}
