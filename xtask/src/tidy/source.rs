//! The files that rules look at, each read and lexed once.

use std::collections::BTreeSet;

use anyhow::{Context, Result};

use super::lexer::{self, Lexed, Span};
use crate::workspace::Workspace;

/// Files larger than this are data and are not read as text; sources are far smaller. In bytes.
const TEXT_BYTES_MAX: usize = 1 << 20;

/// Folders of a crate whose files are compiled for tests, benches or fuzzing only.
const TEST_FOLDERS: &[&str] = &["tests", "benches", "examples", "fuzz"];

/// Where the traits are declared that `Arc<dyn>` may hold.
const PORT_FILES: &str = "crates/actifix-app/src/ports";

/// Everything tidy reads.
#[derive(Debug)]
pub struct Tree {
    /// All text files, Rust ones included.
    pub texts: Vec<TextFile>,
    pub sources: Vec<SourceFile>,
    /// Names of the traits declared in the application's `ports` module.
    pub ports: Vec<String>,
}

impl Tree {
    pub fn load(workspace: &Workspace) -> Result<Self> {
        let mut texts = Vec::new();
        for path in workspace.files()? {
            let bytes =
                std::fs::read(workspace.path(&path)).with_context(|| format!("cannot read {path}"))?;
            if bytes.len() <= TEXT_BYTES_MAX
                && let Ok(text) = String::from_utf8(bytes)
            {
                texts.push(TextFile { path, text });
            }
        }
        let mut sources: Vec<SourceFile> = texts
            .iter()
            .filter(|file| file.is_source())
            .map(|file| SourceFile::new(&file.path, &file.text))
            .collect();
        mark_test_modules(&mut sources);
        let ports = sources
            .iter()
            .filter(|file| file.path.starts_with(PORT_FILES))
            .flat_map(declared_traits)
            .collect();
        Ok(Self { texts, sources, ports })
    }
}

#[derive(Debug)]
pub struct TextFile {
    pub path: String,
    pub text: String,
}

impl TextFile {
    fn is_source(&self) -> bool {
        self.path.ends_with(".rs") && !self.is_testdata()
    }

    /// Captured requests and golden files: other people's text.
    pub fn is_testdata(&self) -> bool {
        self.path.split('/').any(|part| part == "testdata")
    }
}

/// A Rust file with what the lexer found in it.
#[derive(Debug)]
pub struct SourceFile {
    pub path: String,
    /// The text with comments and the insides of literals blanked, byte for byte as long as it.
    pub code: String,
    pub comments: Vec<Span>,
    pub strings: Vec<Span>,
    /// The whole file is compiled for tests only.
    pub is_test: bool,
    /// Byte offsets at which lines begin.
    line_starts: Vec<usize>,
    /// Byte ranges of items under `#[cfg(test)]`.
    test_ranges: Vec<(usize, usize)>,
}

impl SourceFile {
    pub fn new(path: &str, text: &str) -> Self {
        let Lexed { code, comments, strings } = lexer::lex(text);
        let line_starts =
            std::iter::once(0).chain(text.match_indices('\n').map(|(at, _)| at + 1)).collect::<Vec<_>>();
        let is_test =
            path.split('/').any(|part| TEST_FOLDERS.contains(&part)) || code.contains("#![cfg(test)]");
        let test_ranges = test_ranges(&code);
        Self { path: path.to_owned(), code, comments, strings, is_test, line_starts, test_ranges }
    }

    /// Line of a byte offset, counted from 1.
    pub fn line(&self, offset: usize) -> usize {
        self.line_starts.partition_point(|start| *start <= offset)
    }

    /// Whether this runs on the developer's machine only: xtask and build scripts.
    pub fn is_automation(&self) -> bool {
        self.path.starts_with("xtask/") || self.path.ends_with("/build.rs") && !self.path.contains("/src/")
    }

    pub fn is_test_at(&self, offset: usize) -> bool {
        self.is_test || self.test_ranges.iter().any(|(from, to)| (*from..*to).contains(&offset))
    }

    /// Number of lines that are not part of inline tests.
    pub fn lines_without_tests(&self) -> usize {
        let lines = self.line_starts.len() - usize::from(self.code.ends_with('\n'));
        let in_tests: BTreeSet<usize> =
            self.test_ranges.iter().flat_map(|(from, to)| self.line(*from)..=self.line(*to)).collect();
        lines.saturating_sub(in_tests.len())
    }

    /// Offsets of a token in code: bounded by what cannot continue an identifier on either side.
    pub fn find_token<'a>(&'a self, token: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.code.match_indices(token).map(|(at, _)| at).filter(move |at| {
            let before = self.code.get(..*at).and_then(|text| text.chars().next_back());
            let after = self.code.get(*at + token.len()..).and_then(|text| text.chars().next());
            let continues_before = token.starts_with(is_word) && before.is_some_and(is_word);
            let continues_after = token.ends_with(is_word) && after.is_some_and(is_word);
            !continues_before && !continues_after
        })
    }

    /// As [`Self::find_token`], outside of tests.
    pub fn find_outside_tests<'a>(&'a self, token: &'a str) -> impl Iterator<Item = usize> + 'a {
        self.find_token(token).filter(|at| !self.is_test_at(*at))
    }
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

/// Ranges of the items that an attribute such as `#[cfg(test)]` or `#[cfg(all(test, unix))]` guards.
fn test_ranges(code: &str) -> Vec<(usize, usize)> {
    let mut ranges = Vec::new();
    for (at, _) in code.match_indices("#[cfg(") {
        let Some(attribute_end) = closing(code, at + 1, b'[', b']') else { continue };
        let condition = code.get(at..attribute_end).unwrap_or_default();
        if !names_test(condition) {
            continue;
        }
        if let Some(end) = item_end(code, attribute_end + 1) {
            ranges.push((at, end));
        }
    }
    ranges
}

/// Whether the condition holds in test builds only: names `test` and not its negation.
fn names_test(condition: &str) -> bool {
    let words: Vec<&str> = condition.split(|c: char| !is_word(c)).filter(|word| !word.is_empty()).collect();
    words.contains(&"test") && !words.contains(&"not") && !words.contains(&"any")
}

/// End of the item that begins at or after `from`: its `;`, or the `}` that closes its first brace.
pub fn item_end(code: &str, from: usize) -> Option<usize> {
    let bytes = code.as_bytes();
    let mut at = from;
    let mut depth = 0_usize;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth = depth.saturating_sub(1),
            b';' if depth == 0 => return Some(at),
            b'{' if depth == 0 => return closing(code, at, b'{', b'}'),
            _ => {}
        }
        at += 1;
    }
    None
}

/// Offset of the byte that closes the bracket at `open_at`. Code is blanked, so that all brackets count.
pub fn closing(code: &str, open_at: usize, open: u8, close: u8) -> Option<usize> {
    let mut depth = 0_usize;
    for (at, byte) in code.bytes().enumerate().skip(open_at) {
        if byte == open {
            depth += 1;
        } else if byte == close {
            depth = depth.checked_sub(1)?;
            if depth == 0 {
                return Some(at);
            }
        }
    }
    None
}

/// Files declared by `#[cfg(test)] mod name;` are tests although nothing in them says so.
fn mark_test_modules(sources: &mut [SourceFile]) {
    let mut modules = Vec::new();
    for file in sources.iter() {
        for (from, to) in &file.test_ranges {
            let declaration = file.code.get(*from..*to).unwrap_or_default();
            if declaration.contains('{') {
                continue;
            }
            if let Some((_, name)) = declaration.rsplit_once("mod ") {
                modules.push(format!("{}{}", module_folder(&file.path), name.trim()));
            }
        }
    }
    for file in sources {
        let is_declared = |module: &String| {
            file.path.strip_prefix(module.as_str()).is_some_and(|rest| rest == ".rs" || rest.starts_with('/'))
        };
        file.is_test |= modules.iter().any(is_declared);
    }
}

/// Folder, with `/`, in which the modules lie that this file declares.
fn module_folder(path: &str) -> String {
    let (folder, name) = path.rsplit_once('/').map_or(("", path), |(folder, name)| (folder, name));
    let own = match name {
        "lib.rs" | "main.rs" => String::new(),
        other => format!("{}/", other.trim_end_matches(".rs")),
    };
    if folder.is_empty() { own } else { format!("{folder}/{own}") }
}

fn declared_traits(file: &SourceFile) -> Vec<String> {
    let names = file.code.match_indices("pub trait ").filter_map(|(at, token)| {
        let rest = file.code.get(at + token.len()..)?;
        rest.split(|c: char| !is_word(c)).next().map(str::to_owned)
    });
    names.filter(|name| !name.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_are_whole_words_outside_of_comments_and_strings() {
        let file = SourceFile::new("a.rs", "let x = tokio; // tokio\nlet y = my_tokio; let z = \"tokio\";\n");
        assert_eq!(file.find_token("tokio").count(), 1);
    }

    #[test]
    fn a_test_module_and_its_lines_are_known() {
        let text = "fn a() {}\n\n#[cfg(test)]\nmod tests {\n    fn b() { let c = '}'; }\n}\nfn d() {}\n";
        let file = SourceFile::new("a.rs", text);
        assert!(!file.is_test_at(text.find("fn a").unwrap()));
        assert!(file.is_test_at(text.find("fn b").unwrap()));
        assert!(!file.is_test_at(text.find("fn d").unwrap()));
        assert_eq!(file.lines_without_tests(), 3);
    }

    #[test]
    fn what_is_compiled_without_tests_is_no_test() {
        for condition in ["#[cfg(not(test))]", "#[cfg(any(test, unix))]", "#[cfg(unix)]"] {
            let text = format!("{condition}\nmod a {{ fn b() {{}} }}\n");
            let file = SourceFile::new("a.rs", &text);
            assert!(!file.is_test_at(text.find("fn b").unwrap()), "{condition}");
        }
    }

    #[test]
    fn a_module_file_declared_for_tests_is_a_test() {
        let mut sources = vec![
            SourceFile::new("crates/a/src/lib.rs", "#[cfg(test)]\nmod samples;\npub mod real;\n"),
            SourceFile::new("crates/a/src/samples.rs", ""),
            SourceFile::new("crates/a/src/samples/more.rs", ""),
            SourceFile::new("crates/a/src/real.rs", "#[cfg(test)]\nmod tests;\n"),
            SourceFile::new("crates/a/src/real/tests.rs", ""),
        ];
        mark_test_modules(&mut sources);
        let is_test: Vec<bool> = sources.iter().map(|file| file.is_test).collect();
        assert_eq!(is_test, [false, true, true, false, true]);
    }

    #[test]
    fn lines_count_from_one() {
        let file = SourceFile::new("a.rs", "a\nb\n");
        assert_eq!((file.line(0), file.line(1), file.line(2)), (1, 1, 2));
    }
}
