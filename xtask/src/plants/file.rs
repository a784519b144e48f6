//! The files of planted bugs, and how their changes are laid over the sources.
//!
//! A file holds tables `[[plant]]`: `what` (its name, one in all files), `file`, `old` (stands there exactly once),
//! `new`, and who must see it: `run` (filters of nextest, each of which must see it) or `faults` (a scenario of
//! `cargo xtask faults`). The word `PLANTED` in `new` is true while the bug is awake: `if !PLANTED && is_wrong() {`.
//! A bug of several places has more of them in `[[plant.also]]`. Places that bugs share are tables `[[edit]]`, where
//! `PLANTED("what")` says which is meant; such a plant needs no place of its own. Without that word a bug is built by
//! itself, except in the dashboard's stylesheet and script, which are changed when they are first used.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail, ensure};
use regex::Regex;
use toml::{Table, Value};

/// Where the dashboard's files become part of the program.
const ASSETS: &str = "crates/actifix-web/src/dashboard/assets.rs";
/// Those that are changed at run time, with the constants that hold them.
const CHANGED_LATER: [(&str, &str); 2] =
    [("crates/actifix-web/assets/app.css", "CSS"), ("crates/actifix-web/assets/app.js", "SCRIPT")];
/// Where the function goes that templates ask.
const ASKED_BY_TEMPLATES: &str = "crates/actifix-web/src/lib.rs";
const ANSWER: &str = "\npub(crate) fn planted(what: impl AsRef<str>) -> bool {\n    \
     std::env::var(\"PLANT\").as_deref() == Ok(what.as_ref())\n}\n";

/// A change of one file.
#[derive(Clone, Debug)]
pub struct Edit {
    pub file: String,
    pub old: String,
    pub new: String,
}

/// Who must see a bug.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Check {
    /// Tests, by a filter of nextest.
    Tests(String),
    /// A scenario of `cargo xtask faults`, in its short form.
    Fault(String),
}

/// A known bug.
#[derive(Debug)]
pub struct Plant {
    /// The file it stands in, without `.toml`.
    pub group: String,
    pub what: String,
    pub checks: Vec<Check>,
    edits: Vec<Edit>,
}

impl Plant {
    /// Whether it is built together with others and wakes when it is named.
    pub fn sleeps(&self) -> bool {
        self.edits.is_empty() || self.edits.iter().any(|edit| edit.new.contains("PLANTED") || is_later(edit))
    }
}

/// All bugs, with the places that they share.
#[derive(Debug)]
pub struct Plants {
    pub list: Vec<Plant>,
    shared: Vec<Edit>,
}

impl Plants {
    pub fn read(folder: &Path) -> Result<Self> {
        let entries = fs::read_dir(folder).with_context(|| format!("cannot list {}", folder.display()))?;
        let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
        paths.sort();
        let mut plants = Self { list: Vec::new(), shared: Vec::new() };
        for path in paths {
            let group = path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let table: Table =
                fs::read_to_string(&path)?.parse().with_context(|| path.display().to_string())?;
            plants.add(&group, &table).with_context(|| path.display().to_string())?;
        }
        plants.judge()?;
        Ok(plants)
    }

    fn add(&mut self, group: &str, table: &Table) -> Result<()> {
        self.shared.extend(tables(table, "edit").map(edit).collect::<Result<Vec<_>>>()?);
        for plant in tables(table, "plant") {
            let what = text(plant, "what")?;
            let mut edits = Vec::new();
            if plant.contains_key("file") {
                edits.push(edit(plant)?);
            }
            edits.extend(tables(plant, "also").map(edit).collect::<Result<Vec<_>>>()?);
            let mut checks: Vec<Check> = texts(plant, "run")?.into_iter().map(Check::Tests).collect();
            checks.extend(texts(plant, "faults")?.into_iter().map(Check::Fault));
            self.list.push(Plant { group: group.to_owned(), what, checks, edits });
        }
        Ok(())
    }

    /// What no file may get wrong.
    fn judge(&self) -> Result<()> {
        let mut names = BTreeSet::new();
        for Plant { what, checks, .. } in &self.list {
            // It stands in sources as text, and in the environment.
            let plain = what.chars().all(|c| c.is_ascii_graphic() && !"\"\\".contains(c) || c == ' ');
            ensure!(plain && !what.is_empty(), "`what` is one line of plain text, not {what:?}");
            ensure!(names.insert(what.as_str()), "two bugs are called {what:?}");
            ensure!(!checks.is_empty(), "{what}: nobody is said to see it: it needs `run` or `faults`");
        }
        let named = named()?;
        let meant: BTreeSet<&str> = (self.shared.iter())
            .flat_map(|edit| named.captures_iter(&edit.new))
            .filter_map(|found| Some(found.get(1)?.as_str()))
            .collect();
        if let Some(unknown) = meant.difference(&names).next() {
            bail!("an [[edit]] means the bug {unknown:?}, which is not there");
        }
        for Plant { what, edits, .. } in &self.list {
            ensure!(!edits.is_empty() || meant.contains(what.as_str()), "{what}: it has no place");
        }
        Ok(())
    }

    /// The changed files: all that sleep, and one that does not.
    pub fn sources(
        &self,
        source: impl Fn(&str) -> Result<String>,
        awake: Option<&Plant>,
    ) -> Result<BTreeMap<String, String>> {
        let (named, word) = (named()?, Regex::new(r"\bPLANTED\b")?);
        let mut edits: Vec<Edit> = Vec::new();
        for edit in &self.shared {
            let new =
                named.replace_all(&edit.new, |found: &regex::Captures<'_>| condition(&edit.file, &found[1]));
            ensure!(!new.contains("PLANTED"), "{}: an [[edit]] has to say which bug it means", edit.file);
            edits.push(Edit { new: new.into_owned(), ..edit.clone() });
        }
        let mut later = Vec::new();
        for plant in self.list.iter().filter(|plant| plant.sleeps()) {
            for edit in &plant.edits {
                if is_later(edit) {
                    // It must stand there once all the same.
                    laid_over(&edit.file, &source(&edit.file)?, &[edit])?;
                    later.push((plant.what.as_str(), edit));
                } else {
                    let condition = condition(&edit.file, &plant.what);
                    let new = word.replace_all(&edit.new, regex::NoExpand(&condition)).into_owned();
                    edits.push(Edit { new, ..edit.clone() });
                }
            }
        }
        edits.extend(awake.iter().flat_map(|plant| plant.edits.iter().cloned()));
        for (file, constant) in CHANGED_LATER {
            edits.extend(changed_later(file, constant, &later));
        }
        let mut by_file: BTreeMap<&str, Vec<&Edit>> = BTreeMap::new();
        for edit in &edits {
            by_file.entry(&edit.file).or_default().push(edit);
        }
        let mut sources = BTreeMap::new();
        for (file, edits) in by_file {
            sources.insert(file.to_owned(), laid_over(file, &source(file)?, &edits)?);
        }
        if !sources.contains_key(ASKED_BY_TEMPLATES) {
            sources.insert(ASKED_BY_TEMPLATES.to_owned(), source(ASKED_BY_TEMPLATES)?);
        }
        sources.entry(ASKED_BY_TEMPLATES.to_owned()).and_modify(|text| text.push_str(ANSWER));
        Ok(sources)
    }
}

/// How `PLANTED("what")` is written.
fn named() -> Result<Regex> {
    Ok(Regex::new(r#"PLANTED\("([^"]*)"\)"#)?)
}

/// What is true while a bug is awake.
fn condition(file: &str, what: &str) -> String {
    if file.ends_with(".html") {
        format!("crate::planted({what:?})")
    } else {
        format!("(std::env::var(\"PLANT\").as_deref() == Ok({what:?}))")
    }
}

fn is_later(edit: &Edit) -> bool {
    CHANGED_LATER.iter().any(|(file, _)| *file == edit.file)
}

/// A constant becomes a text that is changed when it is first used.
fn changed_later(file: &str, constant: &str, later: &[(&str, &Edit)]) -> Vec<Edit> {
    let name = file.rsplit('/').next().unwrap_or_default();
    let whole = format!("include_bytes!(\"../../assets/{name}\")");
    let mut made = format!("std::str::from_utf8({whole}).unwrap_or_default().to_owned()");
    for (what, Edit { old, new, .. }) in later.iter().filter(|(_, edit)| edit.file == file) {
        made = format!(
            "{{ let text = {made}; if {} {{ text.replacen({old:?}, {new:?}, 1) }} else {{ text }} }}",
            condition(ASSETS, what)
        );
    }
    let edit = |old: String, new: String| Edit { file: ASSETS.to_owned(), old, new };
    vec![
        edit(
            format!("const {constant}: &[u8] = {whole};"),
            format!("static {constant}: LazyLock<Vec<u8>> = LazyLock::new(|| {{ {made} }}.into_bytes());"),
        ),
        edit(format!("fnv({constant})"), format!("fnv(&{constant})")),
        edit(format!(", {constant}),"), format!(", {constant}.as_slice()),")),
    ]
}

/// A source with changes, each of which has its place, exactly once, beside those of the others.
fn laid_over(file: &str, source: &str, edits: &[&Edit]) -> Result<String> {
    let mut places = Vec::new();
    for edit in edits {
        let line = edit.old.lines().find(|line| !line.is_empty()).unwrap_or_default();
        let mut found = source.match_indices(&edit.old);
        let (Some((at, _)), None) = (found.next(), found.next()) else {
            bail!("{file}: this does not stand there exactly once: {line}");
        };
        ensure!(edit.old != edit.new && !edit.old.is_empty(), "{file}: nothing is changed: {line}");
        places.push((at, at + edit.old.len(), edit.new.as_str()));
    }
    places.sort_unstable();
    let (mut out, mut done) = (String::new(), 0);
    for (start, end, new) in places {
        let Some(kept) = source.get(done..start) else {
            bail!("{file}: two changes overlap: {}", source.get(start..end).unwrap_or_default());
        };
        out.push_str(kept);
        out.push_str(new);
        done = end;
    }
    out.push_str(source.get(done..).unwrap_or_default());
    Ok(out)
}

fn tables<'t>(table: &'t Table, name: &str) -> impl Iterator<Item = &'t Table> {
    table.get(name).and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_table)
}

fn text(table: &Table, name: &str) -> Result<String> {
    let text = table.get(name).and_then(Value::as_str).map(str::to_owned);
    text.with_context(|| format!("a text `{name}` is missing: {table}"))
}

/// One text, or a list of them, or nothing.
fn texts(table: &Table, name: &str) -> Result<Vec<String>> {
    let list = match table.get(name) {
        None => return Ok(Vec::new()),
        Some(Value::Array(list)) => list.as_slice(),
        Some(one) => std::slice::from_ref(one),
    };
    let text = |value: &Value| value.as_str().filter(|text| !text.trim().is_empty()).map(str::to_owned);
    let texts: Option<Vec<String>> = list.iter().map(text).collect();
    texts.with_context(|| format!("`{name}` is a text or a list of them: {table}"))
}

fn edit(table: &Table) -> Result<Edit> {
    Ok(Edit { file: text(table, "file")?, old: text(table, "old")?, new: text(table, "new")? })
}

/// Every planted bug still has its place in the sources: a plant that rots proves nothing.
#[cfg(test)]
mod tests {
    use super::*;

    fn plants(text: &str) -> Result<Plants> {
        let mut plants = Plants { list: Vec::new(), shared: Vec::new() };
        plants.add("some", &text.parse().unwrap())?;
        plants.judge()?;
        Ok(plants)
    }

    #[test]
    fn planted_bugs_have_a_place_in_the_sources() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let source = |file: &str| fs::read_to_string(root.join(file)).with_context(|| file.to_owned());
        let plants = Plants::read(&root.join("xtask/plants")).unwrap();
        assert!(plants.list.len() > 250, "{}", plants.list.len());
        assert!(plants.sources(source, None).unwrap().len() > 100);
        for plant in plants.list.iter().filter(|plant| !plant.sleeps()) {
            plants.sources(source, Some(plant)).unwrap();
        }
    }

    #[test]
    fn a_bug_sleeps_where_its_guard_is() {
        let plants = plants(
            "[[edit]]\nfile = 'a.rs'\nold = 'c'\nnew = 'PLANTED(\"two\")'\n\
             [[plant]]\nwhat = 'one'\nfile = 'a.rs'\nold = 'b'\nnew = '!PLANTED && b'\nrun = 'test(x)'\n\
             [[plant]]\nwhat = 'two'\nrun = ['test(x)', 'test(y)']\n\
             [[plant]]\nwhat = 'three'\nfile = 'a.rs'\nold = 'a'\nnew = 'z'\nfaults = 'power-loss'\n",
        )
        .unwrap();
        assert_eq!(plants.list.iter().map(Plant::sleeps).collect::<Vec<_>>(), [true, true, false]);
        let source = |file: &str| Ok(if file == "a.rs" { "a b c" } else { file }.to_owned());
        let guard = |what| format!("(std::env::var(\"PLANT\").as_deref() == Ok(\"{what}\"))");
        // Where a file of the dashboard is, there is nothing to change here.
        let error = plants.sources(source, None).unwrap_err().to_string();
        assert!(error.contains(ASSETS), "{error}");
        let edits = [
            Edit { file: String::new(), old: "c".to_owned(), new: guard("two") },
            Edit { file: String::new(), old: "b".to_owned(), new: format!("!{} && b", guard("one")) },
        ];
        let laid = laid_over("a.rs", "a b c", &edits.each_ref()).unwrap();
        assert_eq!(laid, format!("a !{} && b {}", guard("one"), guard("two")));
    }

    #[test]
    fn changes_that_cannot_be_made_are_refused() {
        let edit =
            |old: &str, new: &str| Edit { file: String::new(), old: old.to_owned(), new: new.to_owned() };
        for (edits, why) in [
            (vec![edit("d", "e")], "exactly once"),
            (vec![edit("a", "e")], "exactly once"),
            (vec![edit("bc", "e"), edit("ab", "e")], "overlap"),
            (vec![edit("bc", "bc")], "nothing is changed"),
        ] {
            let edits: Vec<&Edit> = edits.iter().collect();
            let error = laid_over("a.rs", "abca", &edits).unwrap_err().to_string();
            assert!(error.contains(why), "{error}");
        }
    }

    #[test]
    fn files_that_say_too_little_are_refused() {
        let plant = |what: &str, rest: &str| format!("[[plant]]\nwhat = '{what}'\n{rest}\n");
        let place = "file = 'a'\nold = 'a'\nnew = 'b'";
        for (text, why) in [
            (plant("one", place), "nobody is said to see it"),
            (plant("one", &format!("{place}\nrun = ''")), "`run` is a text"),
            (plant("one", "run = 'test(x)'"), "it has no place"),
            (plant("o\"e", &format!("{place}\nrun = 'test(x)'")), "plain text"),
            (plant("one", &format!("{place}\nrun = 'test(x)'")).repeat(2), "two bugs are called"),
            ("[[edit]]\nfile = 'a'\nold = 'a'\nnew = 'PLANTED(\"one\")'\n".to_owned(), "which is not there"),
        ] {
            let error = format!("{:#}", plants(&text).unwrap_err());
            assert!(error.contains(why), "{error}");
        }
    }
}
