//! Prints tables and fact lists: cut to a terminal's width, or whole and tab-separated for programs.

use super::fault::CliError;
use super::screen::{Colour, Screen, sanitize};
use serde::Serialize;
use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

const MIN_TEXT_WIDTH: usize = 8;
const GAP: &str = "  ";

pub(super) use Column::{Fixed, Flexible, Right};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Column {
    Fixed(&'static str),
    Right(&'static str),
    Flexible(&'static str),
}

impl Column {
    fn head(self) -> &'static str {
        match self {
            Self::Fixed(head) | Self::Right(head) | Self::Flexible(head) => head,
        }
    }
}

pub(super) struct Cell {
    display: String,
    plain: String,
    colour: Option<Colour>,
}

impl Cell {
    pub(super) fn none() -> Self {
        Self::new("-", "")
    }

    pub(super) fn text(text: impl ToString) -> Self {
        let text = sanitize(&text.to_string());
        Self { display: text.clone(), plain: text, colour: None }
    }

    pub(super) fn optional(text: Option<impl ToString>) -> Self {
        text.map_or_else(Self::none, Self::text)
    }

    /// The values, separated by commas; none if there is no value.
    pub(super) fn list(values: impl IntoIterator<Item: ToString>) -> Self {
        let values: Vec<_> = values.into_iter().map(|value| value.to_string()).collect();
        Self::optional((!values.is_empty()).then(|| values.join(", ")))
    }

    pub(super) fn new(display: impl ToString, piped: impl ToString) -> Self {
        Self { display: sanitize(&display.to_string()), plain: sanitize(&piped.to_string()), colour: None }
    }

    pub(super) fn with_colour(mut self, colour: Colour) -> Self {
        self.colour = Some(colour);
        self
    }
}

#[cfg(test)]
impl Cell {
    pub(super) fn texts(&self) -> (&str, &str) {
        (&self.display, &self.plain)
    }
}

pub(super) struct Table {
    columns: Vec<Column>,
    rows: Vec<(Vec<Cell>, String)>,
}

impl Table {
    pub(super) fn new(columns: impl Into<Vec<Column>>) -> Self {
        Self { columns: columns.into(), rows: Vec::new() }
    }

    pub(super) fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        self.rows.push((cells.into(), String::new()));
    }

    pub(super) fn row_with(&mut self, cells: impl Into<Vec<Cell>>, note: &str) {
        self.rows.push((cells.into(), sanitize(note)));
    }

    pub(super) fn show_answer(&self, screen: &Screen, answer: &impl Serialize, empty: &str) -> Result<(), CliError> {
        if screen.is_json() { screen.json(answer) } else { self.show(screen, empty) }
    }

    pub(super) fn show(&self, screen: &Screen, empty: &str) -> Result<(), CliError> {
        if self.rows.is_empty() {
            screen.note(empty);
        }
        match screen.width() {
            None => self.rows.iter().try_for_each(|(cells, note)| screen.print_line(&self.render_plain(cells, note))),
            Some(_) if self.rows.is_empty() => Ok(()),
            Some(width) => self.lines(screen, width).iter().try_for_each(|line| screen.print_line(line)),
        }
    }

    fn render_plain(&self, cells: &[Cell], note: &str) -> String {
        let mut fields = cells.iter().map(|cell| cell.plain.as_str()).collect::<Vec<_>>();
        if self.rows.iter().any(|(_, note)| !note.is_empty()) {
            fields.push(note);
        }
        fields.join("\t")
    }

    fn lines(&self, screen: &Screen, width: usize) -> Vec<String> {
        let widths = self.widths(width);
        let heads = self.columns.iter().map(|column| column.head().to_owned()).collect::<Vec<_>>();
        let mut lines = vec![screen.paint(Some(Colour::Grey), &self.line(&widths, &heads, |_, text| text))];
        for (cells, note) in &self.rows {
            let texts = cells.iter().map(|cell| cell.display.clone()).collect::<Vec<_>>();
            let paint = |at: usize, text: String| screen.paint(cells.get(at).and_then(|cell| cell.colour), &text);
            lines.push(self.line(&widths, &texts, paint));
            if !note.is_empty() {
                let note = truncate(note, width.saturating_sub(2));
                lines.push(format!("  {}", screen.paint(Some(Colour::Grey), &note)));
            }
        }
        lines
    }

    fn line(&self, widths: &[usize], texts: &[String], paint: impl Fn(usize, String) -> String) -> String {
        let last = self.columns.len().saturating_sub(1);
        let fields = self.columns.iter().zip(widths).zip(texts).enumerate().map(|(at, ((column, width), text))| {
            let text = truncate(text, *width);
            let blank = " ".repeat(width.saturating_sub(text.width()));
            match column {
                Column::Right(_) => format!("{blank}{}", paint(at, text)),
                _ if at == last => paint(at, text),
                _ => format!("{}{blank}", paint(at, text)),
            }
        });
        fields.collect::<Vec<_>>().join(GAP)
    }

    /// Gives each column its widest cell, then cuts the widest text columns until all fit.
    fn widths(&self, width: usize) -> Vec<usize> {
        let widest = |at: usize, column: &Column| {
            let cells = self.rows.iter().filter_map(|(cells, _)| cells.get(at)).map(|cell| cell.display.width());
            cells.chain([column.head().width()]).max().unwrap_or_default()
        };
        let mut widths: Vec<_> = self.columns.iter().enumerate().map(|(at, column)| widest(at, column)).collect();
        let gaps = GAP.len() * widths.len().saturating_sub(1);
        while widths.iter().sum::<usize>() + gaps > width {
            let texts = widths.iter_mut().zip(&self.columns);
            let cuttable =
                texts.filter(|(width, column)| matches!(column, Column::Flexible(_)) && **width > MIN_TEXT_WIDTH);
            let Some((widest, _)) = cuttable.max_by_key(|(width, _)| **width) else { break };
            *widest -= 1;
        }
        widths
    }
}

pub(super) fn truncate(text: &str, width: usize) -> String {
    if text.width() <= width {
        return text.to_owned();
    }
    let mut cut = String::new();
    let mut remaining = width.saturating_sub(1);
    for letter in text.chars() {
        let Some(rest) = remaining.checked_sub(letter.width().unwrap_or_default()) else { break };
        remaining = rest;
        cut.push(letter);
    }
    cut.push('…');
    cut
}

pub(super) fn print_facts(screen: &Screen, facts: &[(&str, Cell)]) -> Result<(), CliError> {
    let widest = facts.iter().map(|(name, _)| name.width()).max().unwrap_or_default();
    for (name, cell) in facts {
        match screen.width() {
            None => screen.print_line(&format!("{}\t{}", name.to_lowercase().replace([' ', '-'], "_"), cell.plain))?,
            Some(_) => {
                let name = screen.paint(Some(Colour::Grey), &format!("{name:widest$}"));
                screen.print_line(&format!("{name}{GAP}{}", screen.paint(cell.colour, &cell.display)))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_cut_by_display_width_with_an_ellipsis() {
        for (text, width, expected) in [
            ("pullyard", 8, "pullyard"),
            ("pullyard", 7, "pullya…"),
            ("pullyard", 1, "…"),
            ("漢字漢字", 8, "漢字漢字"),
            ("漢字漢字", 7, "漢字漢…"),
            // A wide character is never halved.
            ("漢字漢字", 6, "漢字…"),
            ("", 0, ""),
        ] {
            assert_eq!(truncate(text, width), expected, "{text} {width}");
        }
    }

    #[test]
    fn widest_text_column_shrinks_first_and_whole_ones_never() {
        let mut table =
            Table::new([Column::Fixed("ID"), Column::Flexible("A"), Column::Flexible("B"), Column::Right("N")]);
        table.row(["0123456789", &"a".repeat(30), &"b".repeat(20), "12345"].map(Cell::text));
        // Three gaps of two columns.
        for (width, expected) in [
            (71, [10, 30, 20, 5]),
            (70, [10, 29, 20, 5]),
            (61, [10, 20, 20, 5]),
            (57, [10, 18, 18, 5]),
            // A text column never shrinks below `MIN_TEXT_WIDTH`.
            (37, [10, MIN_TEXT_WIDTH, MIN_TEXT_WIDTH, 5]),
            (1, [10, MIN_TEXT_WIDTH, MIN_TEXT_WIDTH, 5]),
        ] {
            assert_eq!(table.widths(width), expected, "{width}");
        }
    }

    #[test]
    fn piped_row_has_all_fields_and_no_line_breaks() {
        let mut table = Table::new([Column::Flexible("A"), Column::Flexible("B")]);
        table.row([Cell::text("one\ntwo\tthree"), Cell::none()]);
        table.row_with([Cell::new("shown", "piped"), Cell::text("x")], "So it is.");
        let rows: Vec<String> = table.rows.iter().map(|(cells, note)| table.render_plain(cells, note)).collect();
        assert_eq!(rows, ["one two three\t\t", "piped\tx\tSo it is."]);
    }
}
