//! Faults at every store operation, and power cuts at every call to the disk, of a commit over two
//! tables: all or nothing, nothing acknowledged is lost, and the Delta logs agree with the records.

use super::*;
use crate::sqlstate::SqlState;
use crate::store::{Fault, FaultStore, TraceDisk};

struct Scene {
    dir: tempfile::TempDir,
    warehouse: Arc<Warehouse>,
    faults: Arc<FaultStore>,
    a: Table,
    b: Table,
}

/// Two tables: a holds a1, b holds b1.
async fn scene() -> Scene {
    let dir = folder();
    let (warehouse, faults) = held(dir.path()).await;
    let (a, b) = (create(&warehouse, "a").await, create(&warehouse, "b").await);
    write(&warehouse, &a, insert("a1")).await.expect("commits");
    write(&warehouse, &b, insert("b1")).await.expect("commits");
    files(&warehouse, &a).await;
    files(&warehouse, &b).await;
    Scene { dir, warehouse, faults, a, b }
}

/// Moves a1 out of a, b2 into b, and creates c.
async fn work(warehouse: &Arc<Warehouse>, a: &Table, b: &Table) -> Result<Committed, Error> {
    let txn = warehouse.begin("ada").await?;
    txn.change(&a.id, change("DELETE", vec![remove("a1")], reading("a")))?;
    txn.change(&b.id, insert("b2"))?;
    txn.create_table(table("c"))?;
    commit(txn).await
}

/// Looks at the folder with a server of its own: true if the commit is there, false if nothing of it.
async fn outcome(root: &FsPath, a: &Table, b: &Table) -> bool {
    let warehouse = open(root).await;
    let (in_a, in_b) = (files(&warehouse, a).await, files(&warehouse, b).await);
    let snapshot = warehouse.snapshot().await.expect("snapshot");
    let c = snapshot.catalog().relation(&QualifiedName::new("public", "c"));
    let there = match in_a.contains("a1") {
        true => {
            assert_eq!((in_a, in_b), (set(&["a1"]), set(&["b1"])));
            assert!(c.is_none());
            assert_eq!(published(root, a), (2, set(&["a1"])));
            assert_eq!(published(root, b), (2, set(&["b1"])));
            false
        }
        false => {
            assert_eq!((in_a, in_b), (set(&[]), set(&["b1", "b2"])));
            assert!(c.is_some());
            assert_eq!(published(root, a), (3, set(&[])));
            assert_eq!(published(root, b), (3, set(&["b1", "b2"])));
            true
        }
    };
    // The warehouse goes on, whatever happened.
    write(&warehouse, a, insert("later")).await.expect("commits");
    there
}

#[tokio::test]
async fn a_commit_is_all_or_nothing_at_every_fault() {
    let operations = {
        let scene = scene().await;
        scene.faults.arm(None);
        work(&scene.warehouse, &scene.a, &scene.b).await.expect("commits");
        println!("{:#?}", scene.faults.trace());
        scene.faults.operations()
    };
    assert!(operations >= 8, "{operations}");
    for at in 0..operations {
        for fault in Fault::ALL {
            let scene = scene().await;
            scene.faults.arm(Some((at, fault)));
            let answer = work(&scene.warehouse, &scene.a, &scene.b).await;
            let trace = scene.faults.trace();
            let hit = trace.get(usize::try_from(at).expect("small")).cloned().unwrap_or_default();
            let case = format!("{fault:?} at {at}: {hit}");
            scene.faults.arm(None);
            if fault == Fault::Torn && hit.starts_with("put _cenote/log") {
                // Only a store without atomic puts can do this; it must be noticed.
                let error = answer.map(|_| ()).expect_err("the process died");
                assert_eq!(error.code(), SqlState::TransactionResolutionUnknown, "{case}");
                let opened = Warehouse::open(scene.dir.path(), options()).await;
                let error = opened.map(|_| ()).expect_err("torn");
                assert_eq!(error.code(), SqlState::DataCorrupted, "{case}");
                continue;
            }
            let there = outcome(scene.dir.path(), &scene.a, &scene.b).await;
            match answer {
                Ok(done) => {
                    assert!(there, "acknowledged but lost: {case}");
                    let alive = !matches!(fault, Fault::Before | Fault::After);
                    assert!(done.warnings.is_empty() || alive, "one fault is no trouble: {case}");
                }
                Err(e) if e.code() == SqlState::TransactionResolutionUnknown => {
                    let dead = !matches!(fault, Fault::Before | Fault::After);
                    assert!(dead, "one fault can be settled: {case}");
                }
                Err(e) => assert!(!there, "refused with {e:?} but there: {case}"),
            }
        }
    }
}

#[tokio::test]
async fn a_server_goes_on_after_a_single_fault() {
    for at in 0..12 {
        for fault in [Fault::Before, Fault::After] {
            let scene = scene().await;
            scene.faults.arm(Some((at, fault)));
            let first = work(&scene.warehouse, &scene.a, &scene.b).await;
            scene.faults.arm(None);
            if first.is_err() {
                work(&scene.warehouse, &scene.a, &scene.b).await.expect("commits at last");
            }
            write(&scene.warehouse, &scene.b, insert("b3")).await.expect("commits");
            assert_eq!(files(&scene.warehouse, &scene.b).await, set(&["b1", "b2", "b3"]));
            let seen = published(scene.dir.path(), &scene.b).1;
            assert_eq!(seen, set(&["b1", "b2", "b3"]), "{fault:?} at {at}");
        }
    }
}

#[tokio::test]
async fn a_power_cut_loses_nothing_that_was_acknowledged() {
    let dir = folder();
    let base = dir.path().canonicalize().expect("path");
    let disk = Arc::new(TraceDisk::new(&base));
    let traced = Options { disk: disk.clone(), ..options() };
    let warehouse = Warehouse::open(&base.join("w"), traced).await.expect("opens");
    let (a, b) = (create(&warehouse, "a").await, create(&warehouse, "b").await);
    write(&warehouse, &a, insert("a1")).await.expect("commits");
    write(&warehouse, &b, insert("b1")).await.expect("commits");
    let before = disk.calls();
    work(&warehouse, &a, &b).await.expect("commits");
    let acknowledged = disk.calls();
    println!("{before} calls before, {acknowledged} when the commit was acknowledged");
    let mut seen = BTreeSet::new();
    for cut in before..=acknowledged {
        let image = folder();
        disk.power_cut(cut, image.path()).expect("image");
        let there = outcome(&image.path().join("w"), &a, &b).await;
        assert!(there || cut < acknowledged, "lost by a cut at {cut}");
        seen.insert(there);
    }
    assert_eq!(seen.len(), 2, "the cuts came both before and after the commit point");
    for cut in (0..before).step_by(7) {
        let image = folder();
        disk.power_cut(cut, image.path()).expect("image");
        open(&image.path().join("w")).await;
    }
}

#[tokio::test]
async fn a_failed_fsync_is_08007_or_a_refusal_and_then_all_writing_ends() {
    for nth in 0..3 {
        let dir = folder();
        let base = dir.path().canonicalize().expect("path");
        let disk = Arc::new(TraceDisk::new(&base));
        let traced = Options { disk: disk.clone(), ..options() };
        let warehouse = Warehouse::open(&base, traced).await.expect("opens");
        let a = create(&warehouse, "a").await;
        // The syncs of a commit: the record's content, its folder, the published file …
        disk.fail_sync_after(nth);
        let answer = write(&warehouse, &a, insert("1")).await;
        let code = answer.as_ref().map(|_| SqlState::Warning).unwrap_or_else(Error::code);
        match nth {
            0 => assert_eq!(code, SqlState::IoError, "the record has no name yet"),
            1 => assert_eq!(code, SqlState::TransactionResolutionUnknown, "it has one"),
            _ => assert_eq!(answer.expect("the record is durable").warnings.len(), 1),
        }
        // A record that has a name but may not be durable is not answered from: not even reading.
        let error = match warehouse.begin("ada").await {
            Err(error) => error,
            Ok(txn) => {
                assert_ne!(nth, 1);
                txn.change(&a.id, insert("2")).expect("changes");
                commit(txn).await.expect_err("no more")
            }
        };
        assert!(error.message().contains("writes no more"), "{error:?}");
        drop(warehouse);
        let warehouse = open(&base).await;
        let expected = if nth == 0 { set(&[]) } else { set(&["1"]) };
        assert_eq!(files(&warehouse, &a).await, expected);
    }
}
