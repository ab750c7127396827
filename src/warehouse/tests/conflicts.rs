//! Pairs of transactions that began on one snapshot: the winner commits first, then the loser tries.
//! What must come out stands here by hand, for both orders.

use super::*;
use crate::catalog::{CatalogOp, SchemaEntry, View};
use crate::sqlstate::SqlState;

type Act = Box<dyn Fn(&Transaction, &Table)>;

fn on_table(change: impl Fn() -> TableChange + 'static) -> Act {
    Box::new(move |txn, table| txn.change(&table.id, change()).expect("changes"))
}

fn op(make: impl Fn(&Table) -> CatalogOp + 'static) -> Act {
    Box::new(move |txn, table| txn.apply(make(table)).expect("applies"))
}

fn alter(table: &Table) -> TableChange {
    let mut with_comment = table.clone();
    with_comment.comment = Some("changed".into());
    let metadata = crate::delta::schema::metadata_for(&with_comment, 0).expect("metadata");
    let actions = vec![Action::MetaData(metadata)];
    TableChange { exclusive: true, ..change("SET TBLPROPERTIES", actions, ReadSet::Nothing) }
}

fn act(name: &str) -> Act {
    match name {
        // The table holds the files a1, a2 and b1.
        "insert" => on_table(|| insert(&format!("z{}", random_id()))),
        "delete a1" => on_table(|| change("DELETE", vec![remove("a1")], reading("a1"))),
        "delete b1" => on_table(|| change("DELETE", vec![remove("b1")], reading("b1"))),
        "update a*, none" => on_table(|| change("UPDATE", vec![], reading("a"))),
        "update all a" => on_table(|| {
            let actions = vec![remove("a1"), remove("a2"), add(&format!("a{}", random_id()))];
            change("UPDATE", actions, reading("a"))
        }),
        // Two of these insert the same new keys: only the predicates tell.
        "merge new c" => {
            on_table(|| change("MERGE", vec![add(&format!("c{}", random_id()))], reading("c")))
        }
        "insert a" => on_table(|| insert(&format!("a{}", random_id()))),
        "compact a" => on_table(|| {
            let packed = moved(add(&format!("a{}", random_id())));
            change(
                "OPTIMIZE",
                vec![moved(remove("a1")), moved(remove("a2")), packed],
                ReadSet::Nothing,
            )
        }),
        // Reads all files of a, changes none: what a MERGE does that only inserts.
        "merge a" => {
            on_table(|| change("MERGE", vec![add(&format!("y{}", random_id()))], reading("a")))
        }
        "delete all" => on_table(|| {
            let all = vec![remove("a1"), remove("a2"), remove("b1")];
            change("DELETE", all, ReadSet::Everything)
        }),
        "overwrite" => on_table(|| TableChange {
            exclusive: true,
            ..change(
                "WRITE",
                vec![remove("a1"), remove("a2"), remove("b1"), add(&random_id())],
                ReadSet::Nothing,
            )
        }),
        // The state that the table had before b1 came.
        "restore" => on_table(|| TableChange {
            exclusive: true,
            ..change("RESTORE", vec![remove("b1")], ReadSet::Nothing)
        }),
        "load by app" => on_table(|| {
            let txn = crate::delta::actions::Txn {
                app_id: "loader".into(),
                version: 1,
                last_updated: None,
            };
            let actions = vec![add(&format!("z{}", random_id())), Action::Txn(txn)];
            change("WRITE", actions, ReadSet::Nothing)
        }),
        "truncate" => on_table(|| TableChange {
            exclusive: true,
            ..change(
                "TRUNCATE",
                vec![remove("a1"), remove("a2"), remove("b1")],
                ReadSet::Everything,
            )
        }),
        "alter" => Box::new(|txn, table| {
            txn.apply(CatalogOp::ReplaceTable { table: Box::new(table.clone()) }).expect("applies");
            txn.change(&table.id, alter(table)).expect("changes");
        }),
        // Metadata without an operation on the catalog: what another program may write.
        "metadata" => Box::new(|txn, table| {
            let metadata = TableChange { exclusive: false, ..alter(table) };
            txn.change(&table.id, metadata).expect("changes");
        }),
        "drop" => op(|t| CatalogOp::DropTable { id: t.id.clone() }),
        "create x" => Box::new(|txn, _| drop(txn.create_table(table("x")).expect("a new table"))),
        "create y" => Box::new(|txn, _| drop(txn.create_table(table("y")).expect("a new table"))),
        "view on it" => op(|t| CatalogOp::CreateView {
            view: Box::new(View {
                oid: 0,
                name: QualifiedName::new("public", "v"),
                query: "select * from t".into(),
                search_path: vec![],
                columns: vec![],
                renamed: false,
                depends_on: vec![crate::catalog::Dependency::Table(t.id.clone())],
                owner: "ada".into(),
            }),
        }),
        "drop schema s" => op(|_| CatalogOp::DropSchema { name: "s".into() }),
        "create s.z" => Box::new(|txn, _| {
            let mut z = table("z");
            z.name.schema = "s".into();
            txn.create_table(z).expect("a new table");
        }),
        "hold, insert" => Box::new(|txn, table| {
            txn.change(&table.id, insert(&random_id())).expect("changes");
            txn.hold_table(&table.id);
        }),
        "load file" => Box::new(|txn, table| {
            txn.conflict_key("file:s3://b/f.csv");
            txn.change(&table.id, insert(&random_id())).expect("changes");
        }),
        other => panic!("unknown act {other}"),
    }
}

/// Lets `winner` commit first; the SQLSTATE that `loser` ends in.
async fn pair(winner: &str, loser: &str) -> SqlState {
    let dir = folder();
    let warehouse = open(dir.path()).await;
    let txn = begin(&warehouse).await;
    let schema = SchemaEntry { name: "s".into(), oid: 0, owner: "ada".into() };
    txn.apply(CatalogOp::CreateSchema { schema }).expect("schema");
    commit(txn).await.expect("commits");
    let t = create(&warehouse, "t").await;
    let actions = vec![add("a1"), add("a2"), add("b1")];
    write(&warehouse, &t, change("WRITE", actions, ReadSet::Nothing)).await.expect("commits");
    files(&warehouse, &t).await;

    let (first, second) = (begin(&warehouse).await, begin(&warehouse).await);
    act(winner)(&first, &t);
    act(loser)(&second, &t);
    commit(first).await.expect("the winner commits");
    let before = warehouse.snapshot().await.expect("snapshot");
    match commit(second).await {
        Ok(done) => {
            assert_eq!(done.warnings, []);
            if let Some(t) = done.snapshot.catalog().table(&t.id) {
                let seen = files(&warehouse, t).await;
                assert_eq!(published(dir.path(), t).1, seen, "{winner} then {loser}");
            }
            SqlState::SuccessfulCompletion
        }
        Err(error) => {
            let after = warehouse.snapshot().await.expect("snapshot");
            assert_eq!(after.seq(), before.seq(), "a loser leaves no record");
            if error.code() == SqlState::SerializationFailure {
                let detail = error.get_detail().expect("a detail");
                assert!(detail.contains("record 5"), "it names the winner: {detail}");
            }
            error.code()
        }
    }
}

#[tokio::test]
async fn pairs_end_as_they_should_in_both_orders() {
    use SqlState::{
        DuplicateTable as TAKEN, SerializationFailure as LOST, SuccessfulCompletion as OK,
    };
    // One, other: what becomes of the other if one wins, and of one if the other wins.
    let table = [
        ("insert", "insert", OK, OK),
        ("insert", "delete a1", OK, OK),
        ("insert a", "update all a", LOST, OK),
        ("insert a", "delete b1", OK, OK),
        ("delete a1", "delete a1", LOST, LOST),
        ("delete a1", "delete b1", OK, OK),
        ("delete a1", "update all a", LOST, LOST),
        ("delete b1", "update all a", OK, OK),
        ("merge new c", "merge new c", LOST, LOST),
        ("merge new c", "delete a1", OK, OK),
        ("compact a", "compact a", LOST, LOST),
        ("compact a", "delete a1", LOST, LOST),
        ("compact a", "delete b1", OK, OK),
        ("compact a", "insert a", OK, OK),
        ("compact a", "truncate", LOST, LOST),
        ("compact a", "update all a", LOST, LOST),
        ("compact a", "merge a", OK, OK),
        ("compact a", "delete all", LOST, LOST),
        ("compact a", "overwrite", LOST, LOST),
        ("compact a", "restore", LOST, OK),
        ("delete a1", "merge a", LOST, OK),
        ("delete b1", "merge a", OK, OK),
        ("delete all", "delete all", LOST, LOST),
        ("insert", "delete all", LOST, OK),
        ("insert", "overwrite", LOST, OK),
        ("insert", "restore", LOST, OK),
        ("overwrite", "delete a1", LOST, LOST),
        ("load by app", "load by app", LOST, LOST),
        ("load by app", "insert", OK, OK),
        ("truncate", "insert", OK, LOST), // rows that TRUNCATE did not see must not survive it unseen
        ("truncate", "truncate", LOST, LOST),
        ("truncate", "delete a1", LOST, LOST),
        ("alter", "insert", LOST, LOST),
        ("alter", "delete a1", LOST, LOST),
        ("alter", "alter", LOST, LOST),
        ("metadata", "insert", LOST, LOST),
        ("metadata", "delete a1", LOST, LOST),
        ("drop", "insert", LOST, OK),
        ("drop", "delete a1", LOST, OK),
        ("drop", "alter", LOST, LOST),
        ("drop", "drop", LOST, LOST),
        ("drop", "view on it", LOST, LOST),
        ("insert", "view on it", OK, OK),
        ("create x", "create x", TAKEN, TAKEN),
        ("create x", "create y", OK, OK),
        ("drop schema s", "create s.z", LOST, LOST),
        ("drop schema s", "create x", OK, OK),
        ("hold, insert", "insert", OK, LOST),
        ("load file", "load file", LOST, LOST),
        ("load file", "insert", OK, OK),
    ];
    for (one, other, other_ends, one_ends) in table {
        assert_eq!(pair(one, other).await, other_ends, "{one} wins over {other}");
        assert_eq!(pair(other, one).await, one_ends, "{other} wins over {one}");
    }
}

#[tokio::test]
async fn what_matched_nothing_still_counts_if_the_transaction_writes() {
    let dir = folder();
    let warehouse = open(dir.path()).await;
    let (t, u) = (create(&warehouse, "t").await, create(&warehouse, "u").await);
    for (also_writes, ends) in [(false, true), (true, false)] {
        let txn = begin(&warehouse).await;
        act("update a*, none")(&txn, &t);
        if also_writes {
            txn.change(&u.id, insert("u1")).expect("changes");
        }
        write(&warehouse, &t, insert(&format!("a{}", random_id()))).await.expect("commits");
        assert_eq!(commit(txn).await.is_ok(), ends);
    }
}

#[tokio::test]
async fn serializable_reads_catch_write_skew() {
    let dir = folder();
    let warehouse = open(dir.path()).await;
    let (t, u) = (create(&warehouse, "t").await, create(&warehouse, "u").await);
    for (serializable, ends) in [(false, true), (true, false)] {
        let (one, two) = (begin(&warehouse).await, begin(&warehouse).await);
        for (txn, reads, writes) in [(&one, &t, &u), (&two, &u, &t)] {
            if serializable {
                txn.read_rows(&reads.id, ReadSet::Everything);
            }
            txn.change(&writes.id, insert(&random_id())).expect("changes");
        }
        commit(one).await.expect("commits");
        assert_eq!(commit(two).await.is_ok(), ends);
    }
}

#[tokio::test]
async fn a_retriable_loser_of_a_name_hears_40001() {
    let dir = folder();
    let warehouse = open(dir.path()).await;
    let (one, two) = (begin(&warehouse).await, begin(&warehouse).await);
    act("create x")(&one, &table("t"));
    act("create x")(&two, &table("t"));
    commit(one).await.expect("commits");
    let info = CommitInfo { retriable: true, ..CommitInfo::default() };
    let error = two.commit(info).await.expect_err("loses");
    assert_eq!(error.code(), SqlState::SerializationFailure);
    assert!(error.get_detail().is_some_and(|d| d.contains("public.x")), "{error:?}");
}

#[tokio::test]
async fn rows_moved_by_compaction_and_then_deleted_are_not_missed() {
    let dir = folder();
    let warehouse = open(dir.path()).await;
    let t = create(&warehouse, "t").await;
    write(&warehouse, &t, insert("a1")).await.expect("commits");
    files(&warehouse, &t).await;
    let merge = begin(&warehouse).await;
    merge.change(&t.id, change("MERGE", vec![add("new")], reading("a"))).expect("changes");
    let moving = vec![moved(remove("a1")), moved(add("packed"))];
    write(&warehouse, &t, change("OPTIMIZE", moving, ReadSet::Nothing)).await.expect("commits");
    write(&warehouse, &t, change("DELETE", vec![remove("packed")], reading("packed")))
        .await
        .expect("commits");
    let error = commit(merge).await.expect_err("what it read is gone");
    assert_eq!(error.code(), SqlState::SerializationFailure);
}
