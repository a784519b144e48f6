//! Work on threads where it may block, and work that goes on when whoever asked for it goes away.

use crate::error::{Error, Result};

/// Does what blocks on a thread of its own.
pub(crate) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T> + Send + 'static,
) -> Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(Error::internal)?
}

/// Does `work` to its end, whoever stops waiting for it.
pub(crate) async fn to_the_end<T: Send + 'static>(
    work: impl Future<Output = Result<T>> + Send + 'static,
) -> Result<T> {
    let runtime = tokio::runtime::Handle::current();
    blocking(move || runtime.block_on(work)).await
}
