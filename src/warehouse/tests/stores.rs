//! Stores that do what they should not, and what becomes of a warehouse on them: rules 3 and 9.

use super::*;
use crate::sqlstate::SqlState;
use object_store::ObjectStoreExt;

/// What a store does that it should not.
#[derive(Debug, Clone, Copy)]
pub(super) enum Trick {
    /// Someone else writes version 1 of a table right before we do.
    Intrudes,
    /// Put-if-absent overwrites.
    Careless,
    /// Put-if-absent looks first and then writes, as some gateways do.
    Hurried,
    /// Put-if-absent says that it lost whenever it did not, as if an answer had been lost.
    Silent,
    /// The same for records of the log alone: a store that tried twice by itself.
    Repeats,
    /// Put-if-absent tells the losers that they lost, and keeps what they wrote.
    Treacherous,
}

/// A store that plays a trick.
#[derive(Debug)]
pub(super) struct Tricky {
    pub(super) inner: Arc<dyn object_store::ObjectStore>,
    pub(super) trick: Trick,
}

impl Tricky {
    async fn overwrite(
        &self,
        location: &object_store::path::Path,
        payload: object_store::PutPayload,
    ) -> object_store::Result<object_store::PutResult> {
        let overwrite = object_store::PutMode::Overwrite.into();
        self.inner.put_opts(location, payload, overwrite).await
    }
}

fn taken(location: &object_store::path::Path) -> object_store::Error {
    object_store::Error::AlreadyExists { path: location.to_string(), source: "it is taken".into() }
}

impl std::fmt::Display for Tricky {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Tricky")
    }
}

#[async_trait::async_trait]
impl object_store::ObjectStore for Tricky {
    async fn put_opts(
        &self,
        location: &object_store::path::Path,
        payload: object_store::PutPayload,
        opts: object_store::PutOptions,
    ) -> object_store::Result<object_store::PutResult> {
        match self.trick {
            Trick::Intrudes
                if location.as_ref().ends_with("_delta_log/00000000000000000001.json") =>
            {
                let body = "{\"commitInfo\":{}}\n".into();
                let _ = self.inner.put_opts(location, body, opts.clone()).await;
            }
            Trick::Intrudes => {}
            Trick::Careless => return self.overwrite(location, payload).await,
            Trick::Hurried => {
                if self.inner.head(location).await.is_ok() {
                    return Err(taken(location));
                }
                tokio::time::sleep(std::time::Duration::from_millis(20)).await;
                return self.overwrite(location, payload).await;
            }
            Trick::Repeats if !location.as_ref().starts_with("_cenote/log") => {}
            Trick::Silent | Trick::Repeats => {
                self.inner.put_opts(location, payload, opts).await?;
                return Err(taken(location));
            }
            Trick::Treacherous => {
                let put = self.inner.put_opts(location, payload.clone(), opts).await;
                if put.is_err() {
                    self.overwrite(location, payload).await?;
                }
                return put;
            }
        }
        self.inner.put_opts(location, payload, opts).await
    }

    async fn put_multipart_opts(
        &self,
        location: &object_store::path::Path,
        opts: object_store::PutMultipartOptions,
    ) -> object_store::Result<Box<dyn object_store::MultipartUpload>> {
        self.inner.put_multipart_opts(location, opts).await
    }

    async fn get_opts(
        &self,
        location: &object_store::path::Path,
        options: object_store::GetOptions,
    ) -> object_store::Result<object_store::GetResult> {
        self.inner.get_opts(location, options).await
    }

    fn delete_stream(
        &self,
        locations: futures::stream::BoxStream<
            'static,
            object_store::Result<object_store::path::Path>,
        >,
    ) -> futures::stream::BoxStream<'static, object_store::Result<object_store::path::Path>> {
        self.inner.delete_stream(locations)
    }

    fn list(
        &self,
        prefix: Option<&object_store::path::Path>,
    ) -> futures::stream::BoxStream<'static, object_store::Result<object_store::ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(
        &self,
        prefix: Option<&object_store::path::Path>,
    ) -> object_store::Result<object_store::ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(
        &self,
        from: &object_store::path::Path,
        to: &object_store::path::Path,
        options: object_store::CopyOptions,
    ) -> object_store::Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

fn playing(trick: Trick) -> Options {
    let wrap: WrapStore = Arc::new(move |inner| Arc::new(Tricky { inner, trick }));
    Options { wrap_store: Some(wrap), ..options() }
}

/// Rule 9: refused before anything is put there.
#[tokio::test]
async fn a_store_that_does_not_give_a_key_to_exactly_one_writer_is_refused() {
    for trick in [Trick::Careless, Trick::Hurried, Trick::Silent, Trick::Treacherous] {
        let dir = folder();
        let opened = Warehouse::open(dir.path(), playing(trick)).await.map(drop);
        let error = opened.expect_err("refused");
        assert_eq!(error.code(), SqlState::ObjectNotInPrerequisiteState, "{trick:?}");
        assert!(!dir.path().join("_cenote/log").exists(), "{trick:?}");
    }
}

/// Rule 9: a warehouse may have been copied to such a store since.
#[tokio::test]
async fn the_store_is_tested_at_every_start() {
    let dir = folder();
    create(&open(dir.path()).await, "a").await;
    let opened = Warehouse::open(dir.path(), playing(Trick::Hurried)).await.map(drop);
    let error = opened.expect_err("refused");
    assert_eq!(error.code(), SqlState::ObjectNotInPrerequisiteState);
    open(dir.path()).await;
}

/// Rule 3: a key that is taken may have been taken by our own put, of which the answer was lost.
#[tokio::test]
async fn an_own_record_is_known_again_and_commits_once() {
    let dir = folder();
    let warehouse = Warehouse::open(dir.path(), playing(Trick::Repeats)).await.expect("opens");
    let a = create(&warehouse, "a").await;
    let done = write(&warehouse, &a, insert("1")).await.expect("commits");
    assert_eq!(done.seq, 3, "it has one record");
    assert_eq!(files(&open(dir.path()).await, &a).await, set(&["1"]));
    assert_eq!(published(dir.path(), &a), (2, set(&["1"])));
}
