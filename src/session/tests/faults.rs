//! Each store operation of each scene, made to fail before it takes effect, after it took effect,
//! torn, and with the process dead.
//!
//! All writes are hit, and some of the reads: `CENOTE_FAULTS=all` hits everything, and
//! `CENOTE_TEST_SEED=n` chooses the same reads again.

use super::scenes::{Scene, judge, set_up, state};
use super::*;
use crate::sqlstate::SqlState;
use crate::store::Fault;
use rand::rngs::StdRng;
use rand::seq::SliceRandom;
use rand::{Rng, SeedableRng};

/// Of the cases that are not always run, so many are, for each scene.
const CHOSEN: usize = 8;

fn copy_folder(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("a folder");
    for entry in std::fs::read_dir(from).expect("a folder") {
        let entry = entry.expect("an entry");
        let target = to.join(entry.file_name());
        match entry.file_type().expect("a type").is_dir() {
            true => copy_folder(&entry.path(), &target),
            false => drop(std::fs::copy(entry.path(), target).expect("copied")),
        }
    }
}

/// A folder as a crash may leave it: the last commit of `a` is not published, that of `b` is torn.
fn unpublish(root: &Path) {
    let public = root.join("public");
    for entry in std::fs::read_dir(&public).expect("tables") {
        let log = entry.expect("a table").path().join("_delta_log");
        let last = log.join("00000000000000000002.json");
        let body = std::fs::read(&last).expect("three commits each");
        match log.to_string_lossy().contains("/a-") {
            true => std::fs::remove_file(&last).expect("removed"),
            false => std::fs::write(&last, &body[..body.len() / 2]).expect("torn"),
        }
    }
}

/// One run of a scene with a fault; the answer, the operations, and the server if it lives.
struct Run {
    answer: Result<(), Error>,
    trace: Vec<String>,
    engine: Option<Arc<Engine>>,
}

async fn run(scene: Scene, root: &Path, fault: Option<(u64, Fault)>) -> Run {
    let at_start = scene == Scene::Start;
    let (options, slot) = faulty(scene.options(Options::default()), move |store| {
        if at_start {
            store.arm(fault);
        }
    });
    let opened = open_with(root, options).await;
    let store = slot.lock().expect("lock").clone().expect("the store was wrapped");
    if !at_start {
        store.arm(fault);
    }
    let answer = match &opened {
        Ok(engine) => scene.run(engine).await,
        Err(e) => Err(e.clone()),
    };
    let trace = store.trace();
    store.arm(fault.and_then(|(_, f)| is_dead(f).then_some((0, Fault::DeadBefore))));
    Run { answer, trace, engine: opened.ok() }
}

fn is_dead(fault: Fault) -> bool {
    !matches!(fault, Fault::Before | Fault::After)
}

/// The cases of a scene whose operations are these: where, and how.
fn cases(trace: &[String], random: &mut StdRng) -> Vec<(u64, Fault)> {
    let all = std::env::var("CENOTE_FAULTS").is_ok_and(|v| v == "all");
    let (mut always, mut sometimes) = (Vec::new(), Vec::new());
    for (at, operation) in (0_u64..).zip(trace) {
        let reads = ["get ", "head ", "list ", "ranges "];
        let writes = !reads.iter().any(|verb| operation.starts_with(verb));
        let probe = operation.contains("_cenote/probe");
        for fault in Fault::ALL {
            // A torn table checkpoint is for the readers of Delta to notice, and no store of ours makes one.
            let tears =
                operation.starts_with("put ") && !operation.ends_with(".checkpoint.parquet");
            if fault == Fault::Torn && !tears {
                continue;
            }
            let telling = matches!(fault, Fault::After | Fault::DeadAfter | Fault::Torn);
            match all || (writes && telling && !probe) {
                true => always.push((at, fault)),
                false => sometimes.push((at, fault)),
            }
        }
    }
    sometimes.shuffle(random);
    always.extend(sometimes.into_iter().take(CHOSEN));
    always
}

async fn matrix(scene: Scene) {
    let seed = std::env::var("CENOTE_TEST_SEED")
        .map_or_else(|_| rand::rng().random(), |s| s.parse().expect("a number"));
    println!("CENOTE_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let base = folder();
    let base = base.path().join("w");
    set_up(&base, Options::default()).await;
    if scene == Scene::Start {
        unpublish(&base);
    }
    let fresh = || {
        let dir = folder();
        copy_folder(&base, dir.path());
        dir
    };
    let clean = fresh();
    let Run { answer, trace, engine } = run(scene, clean.path(), None).await;
    answer.expect("it works without a fault");
    drop(engine);
    println!("{scene:?}: {trace:#?}");
    judge(scene, clean.path(), &Ok(()), "no fault").await;

    let cases = cases(&trace, &mut random);
    println!("{scene:?}: {} operations, {} cases", trace.len(), cases.len());
    for (at, fault) in cases {
        let dir = fresh();
        let Run { answer, trace, engine } = run(scene, dir.path(), Some((at, fault))).await;
        let hit = trace.get(usize::try_from(at).expect("small")).cloned().unwrap_or_default();
        let case = format!("{scene:?}, {fault:?} at {at}: {hit}, seed {seed}");
        if fault == Fault::Torn && hit.starts_with("put _cenote/log") {
            // Only a store without atomic puts can do this; it must be noticed.
            let error = answer.expect_err("the process died");
            assert_eq!(error.code(), SqlState::TransactionResolutionUnknown, "{case}");
            let opened = open_with(dir.path(), Options::default()).await;
            assert_eq!(opened.map(drop).expect_err("torn").code(), SqlState::DataCorrupted);
            continue;
        }
        if let Err(e) = &answer {
            let unknown = e.code() == SqlState::TransactionResolutionUnknown;
            assert!(is_dead(fault) || !unknown, "one fault can be settled: {case}: {e:?}");
        }
        if let (Some(engine), false) = (&engine, is_dead(fault)) {
            // The same server goes on: what failed succeeds now.
            let there = if answer.is_ok() { scene.after() } else { scenes::BEFORE };
            assert_eq!(state(engine).await, there, "{case}");
        }
        drop(engine);
        judge(scene, dir.path(), &answer, &case).await;
    }
}

#[tokio::test]
async fn a_commit_over_two_tables_and_a_model_is_whole_at_every_fault() {
    matrix(Scene::Commit).await;
}

#[tokio::test]
async fn create_table_as_is_whole_at_every_fault() {
    matrix(Scene::CreateTableAs).await;
}

#[tokio::test]
async fn copy_is_whole_at_every_fault() {
    matrix(Scene::Copy).await;
}

#[tokio::test]
async fn a_checkpoint_changes_nothing_at_every_fault() {
    matrix(Scene::Checkpoint).await;
}

#[tokio::test]
async fn a_start_publishes_or_fails_at_every_fault() {
    matrix(Scene::Start).await;
}
