//! Decides whether a transaction may commit after others that committed since it began: rule 5.
//!
//! Blind appends meet nothing but changes of the table itself. A removed file must still be live.
//! Rows that came or went since are checked against what UPDATE, DELETE and MERGE read, also when
//! these matched nothing, since otherwise two MERGEs of the same new keys would both insert them.

use super::change::{Net, TableChange};
use super::fold::Body;
use super::keys;
use super::record::TxnRecord;
use crate::catalog::TableId;
use crate::delta::TableState;
use crate::delta::actions::{Action, Add};
use crate::delta::predicate::Columns;
use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A transaction as the check sees it.
pub(super) struct Mine<'a> {
    pub(super) keys: &'a [String],
    pub(super) tables: BTreeMap<TableId, TableAccess<'a>>,
}

/// What it did to one table, or read of it.
#[derive(Default)]
pub(super) struct TableAccess<'a> {
    pub(super) changes: Vec<&'a TableChange>,
    pub(super) net: Option<&'a Net>,
    /// Read without being changed, by a transaction that validates its reads.
    pub(super) reads: Vec<&'a super::change::ReadSet>,
    /// Nobody else may have touched it.
    pub(super) exclusive: bool,
    /// The table as the transaction began, if it is at hand.
    pub(super) base: Option<Arc<TableState>>,
    /// Its columns, which the predicates are about.
    pub(super) columns: Option<Columns>,
}

/// What a winner did to a table.
struct Theirs<'a> {
    added: Vec<&'a Add>,
    removed: Vec<(&'a str, bool)>,
    alters: bool,
    apps: Vec<&'a str>,
}

impl<'a> Theirs<'a> {
    fn of(bodies: &'a [Body]) -> Result<Theirs<'a>> {
        let mut theirs = Theirs { added: vec![], removed: vec![], alters: false, apps: vec![] };
        for body in bodies {
            for action in body.actions()? {
                match action {
                    Action::Add(add) => theirs.added.push(add),
                    Action::Remove(r) => theirs.removed.push((&r.path, r.data_change)),
                    Action::MetaData(_) | Action::Protocol(_) => theirs.alters = true,
                    Action::Txn(txn) => theirs.apps.push(&txn.app_id),
                    Action::CommitInfo(_) => {}
                }
            }
        }
        Ok(theirs)
    }

    fn touches(&self) -> bool {
        self.alters || !self.added.is_empty() || !self.removed.is_empty()
    }
}

/// Checks a transaction against one that committed before it; says what they conflict on.
///
/// # Errors
/// 40001 with the object and the winner in the detail; XX001 if the winner's body cannot be read.
pub(super) fn check(
    mine: &Mine<'_>,
    winner: &TxnRecord,
    seq: u64,
    name: &dyn Fn(&str) -> String,
) -> Result<()> {
    if let Some(thing) = keys::clash(mine.keys, &winner.keys) {
        let what = match thing.strip_prefix("table:") {
            Some(id) => format!("table {}", name(id)),
            None => keys::words(thing),
        };
        return Err(conflict(&what, "was changed", winner, seq));
    }
    if let Some(id) = keys::renumbered(mine.keys, &winner.ops) {
        return Err(conflict(&format!("model {id}"), "got another version", winner, seq));
    }
    for (id, access) in &mine.tables {
        if !access.changes.is_empty() && winner.keys.contains(&keys::write(&keys::table(id))) {
            return Err(conflict(&format!("table {}", name(id)), "was changed", winner, seq));
        }
        let Some(commits) = winner.tables.get(id) else { continue };
        let bodies: Vec<Body> = commits.iter().map(|c| Body::new(c.body.clone())).collect();
        if let Some(reason) = access.meets(&Theirs::of(&bodies)?) {
            return Err(conflict(&format!("table {}", name(id)), reason, winner, seq));
        }
    }
    Ok(())
}

impl TableAccess<'_> {
    /// Why a winner's commit to the same table is in the way.
    fn meets(&self, theirs: &Theirs<'_>) -> Option<&'static str> {
        let exclusive = self.exclusive || self.changes.iter().any(|c| c.exclusive);
        let alters = self.net.is_some_and(Net::alters);
        if (exclusive || alters) && theirs.touches() {
            return Some("was written to");
        }
        if theirs.alters && !self.changes.is_empty() {
            return Some("was altered");
        }
        if let Some(net) = self.net {
            let gone = |path: &str| theirs.removed.iter().any(|(removed, _)| *removed == path);
            if net.removed().any(gone) {
                return Some("had rows changed that this transaction changes too");
            }
            if net.apps().any(|app| theirs.apps.contains(&app)) {
                return Some("was written to by the same application");
            }
        }
        self.reads_meet(theirs).then_some("had rows changed that this transaction read")
    }

    fn reads_meet(&self, theirs: &Theirs<'_>) -> bool {
        let reads: Vec<_> =
            self.changes.iter().map(|c| &c.reads).chain(self.reads.iter().copied()).collect();
        let covered = |add: &Add| reads.iter().any(|r| r.covers(add, self.columns.as_ref()));
        if theirs.added.iter().any(|add| add.data_change && covered(add)) {
            return true;
        }
        let reads_any = reads.iter().any(|r| !matches!(r, super::change::ReadSet::Nothing));
        let mut gone = theirs.removed.iter().filter(|(_, data_change)| *data_change);
        reads_any
            && gone.any(|(path, _)| match &self.base {
                // A file that came since may hold rows of the base that were moved into it.
                Some(base) => base.file(path).is_none_or(|add| covered(add)),
                None => true,
            })
    }
}

fn conflict(what: &str, happened: &str, winner: &TxnRecord, seq: u64) -> Error {
    Error::new(
        SqlState::SerializationFailure,
        "could not serialize access due to concurrent update",
    )
    .detail(format!(
        "{} {happened} by transaction {} of {} (record {seq}) since this transaction began.",
        sentence(what),
        winner.id,
        winner.role
    ))
    .hint("Run the transaction again.")
}

fn sentence(what: &str) -> String {
    let mut chars = what.chars();
    chars.next().map_or_else(String::new, |first| first.to_uppercase().collect::<String>())
        + chars.as_str()
}
