//! The demo: what it prints, that its numbers are the published ones, and that its scripts run by themselves.
//!
//! `UPDATE_GOLDEN=1 cargo test demo` writes `tests/golden/demo.txt` anew; read the difference before committing it.

use crate::harness::{Server, cenote, repository, run, sql_script, temporary_folder};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What a newcomer is promised.
const DEMO_LIMIT: Duration = Duration::from_secs(60);

fn run_demo(data: &Path) -> String {
    cenote(["demo".as_ref(), "--data".as_ref(), data.as_os_str()], "").ok()
}

/// The text with times and random names masked, and widths that depend on them evened out.
fn normalised(text: &str) -> String {
    let mut lines = Vec::new();
    for line in text.lines() {
        let mut words = Vec::new();
        let mut rest = line.split_whitespace().peekable();
        while let Some(word) = rest.next() {
            if is_date(word) && rest.peek().is_some_and(|next| is_time(next)) {
                rest.next();
                words.push("<time>".to_owned());
            } else if word.len() >= 8 && word.chars().all(|c| "-+".contains(c)) {
                words.push("--".to_owned());
            } else {
                words.push(word.split(',').map(masked).collect::<Vec<_>>().join(","));
            }
        }
        lines.push(words.join(" "));
    }
    lines.join("\n") + "\n"
}

fn is_date(word: &str) -> bool {
    word.len() == 10
        && word
            .bytes()
            .enumerate()
            .all(|(i, b)| if i == 4 || i == 7 { b == b'-' } else { b.is_ascii_digit() })
}

fn is_time(word: &str) -> bool {
    word.len() >= 8
        && word
            .bytes()
            .take(8)
            .enumerate()
            .all(|(i, b)| if i == 2 || i == 5 { b == b':' } else { b.is_ascii_digit() })
}

/// Hides ids, durations and sizes of files, which differ from run to run.
fn masked(word: &str) -> String {
    let hexadecimal = word.len() >= 32 && word.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-');
    if hexadecimal {
        return "<id>".to_owned();
    }
    let varies =
        ["Ms\":", "TimeMs", "Bytes\":", "_ms\":", "_bytes\":"].iter().any(|key| word.contains(key));
    match word.split_once(':') {
        Some((key, _)) if varies => format!("{key}:<n>"),
        _ => word.to_owned(),
    }
}

#[test]
fn the_demo_prints_what_it_always_printed() {
    let folder = temporary_folder();
    let started = Instant::now();
    let printed = run_demo(&folder.path().join("warehouse"));
    assert!(started.elapsed() < DEMO_LIMIT, "the demo took {:?}", started.elapsed());

    // The published numbers, to all printed digits: metrics, then predictions.
    for number in [
        "227.012237",
        "81838.159892",
        "0.00507045",
        "174.998647",
        "0.872377", //
        "5413.510134",
        "4768.351092",
        "3235.896372",
        "4740.7907",
    ] {
        assert!(printed.contains(number), "{number} is missing in:\n{printed}");
    }

    let printed = normalised(&printed);
    let golden = repository("tests/golden/demo.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&golden, &printed).expect("the golden file is written");
    }
    let expected = std::fs::read_to_string(&golden).expect("tests/golden/demo.txt");
    for (number, (old, new)) in expected.lines().zip(printed.lines()).enumerate() {
        assert_eq!(new, old, "tests/golden/demo.txt:{}", number + 1);
    }
    assert_eq!(
        printed.lines().count(),
        expected.lines().count(),
        "the demo prints more or less than it did"
    );
}

#[test]
fn the_demo_without_a_folder_leaves_none_behind() {
    let printed = cenote(["demo"], "").ok();
    assert!(printed.contains("81838.159892"));
    assert!(!repository("tests/data/cenote-data").exists());
}

#[test]
fn the_demos_scripts_run_by_themselves() {
    let folder = temporary_folder();
    let data = folder.path().join("warehouse");
    let beside_the_data = repository("sql/demo/data");
    let mut scripts: Vec<PathBuf> = std::fs::read_dir(repository("sql/demo"))
        .expect("sql/demo")
        .map(|entry| entry.expect("a folder that can be listed").path())
        .filter(|path| path.extension().is_some_and(|e| e == "sql"))
        .collect();
    scripts.sort();
    assert!(scripts.len() >= 9, "{scripts:?}");
    for script in &scripts {
        sql_script(&data, script, &beside_the_data).ok();
    }

    let csv = |query: &str| {
        let head: [&OsStr; 3] = ["sql".as_ref(), "--data".as_ref(), data.as_ref()];
        cenote(head.into_iter().chain(["--format", "csv", "-c", query].map(OsStr::new)), "").ok()
    };
    // Counts and means as DuckDB has them for the same file.
    assert_eq!(
        csv("SELECT island, species, penguins, mean_mass_g::integer AS mass, mean_flipper_mm::numeric(6,1) AS flipper
             FROM gold.islands ORDER BY island, species"),
        "island,species,penguins,mass,flipper\nBiscoe,Adelie,44,3710,188.8\nBiscoe,Gentoo,124,5076,217.2\n\
         Dream,Adelie,56,3688,189.7\nDream,Chinstrap,68,3733,195.8\nTorgersen,Adelie,52,3706,191.2\n"
    );
    // The transaction that was taken back has left nothing.
    assert_eq!(
        csv("SELECT island, penguins FROM gold.census ORDER BY island"),
        "island,penguins\nBiscoe,168\nDream,124\nTorgersen,52\n"
    );
    assert_eq!(csv("SELECT entry, islands FROM gold.census_log"), "entry,islands\ncounted,3\n");
    // The late count has replaced one row and added one.
    assert_eq!(
        csv(
            "SELECT season, penguins FROM gold.island_features WHERE island = 'Dream' ORDER BY season"
        ),
        "season,penguins\n2007-01-01,46\n2008-01-01,34\n2009-01-01,45\n2010-01-01,12\n"
    );
    // Every penguin stands once in the matrix, and a species is not hard to tell.
    assert_eq!(
        csv(
            "SELECT sum(n) AS penguins, count(DISTINCT split) AS parts FROM ml.confusion_matrix('gold.penguin_species')"
        ),
        "penguins,parts\n344,2\n"
    );
    assert_eq!(
        csv(
            "SELECT accuracy >= 0.95 AS right_enough FROM ml.evaluate('gold.penguin_species') WHERE split = 'test'"
        ),
        "right_enough\nt\n"
    );
    // The view's error over all rows is the model's own, but for the rounding of its predictions.
    assert_eq!(
        csv(
            "SELECT abs(mae(body_mass_g, expected_g) - 227.012237) < 0.1 AS same FROM gold.expected_mass WHERE body_mass_g IS NOT NULL"
        ),
        "same\nt\n"
    );
}

#[test]
fn a_server_goes_on_where_the_demo_ended() {
    let folder = temporary_folder();
    let data = folder.path().join("warehouse");
    run_demo(&data);
    let server = Server::start(&data);
    run(async {
        let client = server.connect().await;
        let row = client
            .query_one(
                "SELECT predict('gold.penguin_mass', species => 'Gentoo', island => 'Biscoe', culmen_length_mm => 45.2,
                 culmen_depth_mm => 16.4, flipper_length_mm => 223, sex => 'MALE')",
                &[],
            )
            .await
            .expect("a prediction");
        let grams: f64 = row.get(0);
        assert!((grams - 5413.510134).abs() < 1e-6, "{grams}");
    });
    server.stop();
}

#[test]
fn the_tour_on_the_first_page_is_what_the_demo_prints() {
    let page = std::fs::read_to_string(repository("README.md")).expect("the first page");
    let golden = std::fs::read_to_string(repository("tests/golden/demo.txt"))
        .expect("the demo's expected output");
    let tour = page.split("## A tour").nth(1).and_then(|t| t.split("```").nth(1));
    let steps: Vec<String> = tour.expect("a tour").trim().split("\n\n").map(normalised).collect();
    assert!(steps.len() >= 10, "{} steps", steps.len());
    for step in steps {
        assert!(golden.contains(step.trim_end()), "the demo prints no such thing:\n{step}");
    }
}
