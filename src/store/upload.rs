//! A multipart upload into one scratch file: large Parquet files and artefacts.

use super::durable::{Scratch, blocking};
use async_trait::async_trait;
use object_store::{MultipartUpload, PutPayload, PutResult, Result, UploadPart};
use std::sync::Arc;

/// Parts are written at their offsets as they come; the file gets its name at the end.
#[derive(Debug)]
pub(super) struct DurableUpload {
    scratch: Arc<Scratch>,
    offset: u64,
    open: bool,
}

impl DurableUpload {
    pub(super) fn new(scratch: Scratch) -> Self {
        Self { scratch: Arc::new(scratch), offset: 0, open: true }
    }
}

#[async_trait]
impl MultipartUpload for DurableUpload {
    fn put_part(&mut self, data: PutPayload) -> UploadPart {
        let offset = self.offset;
        self.offset += data.content_length() as u64;
        let scratch = self.scratch.clone();
        Box::pin(blocking(move || scratch.write(offset, &data)))
    }

    async fn complete(&mut self) -> Result<PutResult> {
        self.open = false;
        let scratch = self.scratch.clone();
        blocking(move || scratch.finish()).await?;
        Ok(PutResult { e_tag: None, version: None })
    }

    async fn abort(&mut self) -> Result<()> {
        self.open = false;
        self.scratch.discard();
        Ok(())
    }
}

impl Drop for DurableUpload {
    fn drop(&mut self) {
        if self.open {
            self.scratch.discard();
        }
    }
}
