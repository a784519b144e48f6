//! Tables that fit the terminal and can be copied from: a row is one line, a key or a DSN is never wrapped or cut, and
//! an id at most to a part that commands take for the whole. Where the line is too short the least needed columns go
//! before anything is cut.

use super::{CliError, output};
use comfy_table::{Attribute, Cell, Color, ContentArrangement, Table, presets};
use console::{Term, measure_text_width, truncate_str};

/// Blanks between two columns.
const GAP: usize = 2;
/// Narrowest a cut column becomes before another one is left out.
const CUT_MIN: usize = 16;
/// Narrowest line that is laid out for.
const WIDTH_MIN: usize = 40;

/// What happens to a column where the line is too short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// It stays whole: people copy from it.
    Whole,
    /// An id: its first so many characters where nothing else helps; they name it as well.
    Start(usize),
    /// An id: its last so many characters where nothing else helps; they name it as well.
    End(usize),
    /// It is cut with an ellipsis; all but the first of these are left out before ids are shortened.
    Cut,
    /// It is left out; the highest number first.
    Spare(u8),
}

/// How a cell looks on a terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    /// As text.
    Plain,
    /// Urgent.
    Alarm,
    /// Important.
    Strong,
    /// To be noticed.
    Notice,
    /// In the background.
    Dim,
}

impl Look {
    /// Of a priority, P0 to P4.
    pub fn priority(word: &str) -> Self {
        match word {
            "P0" => Self::Alarm,
            "P1" => Self::Strong,
            "P2" => Self::Notice,
            _ => Self::Dim,
        }
    }

    fn lay(self, cell: Cell) -> Cell {
        match self {
            Self::Plain => cell,
            Self::Alarm => cell.fg(Color::White).bg(Color::Red).add_attribute(Attribute::Bold),
            Self::Strong => cell.fg(Color::Red).add_attribute(Attribute::Bold),
            Self::Notice => cell.fg(Color::Yellow),
            Self::Dim => cell.add_attribute(Attribute::Dim),
        }
    }
}

/// A table before it knows how wide the line is.
#[derive(Debug)]
pub struct Sheet {
    columns: Vec<(&'static str, Fit)>,
    rows: Vec<Vec<(String, Look)>>,
}

impl Sheet {
    /// With these columns.
    pub fn new(columns: &[(&'static str, Fit)]) -> Self {
        Self { columns: columns.to_vec(), rows: Vec::new() }
    }

    /// One row, a text for each column.
    pub fn row(&mut self, texts: impl IntoIterator<Item = String>) {
        self.rows.push(texts.into_iter().map(|text| (text, Look::Plain)).collect());
    }

    /// Changes how a cell of the last row looks.
    pub fn look(&mut self, column: usize, look: Look) {
        if let Some(cell) = self.rows.last_mut().and_then(|row| row.get_mut(column)) {
            cell.1 = look;
        }
    }

    /// Prints it; where it has no row, what to do next.
    pub fn print(&self, empty: &str) -> Result<(), CliError> {
        output::line(if self.rows.is_empty() { empty.to_owned() } else { self.render() })
    }

    /// The text for standard output: laid out for the terminal, whole in a pipe.
    pub fn render(&self) -> String {
        let width = Term::stdout().size_checked().map(|(_, width)| usize::from(width));
        self.render_for(width, console::colors_enabled())
    }

    fn render_for(&self, line: Option<usize>, colors: bool) -> String {
        let widths = self.widths(line.map(|line| line.max(WIDTH_MIN)));
        let mut table = Table::new();
        table.load_preset(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
        if colors {
            table.enforce_styling();
        } else {
            table.force_no_tty();
        }
        let kept = |place: usize| widths.get(place).copied().flatten();
        table.set_header(self.columns.iter().enumerate().filter_map(|(place, (head, _))| {
            kept(place).map(|width| Cell::new(fit(head, width)).add_attribute(Attribute::Dim))
        }));
        for row in &self.rows {
            let cells = row.iter().zip(&self.columns).enumerate();
            table.add_row(cells.filter_map(|(place, ((text, look), (_, rule)))| {
                kept(place).map(|width| look.lay(Cell::new(part(text, *rule, width))))
            }));
        }
        let gap = u16::try_from(GAP).unwrap_or(0);
        let last = table.column_count().saturating_sub(1);
        for (place, column) in table.column_iter_mut().enumerate() {
            column.set_padding((0, if place == last { 0 } else { gap }));
        }
        table.trim_fmt()
    }

    /// Columns of each column; none for one that is left out. Without a line everything is whole.
    fn widths(&self, line: Option<usize>) -> Vec<Option<usize>> {
        let natural: Vec<usize> = self
            .columns
            .iter()
            .enumerate()
            .map(|(place, (head, _))| {
                let cells = self.rows.iter().filter_map(|row| row.get(place));
                let widest = cells.map(|(text, _)| measure_text_width(text)).max().unwrap_or(0);
                widest.max(measure_text_width(head))
            })
            .collect();
        let mut widths: Vec<Option<usize>> = natural.iter().copied().map(Some).collect();
        let Some(line) = line else { return widths };
        let least = |place: usize, width: usize| match self.columns.get(place) {
            Some((_, Fit::Cut)) => width.min(CUT_MIN),
            _ => width,
        };
        let needed = |widths: &[Option<usize>]| -> usize {
            let kept =
                widths.iter().enumerate().filter_map(|(place, width)| Some(least(place, (*width)?) + GAP));
            // Nothing follows the last column.
            kept.sum::<usize>().saturating_sub(GAP)
        };
        for place in self.dispensable() {
            if needed(&widths) <= line {
                break;
            }
            if let Some(width) = widths.get_mut(place) {
                *width = None;
            }
        }
        if needed(&widths) > line {
            for (place, (head, fit)) in self.columns.iter().enumerate() {
                if let (Fit::Start(most) | Fit::End(most), Some(Some(width))) = (fit, widths.get_mut(place)) {
                    *width = (*width).min((*most).max(measure_text_width(head)));
                }
            }
        }
        self.share(line, &natural, &mut widths);
        widths
    }

    /// Columns that may be left out, the least needed first.
    fn dispensable(&self) -> Vec<usize> {
        let mut spare: Vec<(u8, usize)> = Vec::new();
        let mut cut: Vec<usize> = Vec::new();
        for (place, (_, fit)) in self.columns.iter().enumerate() {
            match fit {
                Fit::Spare(rank) => spare.push((*rank, place)),
                Fit::Cut => cut.push(place),
                Fit::Whole | Fit::Start(_) | Fit::End(_) => {}
            }
        }
        spare.sort_unstable_by(|one, other| other.cmp(one));
        spare.into_iter().map(|(_, place)| place).chain(cut.into_iter().skip(1).rev()).collect()
    }

    /// Gives what the whole columns leave to those that may be cut, to each what it needs, the rest in equal parts.
    fn share(&self, line: usize, natural: &[usize], widths: &mut [Option<usize>]) {
        let mut cuts: Vec<(usize, usize)> = Vec::new();
        // Nothing follows the last column.
        let mut left = line + GAP;
        for (place, (_, fit)) in self.columns.iter().enumerate() {
            let Some(width) = widths.get(place).copied().flatten() else { continue };
            left = left.saturating_sub(GAP);
            if *fit == Fit::Cut {
                cuts.push((natural.get(place).copied().unwrap_or(width), place));
            } else {
                left = left.saturating_sub(width);
            }
        }
        cuts.sort_unstable();
        let mut open = cuts.len();
        for (wanted, place) in cuts {
            let fair = left / open.max(1);
            let given = wanted.min(fair.max(CUT_MIN.min(wanted)));
            if let Some(width) = widths.get_mut(place) {
                *width = Some(given);
            }
            left = left.saturating_sub(given);
            open -= 1;
        }
    }
}

/// A text of a column of this width: an id without an ellipsis, as commands take it.
fn part(text: &str, rule: Fit, width: usize) -> String {
    if measure_text_width(text) <= width {
        return text.to_owned();
    }
    match rule {
        Fit::Start(most) => text.chars().take(most).collect(),
        Fit::End(most) => {
            let all: Vec<char> = text.chars().collect();
            all.into_iter().rev().take(most).collect::<Vec<_>>().into_iter().rev().collect()
        }
        _ => fit(text, width),
    }
}

fn fit(text: &str, width: usize) -> String {
    truncate_str(text, width, "…").into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "ACT-20261124-7K3QF";

    fn sheet() -> Sheet {
        let mut sheet = Sheet::new(&[
            ("TICKET", Fit::End(5)),
            ("PRIO", Fit::Whole),
            ("USERS", Fit::Spare(2)),
            ("LAST SEEN", Fit::Spare(1)),
            ("TITLE", Fit::Cut),
            ("WHERE", Fit::Cut),
        ]);
        for title in ["TimeoutError: no answer within 2 s from the payment service", "短い"] {
            let place = "shop/payment/client.py in charge".to_owned();
            sheet.row([ID.into(), "P1".into(), "3".into(), "5 min".into(), title.into(), place]);
        }
        sheet
    }

    #[test]
    fn rows_are_one_line_and_ids_name_their_ticket_at_every_width() {
        for line in [40, 60, 80, 100, 120, 200] {
            for colors in [false, true] {
                let text = sheet().render_for(Some(line), colors);
                assert_eq!(text.lines().count(), 3, "{line}:\n{text}");
                assert_eq!(text.matches("7K3QF").count(), 2, "{line}:\n{text}");
                for row in text.lines() {
                    assert!(measure_text_width(row) <= line, "{line}: {row:?}");
                }
            }
        }
        assert!(!sheet().render_for(Some(60), false).contains("USERS"));
        for line in [60, 80, 120] {
            assert_eq!(sheet().render_for(Some(line), false).matches(ID).count(), 2, "{line}");
        }
        assert!(!sheet().render_for(Some(40), false).contains(ID), "the end of it is enough");
        let wide = sheet().render_for(Some(120), false);
        assert!(wide.contains("USERS") && wide.contains("LAST SEEN"), "{wide}");
    }

    #[test]
    fn a_pipe_gets_everything_without_trailing_blanks() {
        let text = sheet().render_for(None, false);
        assert!(text.contains("from the payment service  shop/payment/client.py in charge"), "{text}");
        assert!(text.lines().all(|line| line.trim_end() == line), "{text:?}");
    }
}
