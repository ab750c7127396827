//! The rules of the house, checked on the source text: layers, borders of libraries, and how a file looks.
//!
//! A rule that fails names the file and line, and what to do.

use crate::harness::repository;
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

/// The modules of the program from top to bottom. A module imports its own level and those below it.
const LAYERS: &[&[&str]] = &[
    &["cli", "server"],
    &["session"],
    &["statements"],
    &["planner"],
    // Settings quote names, and know the forms that values are written in.
    &["config"],
    &["parser", "system"],
    &["ml", "features", "governance"],
    &["warehouse"],
    &["delta"],
    // The store takes its random names from the catalog.
    &["store"],
    &["catalog"],
    &["format"],
    &["error"],
    &["suggest", "sqlstate"],
];

/// Libraries that stay behind one wall: the crate, and the folders of `src` that may name it.
const BORDERS: &[(&str, &[&str])] = &[
    ("pgwire", &["server/pg"]),
    ("deltalake", &["delta"]),
    ("candle_core", &["ml"]),
    ("hessboost", &["ml"]),
    ("faer", &["ml"]),
    ("sqlparser", &["parser", "statements", "planner", "system"]),
    ("clap", &["cli"]),
    ("rustyline", &["cli"]),
];

/// A file beyond this has two subjects.
const FILE_LINES_MAX: usize = 700;

/// A source file, its path relative to the repository.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// Numbered lines of code: no comments, and nothing from the unit tests at the file's end on.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let is_test_file = self.path.split('/').any(|part| {
            matches!(part, "tests" | "tests.rs" | "testing.rs" | "testdata" | "test_support.rs")
                || part.ends_with("_tests.rs")
        });
        let lines = if is_test_file { "" } else { self.text.as_str() };
        let lines: Vec<&str> = lines.lines().collect();
        let end = (0..lines.len())
            .find(|&i| {
                lines[i].trim() == "#[cfg(test)]"
                    && lines[i + 1..].iter().find(|l| !l.trim_start().starts_with('#')).is_some_and(
                        |l| l.trim_start().starts_with("mod ") && l.trim_end().ends_with('{'),
                    )
            })
            .unwrap_or(lines.len());
        lines
            .into_iter()
            .take(end)
            .enumerate()
            .map(|(i, line)| (i + 1, line))
            .filter(|(_, line)| !line.trim_start().starts_with("//"))
    }
}

fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a folder that can be listed").path();
        if path.is_dir() { walk(&path, found) } else { found.push(path) }
    }
}

/// The repository's own text files below the given folders and files.
fn sources(places: &[&str], extensions: &[&str]) -> Vec<Source> {
    let root = repository("");
    let mut paths = Vec::new();
    for place in places {
        let path = root.join(place);
        if path.is_file() { paths.push(path) } else { walk(&path, &mut paths) }
    }
    paths.sort();
    let wanted = |path: &PathBuf| {
        let extension = path.extension().unwrap_or_default().to_string_lossy().into_owned();
        extensions.contains(&"*") || extensions.contains(&extension.as_str())
    };
    let relative = |path: &Path| {
        let path = path.strip_prefix(&root).expect("a path below the root");
        path.to_string_lossy().replace('\\', "/")
    };
    paths
        .into_iter()
        .filter(wanted)
        .filter_map(|p| {
            Some(Source { path: relative(&p), text: std::fs::read_to_string(&p).ok()? })
        })
        .collect()
}

fn program() -> Vec<Source> {
    sources(&["src"], &["rs"])
}

fn rust() -> Vec<Source> {
    sources(&["src", "udfs", "tests"], &["rs"])
}

fn report(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}\n  {}", broken.join("\n  "));
}

/// Positions after each whole-word `word` in a line.
fn after_word<'a>(line: &'a str, word: &'a str) -> impl Iterator<Item = &'a str> {
    let is_name = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(word).filter_map(move |(at, _)| {
        let rest = &line[at + word.len()..];
        let alone = !line[..at].ends_with(is_name) && !rest.starts_with(is_name);
        alone.then_some(rest)
    })
}

/// The top-level modules that a line names: `crate::x`, and every `x` of `crate::{x, y::z}`.
fn named_modules(line: &str) -> Vec<String> {
    let first_name = |text: &str| -> String {
        text.trim().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let mut names = Vec::new();
    for rest in after_word(line, "crate") {
        let Some(path) = rest.strip_prefix("::") else { continue };
        match path.strip_prefix('{') {
            None => names.push(first_name(path)),
            Some(list) => {
                let mut depth = 0;
                let mut start = 0;
                for (i, c) in list.char_indices() {
                    match c {
                        '{' => depth += 1,
                        '}' if depth > 0 => depth -= 1,
                        ',' | '}' if depth == 0 => {
                            names.push(first_name(&list[start..i]));
                            start = i + 1;
                        }
                        _ => {}
                    }
                }
                names.push(first_name(&list[start..]));
            }
        }
    }
    names.retain(|name| !name.is_empty());
    names
}

fn level(module: &str) -> Option<usize> {
    LAYERS.iter().position(|layer| layer.contains(&module))
}

/// `src/ml/model.rs` and `src/ml.rs` are of the module `ml`; the crate's roots are of none.
fn module_of(path: &str) -> Option<String> {
    let inner = path.strip_prefix("src/")?;
    let first = inner.split('/').next()?.trim_end_matches(".rs");
    (!matches!(first, "main" | "lib")).then(|| first.to_owned())
}

#[test]
fn every_module_has_a_layer() {
    let unknown: BTreeSet<String> = program()
        .iter()
        .filter_map(|s| module_of(&s.path))
        .filter(|m| level(m).is_none())
        .collect();
    assert!(unknown.is_empty(), "give these a place in LAYERS: {unknown:?}");
}

#[test]
fn imports_point_down_and_there_is_no_circle() {
    let mut broken = Vec::new();
    let mut graph: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in program() {
        let Some(module) = module_of(&source.path) else { continue };
        for (number, line) in source.code() {
            for named in named_modules(line) {
                let (Some(from), Some(to)) = (level(&module), level(&named)) else { continue };
                if to < from {
                    broken.push(format!("{}:{number}: {module} imports {named}", source.path));
                } else if named != module {
                    graph.entry(module.clone()).or_default().insert(named);
                }
            }
        }
    }
    report("an import points up (the order stands in LAYERS):", &broken);

    for start in graph.keys() {
        let mut seen = BTreeSet::new();
        let mut open: Vec<&String> = graph[start].iter().collect();
        while let Some(module) = open.pop() {
            assert!(module != start, "{start} imports itself through other modules");
            if seen.insert(module) {
                open.extend(graph.get(module).into_iter().flatten());
            }
        }
    }
}

#[test]
fn libraries_stay_behind_their_walls() {
    let mut broken = Vec::new();
    for source in program() {
        let inner = source.path.trim_start_matches("src/");
        for (library, folders) in BORDERS {
            let allowed = folders
                .iter()
                .any(|f| inner.starts_with(&format!("{f}/")) || inner == format!("{f}.rs"));
            if allowed {
                continue;
            }
            for (number, line) in source.code() {
                let names = after_word(line, library)
                    .any(|rest| rest.starts_with("::") || rest.trim_start().starts_with(';'));
                // The conversion of the libraries' errors is what `error` exists for.
                if names && !inner.starts_with("error/") {
                    broken.push(format!("{}:{number}: {}", source.path, line.trim()));
                }
            }
        }
    }
    report("a library is named outside of its folder (BORDERS):", &broken);
}

#[test]
fn nothing_is_unwrapped_outside_of_tests() {
    let mut broken = Vec::new();
    for source in sources(&["src", "udfs/src"], &["rs"]) {
        if source.path == "src/main.rs" {
            continue;
        }
        for (number, line) in source.code() {
            if line.contains(".unwrap()") {
                broken.push(format!("{}:{number}: {}", source.path, line.trim()));
            }
        }
    }
    report("say why it cannot fail with expect(\"…\"), or return the error:", &broken);
}

#[test]
fn files_have_one_subject_and_say_which() {
    let mut broken = Vec::new();
    for source in rust() {
        let lines = source.text.lines().count();
        if lines > FILE_LINES_MAX {
            broken.push(format!("{}: {lines} lines, at most {FILE_LINES_MAX}", source.path));
        }
        if !source.text.starts_with("//!") {
            broken.push(format!("{}: begin with `//!` and what the file is for", source.path));
        }
        if source.path.ends_with("/utils.rs") || source.path.ends_with("/helpers.rs") {
            broken.push(format!("{}: name it after what it holds", source.path));
        }
    }
    report("a file does not look like one of ours:", &broken);
}

#[test]
fn every_file_is_part_of_a_crate() {
    let all = sources(&["src", "udfs/src", "tests"], &["rs"]);
    let texts: BTreeMap<&str, &str> =
        all.iter().map(|s| (s.path.as_str(), s.text.as_str())).collect();
    let mut broken = Vec::new();
    for path in texts.keys().copied() {
        let mut parts: Vec<&str> = path.trim_end_matches(".rs").split('/').collect();
        if parts.last() == Some(&"mod") {
            parts.pop();
        }
        let name = parts.pop().unwrap_or_default();
        let folder = parts.join("/");
        let is_root = matches!(name, "main" | "lib") || path == "udfs/tests/main.rs";
        let candidates = ["mod.rs", "lib.rs", "main.rs"].map(|f| format!("{folder}/{f}"));
        let parents = candidates.iter().cloned().chain([format!("{folder}.rs")]);
        let declares = |text: &str| {
            text.lines()
                .any(|line| after_word(line, "mod").any(|rest| rest.trim() == format!("{name};")))
        };
        if !is_root
            && !parents.into_iter().any(|p| texts.get(p.as_str()).is_some_and(|t| declares(t)))
        {
            broken.push(path.to_owned());
        }
    }
    report("no module declares these files, so nothing compiles them:", &broken);
}

#[test]
fn every_statement_has_its_script() {
    let mut broken = Vec::new();
    for source in sources(&["src/statements"], &["rs"]) {
        let inner = source.path.trim_start_matches("src/statements/").trim_end_matches(".rs");
        let [family, statement] = inner.split('/').collect::<Vec<_>>()[..] else { continue };
        // What statements of a family share is no statement.
        let is_statement =
            |line: &str| line.starts_with("impl") && line.contains(" Statement for ");
        if !source.text.lines().any(is_statement) {
            continue;
        }
        let script = format!("tests/sql/{family}/{statement}.slt");
        if !repository(&script).is_file() {
            broken.push(format!("{} has no {script}", source.path));
        }
    }
    report("a statement comes with a script that shows it:", &broken);
}

#[test]
fn nothing_is_left_for_later() {
    let words = [["TO", "DO"].concat(), ["FIX", "ME"].concat(), ["XX", "X:"].concat()];
    let mut broken = Vec::new();
    for source in sources(PLACES, &["*"]) {
        for (number, line) in source.text.lines().enumerate() {
            if words.iter().any(|w| after_word(line, w).next().is_some()) {
                broken.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    report("open ends belong into issues, not into the text:", &broken);
}

/// Everything that people wrote.
const PLACES: &[&str] =
    &["src", "udfs", "sql", "tests", ".ci", "README.md", "Cargo.toml", "LICENSE"];

#[test]
fn no_path_of_one_machine() {
    let folders = ["home", "root", "Users", "work", "tmp/wt"].map(|name| format!("/{name}/"));
    let mut broken = Vec::new();
    for source in sources(PLACES, &["*"]) {
        for (number, line) in source.text.lines().enumerate() {
            let absolute = |folder: &String| {
                line.match_indices(folder.as_str()).any(|(at, _)| {
                    let before = line[..at].chars().next_back();
                    before.is_none_or(|c| !(c.is_alphanumeric() || ".>}_-*/".contains(c)))
                })
            };
            if folders.iter().any(absolute) {
                broken.push(format!("{}:{}: {}", source.path, number + 1, line.trim()));
            }
        }
    }
    report("a path that exists on one machine only:", &broken);
}

#[test]
fn the_readme_names_what_exists() {
    let readme = std::fs::read_to_string(repository("README.md")).expect("README.md");
    let mut broken = Vec::new();
    let mut named = 0;
    for quoted in readme.split('`').skip(1).step_by(2) {
        let path = quoted.split("::").next().unwrap_or(quoted);
        let is_path =
            ["tests/", "sql/", "src/", ".ci/", "udfs/"].iter().any(|p| path.starts_with(p));
        if is_path && !path.contains(char::is_whitespace) && !path.contains('*') {
            named += 1;
            if !repository(path).exists() {
                broken.push(path.to_owned());
            }
        }
    }
    assert!(named > 0, "the README points at the tests that show what works");
    report("the README names files that do not exist:", &broken);
}
