//! Tables that fit a terminal without breaking the words in them.

use comfy_table::{Cell, CellAlignment, Color, ContentArrangement, LineStyle, Table, TableStyle, presets};
use console::measure_text_width;

use crate::layout::{Layout, wrap};

/// Columns between two columns of a table.
const GAP: usize = 2;

/// The highest number of a column that is left out.
const MOST_DROPS: u8 = 2;

/// How a column gives way on a narrow terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fit {
    /// It names the row; notes stand below it, and it is folded after a slash when nothing else helps.
    Key,
    /// It is always shown.
    Always,
    /// It is left out, those with the highest number first.
    Drop(u8),
    /// It becomes a part of the note below the key.
    Note,
}

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column<'a> {
    pub(crate) title: &'a str,
    /// Whether it holds numbers.
    pub(crate) number: bool,
    pub(crate) fit: Fit,
}

/// A row of a table.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    /// One text for each column.
    pub(crate) cells: Vec<String>,
    /// The colour of the numbers that count.
    pub(crate) colour: Option<Color>,
}

/// Renders a table without a trailing newline. In notes, texts are joined by `join`.
pub(crate) fn render(columns: &[Column<'_>], rows: &[Row], join: &str, layout: &Layout<'_>) -> String {
    let widths: Vec<usize> = columns
        .iter()
        .enumerate()
        .map(|(at, column)| {
            let cells = rows.iter().map(|row| measure_text_width(&row.cells[at]));
            cells.max().unwrap_or_default().max(measure_text_width(column.title))
        })
        .collect();
    // The line below the header reaches one column beyond the last text.
    let total = |shown: &[usize]| shown.iter().map(|&at| widths[at] + GAP).sum::<usize>().saturating_sub(1);
    let whole = (0..=MOST_DROPS).rev().map(|most| {
        let stays = |at: &usize| !matches!(columns[*at].fit, Fit::Drop(order) if order > most);
        (0..columns.len()).filter(stays).collect::<Vec<_>>()
    });
    if let Some(shown) = whole.into_iter().find(|shown| layout.fits(total(shown))) {
        return draw(columns, rows, &shown, layout);
    }
    let shown: Vec<usize> =
        (0..columns.len()).filter(|&at| matches!(columns[at].fit, Fit::Key | Fit::Always)).collect();
    let Some(key) = columns.iter().position(|column| column.fit == Fit::Key) else {
        return draw(columns, rows, &shown, layout);
    };
    let others = total(&shown) - widths[key];
    let room = layout.width.map_or(usize::MAX, usize::from).saturating_sub(others);
    let notes: Vec<String> = rows.iter().map(|row| note(columns, row, join)).collect();
    let longest = notes.iter().map(|note| measure_text_width(note)).max().unwrap_or_default();
    let width = widths[key].max(longest).min(room);
    let noted: Vec<Row> =
        rows.iter().zip(&notes).map(|(row, note)| with_note(row, key, note, width)).collect();
    draw(columns, &noted, &shown, layout)
}

/// The cells of a row that become a note below its key.
fn note(columns: &[Column<'_>], row: &Row, join: &str) -> String {
    let cells = columns.iter().zip(&row.cells);
    let notes = cells.filter(|(column, cell)| column.fit == Fit::Note && !cell.is_empty());
    let notes: Vec<&str> = notes.map(|(_, cell)| cell.as_str()).collect();
    if notes.is_empty() { String::new() } else { format!("  {}", notes.join(join)) }
}

/// Puts a note below the key.
fn with_note(row: &Row, key: usize, note: &str, width: usize) -> Row {
    let mut row = row.clone();
    row.cells[key] = folded(&row.cells[key], width);
    if !note.is_empty() {
        row.cells[key] += "\n";
        row.cells[key] += &wrap("  ", 2, note.trim_start(), width);
    }
    row
}

/// Folds an id that is too long after its slashes.
fn folded(id: &str, width: usize) -> String {
    let mut lines = vec![String::new()];
    for part in id.split_inclusive('/') {
        let last = lines.len() - 1;
        if !lines[last].is_empty() && measure_text_width(&lines[last]) + measure_text_width(part) > width {
            lines.push(String::new());
        }
        if let Some(line) = lines.last_mut() {
            line.push_str(part);
        }
    }
    lines.join("\n")
}

fn draw(columns: &[Column<'_>], rows: &[Row], shown: &[usize], layout: &Layout<'_>) -> String {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .load_style(TableStyle::new().header_separator(LineStyle::none().fill('─').junction('─')))
        .set_content_arrangement(ContentArrangement::Disabled)
        .force_no_tty();
    if layout.colour {
        table.enforce_styling();
    }
    table.set_header(shown.iter().map(|&at| columns[at].title));
    for row in rows {
        table.add_row(shown.iter().map(|&at| {
            let cell = Cell::new(&row.cells[at]);
            match row.colour.filter(|_| columns[at].number) {
                Some(colour) => cell.fg(colour),
                None => cell,
            }
        }));
    }
    for (column, &at) in table.column_iter_mut().zip(shown) {
        // The other column of the gap is the border between two columns.
        column.set_padding((0, 1));
        if columns[at].number {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table.trim_fmt()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_folded_after_slashes_alone() {
        assert_eq!(folded("a/bb/ccc", 8), "a/bb/ccc");
        assert_eq!(folded("a/bb/ccc", 5), "a/bb/\nccc");
        assert_eq!(folded("held-http/same-node", 4), "held-http/\nsame-node");
    }
}
