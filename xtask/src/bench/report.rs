//! Figures with their floors and targets, as a table and as JSON.

use serde_json::{Value, json};

use super::machine::Machine;

/// One measured figure.
#[derive(Debug, Clone)]
pub struct Figure {
    group: String,
    name: String,
    value: f64,
    unit: &'static str,
    floor: Option<(String, f64)>,
    target: Option<(String, bool)>,
}

impl Figure {
    pub fn new(group: impl Into<String>, name: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { group: group.into(), name: name.into(), value, unit, floor: None, target: None }
    }

    /// Puts it beside a figure of the same run; the ratio is the value over the floor's.
    #[must_use]
    pub fn over(mut self, name: impl Into<String>, floor: f64) -> Self {
        if floor > 0.0 {
            self.floor = Some((name.into(), self.value / floor));
        }
        self
    }

    #[must_use]
    pub fn at_most(self, limit: f64) -> Self {
        let met = self.value <= limit;
        self.target(format!("<= {}", number(limit)), met)
    }

    #[must_use]
    pub fn at_least(self, limit: f64) -> Self {
        let met = self.value >= limit;
        self.target(format!(">= {}", number(limit)), met)
    }

    #[must_use]
    pub fn target(mut self, words: String, met: bool) -> Self {
        self.target = Some((words, met));
        self
    }
}

/// All figures of a run.
#[derive(Debug)]
pub struct Report {
    machine: Machine,
    figures: Vec<Figure>,
    notes: Vec<String>,
    load_after: String,
}

impl Report {
    pub fn new(machine: Machine) -> Self {
        Self { machine, figures: Vec::new(), notes: Vec::new(), load_after: String::new() }
    }

    pub fn add(&mut self, figure: Figure) {
        self.figures.push(figure);
    }

    /// A sentence that a reader needs to understand the figures.
    pub fn note(&mut self, sentence: impl Into<String>) {
        self.notes.push(sentence.into());
    }

    pub fn finish(&mut self, load_average: String) {
        self.load_after = load_average;
    }

    pub fn print_machine(&self) {
        for (name, value) in self.machine.lines() {
            println!("{name:<14} {value}");
        }
    }

    pub fn print(&self) {
        println!();
        self.print_machine();
        println!("{:<14} {}", "load after", self.load_after);
        let rows: Vec<[String; 6]> = self.figures.iter().map(row).collect();
        let mut widths = [0; 6];
        for row in rows.iter().chain([&HEAD.map(str::to_owned)]) {
            for (width, cell) in widths.iter_mut().zip(row) {
                *width = (*width).max(cell.chars().count());
            }
        }
        println!();
        print_row(&HEAD.map(str::to_owned), &widths);
        let mut group = "";
        for (figure, row) in self.figures.iter().zip(&rows) {
            if figure.group != group {
                group = &figure.group;
                println!();
            }
            print_row(row, &widths);
        }
        println!();
        for note in &self.notes {
            println!("note: {note}");
        }
        let judged: Vec<&(String, bool)> =
            self.figures.iter().filter_map(|figure| figure.target.as_ref()).collect();
        let met = judged.iter().filter(|(_, met)| *met).count();
        println!("targets: {met} of {} met", judged.len());
    }

    pub fn to_json(&self) -> Value {
        let figures: Vec<Value> = self.figures.iter().map(figure_json).collect();
        json!({
            "machine": self.machine.to_json(),
            "load_after": self.load_after,
            "figures": figures,
            "notes": self.notes,
        })
    }
}

const HEAD: [&str; 6] = ["what", "figure", "value", "unit", "of floor", "target"];

fn row(figure: &Figure) -> [String; 6] {
    let floor = figure.floor.as_ref().map(|(name, ratio)| format!("{ratio:.2} x {name}"));
    let target =
        figure.target.as_ref().map(|(words, met)| format!("{words} {}", if *met { "met" } else { "MISSED" }));
    [
        figure.group.clone(),
        figure.name.clone(),
        number(figure.value),
        figure.unit.to_owned(),
        floor.unwrap_or_default(),
        target.unwrap_or_default(),
    ]
}

fn print_row(row: &[String; 6], widths: &[usize; 6]) {
    let [what, figure, value, unit, floor, target] = row;
    let [a, b, c, d, e, _] = widths;
    let line = format!("{what:<a$}  {figure:<b$}  {value:>c$}  {unit:<d$}  {floor:<e$}  {target}");
    println!("{}", line.trim_end());
}

fn figure_json(figure: &Figure) -> Value {
    json!({
        "group": figure.group,
        "name": figure.name,
        "value": figure.value,
        "unit": figure.unit,
        "floor": figure.floor.as_ref().map(|(name, ratio)| json!({ "name": name, "ratio": ratio })),
        "target": figure.target.as_ref().map(|(words, met)| json!({ "words": words, "met": met })),
    })
}

/// Three digits that count; thousands in groups.
fn number(value: f64) -> String {
    if value != 0.0 && value.abs() < 10.0 {
        return format!("{value:.2}");
    }
    if value.abs() < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let (sign, digits) = digits.strip_prefix('-').map_or(("", digits.as_str()), |rest| ("-", rest));
    let mut out = sign.to_owned();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short() {
        let cases =
            [(0.0, "0.0"), (0.123, "0.12"), (12.34, "12.3"), (999.6, "1,000"), (1234567.0, "1,234,567")];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn a_target_is_judged_and_a_floor_is_a_ratio() {
        let figure =
            Figure::new("ingest", "rate", 3000.0, "events/s").over("hello", 30_000.0).at_least(5000.0);
        assert_eq!(row(&figure), ["ingest", "rate", "3,000", "events/s", "0.10 x hello", ">= 5,000 MISSED"]);
    }
}
