//! Each scene with the power cut at calls to the disk: what was not fsynced is lost, or stays by chance.
//!
//! Some cuts are made: `CENOTE_FAULTS=all` makes every one, and `CENOTE_TEST_SEED=n` the same again.

use super::scenes::{Scene, judge, set_up};
use super::*;
use crate::sqlstate::SqlState;
use crate::store::{Disk, TraceDisk};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};
use std::path::PathBuf;

/// So many cuts are made in each scene, beside the one right after the answer.
const CUTS: usize = 8;

/// Takes the last commit out of the `_delta_log` of each table, durably.
fn unpublish(root: &Path, disk: &TraceDisk) {
    for entry in std::fs::read_dir(root.join("public")).expect("tables") {
        let log: PathBuf = entry.expect("a table").path().join("_delta_log");
        disk.remove(&log.join("00000000000000000002.json")).expect("removed");
        disk.sync_dir(&log).expect("durable");
    }
}

async fn cuts(scene: Scene) {
    let seed = std::env::var("CENOTE_TEST_SEED")
        .map_or_else(|_| rand::rng().random(), |s| s.parse().expect("a number"));
    println!("CENOTE_TEST_SEED={seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let dir = folder();
    let base = dir.path().canonicalize().expect("a path");
    let root = base.join("w");
    let disk = Arc::new(TraceDisk::new(&base));
    let traced = || Options { disk: disk.clone(), ..Options::default() };
    set_up(&root, traced()).await;
    if scene == Scene::Start {
        unpublish(&root, &disk);
    }
    let mut before = disk.calls();
    let engine = open_with(&root, scene.options(traced())).await.expect("opens");
    if scene != Scene::Start {
        before = disk.calls();
    }
    scene.run(&engine).await.expect("it works");
    let acknowledged = disk.calls();
    drop(engine);
    println!("{scene:?}: calls {before} to {acknowledged}");
    assert!(acknowledged > before + 5, "the disk was used");

    let all = std::env::var("CENOTE_FAULTS").is_ok_and(|v| v == "all");
    let chosen: Vec<usize> = match all {
        true => (before..=acknowledged).collect(),
        false => (0..CUTS)
            .map(|_| random.random_range(before..acknowledged))
            .chain([acknowledged])
            .collect(),
    };
    let unknown = || Err(Error::new(SqlState::TransactionResolutionUnknown, "the power went"));
    for cut in chosen {
        let answer = if cut == acknowledged { Ok(()) } else { unknown() };
        for lucky in [0.0, 0.5] {
            let image = folder();
            let mut survives = || random.random_bool(lucky);
            disk.power_cut_with(cut, image.path(), &mut survives).expect("an image");
            let case = format!("{scene:?}, cut at {cut}, luck {lucky}, seed {seed}");
            judge(scene, &image.path().join("w"), &answer, &case).await;
        }
    }
}

#[tokio::test]
async fn a_commit_over_two_tables_and_a_model_outlives_a_power_cut() {
    cuts(Scene::Commit).await;
}

#[tokio::test]
async fn create_table_as_outlives_a_power_cut() {
    cuts(Scene::CreateTableAs).await;
}

#[tokio::test]
async fn copy_outlives_a_power_cut() {
    cuts(Scene::Copy).await;
}

#[tokio::test]
async fn a_checkpoint_outlives_a_power_cut() {
    cuts(Scene::Checkpoint).await;
}

#[tokio::test]
async fn a_start_outlives_a_power_cut() {
    cuts(Scene::Start).await;
}
