//! What the fault matrix runs, what must be there before and after it, and what must always hold.

use super::*;
use crate::sqlstate::SqlState;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Two tables of two files each, and a model that is right only for what `a` holds at first.
const SETUP: &str = "
    CREATE TABLE a (id bigint, n bigint);
    INSERT INTO a VALUES (1, 10), (2, 20);
    INSERT INTO a VALUES (3, 30), (4, 40);
    CREATE TABLE b (id bigint, n bigint);
    INSERT INTO b VALUES (1, 100);
    INSERT INTO b VALUES (2, 200);
    CREATE MODEL m PREDICT n USING linear_regression AS SELECT id, n FROM a";

/// The tables and the model, in text.
pub(super) const BEFORE: &str = "a: 1|10 2|20 3|30 4|40; b: 1|100 2|200; m: 50";

/// One piece of work that must happen as a whole or not at all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scene {
    /// COMMIT over two tables and a model.
    Commit,
    /// CREATE TABLE AS SELECT.
    CreateTableAs,
    /// COPY FROM STDIN.
    Copy,
    /// A checkpoint of the log and of each table.
    Checkpoint,
    /// The start of a server that finds commits unpublished.
    Start,
}

impl Scene {
    /// What must be there afterwards.
    pub(super) fn after(self) -> &'static str {
        match self {
            // The model is trained on the changed row too: y = 10 x, but 1 → 14 moves the line.
            Scene::Commit => "a: 1|14 2|20 3|30 4|40; b: 1|100 2|200 3|300; m: 50 48",
            Scene::CreateTableAs => "a: 1|10 2|20 3|30 4|40; b: 1|100 2|200; c: 3|60 4|80; m: 50",
            Scene::Copy => "a: 1|10 2|20 3|30 4|40; b: 1|100 2|200 7|700 8|NULL; m: 50",
            Scene::Checkpoint | Scene::Start => BEFORE,
        }
    }

    /// How a server is opened that runs it.
    pub(super) fn options(self, options: Options) -> Options {
        match self {
            Scene::Checkpoint => {
                Options { checkpoint_every: 1, table_checkpoint_every: 1, ..options }
            }
            _ => options,
        }
    }

    /// Runs it; nothing for a start, which has happened by then.
    pub(super) async fn run(self, engine: &Arc<Engine>) -> Result<(), Error> {
        let mut client = Client::of(engine);
        match self {
            Scene::Commit => {
                let work = "BEGIN;
                    UPDATE a SET n = 14 WHERE id = 1;
                    INSERT INTO b VALUES (3, 300);
                    TRAIN MODEL m;
                    COMMIT";
                client.run(work).await.map(drop)
            }
            Scene::CreateTableAs => {
                let work = "CREATE TABLE c AS SELECT id, n * 2 AS n FROM a WHERE id > 2";
                client.run(work).await.map(drop)
            }
            Scene::Copy => client.copy("COPY b FROM STDIN", "7\t700\n8\t\\N\n").await.map(drop),
            Scene::Checkpoint => engine.services().warehouse.maintain().await,
            Scene::Start => Ok(()),
        }
    }
}

/// Makes the warehouse that every scene begins with.
pub(super) async fn set_up(root: &Path, options: Options) {
    let engine = open_with(root, options).await.expect("opens");
    Client::of(&engine).ok(SETUP).await;
    assert_eq!(state(&engine).await, BEFORE);
}

/// What a user sees: the tables' rows, and what each version of the model says of 5.
pub(super) async fn state(engine: &Arc<Engine>) -> String {
    let mut client = Client::of(engine);
    let tables = "SELECT table_name FROM information_schema.tables
        WHERE table_schema = 'public' ORDER BY 1";
    let mut parts = Vec::new();
    for table in client.ok(tables).await.lines() {
        let rows = format!("SELECT id, coalesce(n::text, 'NULL') FROM {table} ORDER BY id");
        parts.push(format!("{table}: {}", client.ok(&rows).await.replace('\n', " ")));
    }
    let versions = "SELECT version FROM ml.model_versions ORDER BY 1";
    let mut answers = Vec::new();
    for version in client.ok(versions).await.lines() {
        let five = format!("SELECT round(predict('m@{version}', id => 5))::bigint");
        answers.push(client.ok(&five).await);
    }
    parts.push(format!("m: {}", answers.join(" ")));
    parts.join("; ")
}

/// The live files of a table by its `_delta_log`, with their sizes: read with no code of ours.
fn published(folder: &Path) -> BTreeMap<String, u64> {
    let mut live = BTreeMap::new();
    for version in 0.. {
        let file = folder.join(format!("_delta_log/{version:020}.json"));
        let Ok(text) = std::fs::read_to_string(&file) else { break };
        for line in text.lines() {
            let json: serde_json::Value = serde_json::from_str(line).expect("a line of JSON");
            if let Some(path) = json["add"]["path"].as_str() {
                let size = json["add"]["size"].as_u64().expect("a size");
                assert!(live.insert(path.to_owned(), size).is_none(), "{path} stands twice");
            }
            if let Some(path) = json["remove"]["path"].as_str() {
                assert!(live.remove(path).is_some(), "{path} is removed but not live");
            }
        }
    }
    live
}

/// The records, the Delta logs and the files say the same.
async fn agrees(engine: &Arc<Engine>, case: &str) {
    let warehouse = &engine.services().warehouse;
    let snapshot = warehouse.snapshot().await.expect("a snapshot");
    for table in snapshot.catalog().tables() {
        let state = snapshot.table(&table.id).await.expect("the table loads");
        let folder: PathBuf = warehouse.root().join(&table.path);
        let known: BTreeMap<String, u64> = state
            .files()
            .map(|add| (add.path.clone(), u64::try_from(add.size).expect("a size")))
            .collect();
        assert_eq!(published(&folder), known, "{}: {case}", table.name);
        for (path, size) in known {
            let there = std::fs::metadata(folder.join(&path)).map(|m| m.len());
            assert_eq!(there.ok(), Some(size), "{path} of {}: {case}", table.name);
        }
    }
}

/// Looks at a folder with a new server: all or nothing, as the answer said; and work goes on.
pub(super) async fn judge(scene: Scene, root: &Path, answer: &Result<(), Error>, case: &str) {
    let engine = open(root).await;
    agrees(&engine, case).await;
    let there = state(&engine).await;
    match answer {
        Ok(()) => assert_eq!(there, scene.after(), "acknowledged but lost: {case}"),
        Err(e) if e.code() == SqlState::TransactionResolutionUnknown => {
            assert!(there == scene.after() || there == BEFORE, "{there}: {case}");
        }
        Err(e) => assert_eq!(there, BEFORE, "refused with {e:?} but there: {case}"),
    }
    let mut client = Client::of(&engine);
    client.ok("INSERT INTO a VALUES (9, 90); UPDATE b SET n = 0 WHERE id = 1; TRAIN MODEL m").await;
    assert_eq!(client.ok("SELECT n FROM a WHERE id = 9").await, "90", "{case}");
    agrees(&engine, case).await;
}
