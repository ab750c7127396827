//! Tests whether a store lets exactly one of several writers have a new key: rule 9.

use crate::error::{Error, Result};
use crate::sqlstate::SqlState;
use futures::future::join_all;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt, PutMode};

/// How many writers race for the key.
const WRITERS: u8 = 4;

/// Lets several writers race for a key below `folder`, and removes it.
///
/// # Errors
/// 55000 if the store let more than one of them, or none, have it; or what writing answers.
pub async fn put_if_absent_test(store: &dyn ObjectStore, folder: &Path) -> Result<()> {
    let key = folder.clone().join(crate::catalog::random_id());
    let race = (0..WRITERS).map(|writer| {
        let key = key.clone();
        async move {
            let put = store.put_opts(&key, vec![writer].into(), PutMode::Create.into()).await;
            (writer, put)
        }
    });
    let mut winners = Vec::new();
    for (writer, put) in join_all(race).await {
        match put {
            Ok(_) => winners.push(writer),
            Err(object_store::Error::AlreadyExists { .. }) => {}
            Err(other) => return Err(other.into()),
        }
    }
    let content = store.get(&key).await?.bytes().await?;
    store.delete(&key).await?;
    if winners.len() == 1 && content[..] == winners[..] {
        return Ok(());
    }
    Err(Error::new(
        SqlState::ObjectNotInPrerequisiteState,
        "this storage does not keep two writers from the same file",
    )
    .detail(format!("{} of {WRITERS} writers created one new file.", winners.len()))
    .hint("Use a local disk; some network file systems do not support what transactions need."))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::{DurableStore, OsDisk};
    use std::sync::Arc;

    #[tokio::test]
    async fn a_local_folder_passes_and_is_left_empty() {
        let dir = tempfile::tempdir().expect("temp dir");
        let store =
            DurableStore::open(dir.path(), false, Arc::new(OsDisk)).expect("a folder opens");
        put_if_absent_test(&store, &Path::from("_cenote/probe")).await.expect("passes");
        let left = store.list_with_delimiter(Some(&Path::from("_cenote/probe"))).await;
        assert!(left.expect("lists").objects.is_empty());
    }
}
