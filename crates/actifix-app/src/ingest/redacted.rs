//! The mark that redaction leaves.

use std::ops::Deref;

/// Something that went through redaction. Only the pipeline's redact step can make one, so that nothing
/// unredacted reaches a fingerprint, a log, a queue or the store: skipping the step does not compile.
#[derive(Clone, Debug, PartialEq)]
pub struct Redacted<T>(T);

impl<T> Redacted<T> {
    /// Marks `value`. Callers outside the redact step are a defect.
    pub(in crate::ingest) fn mark(value: T) -> Self {
        Self(value)
    }

    /// Marks without redacting, for the store's contract suite. Only `actifix-testkit` switches this on.
    #[cfg(feature = "test-support")]
    pub fn assume(value: T) -> Self {
        Self(value)
    }

    /// Turns what is inside into another shape of the same, still redacted, content.
    pub(in crate::ingest) fn map<U>(self, shape: impl FnOnce(T) -> U) -> Redacted<U> {
        Redacted(shape(self.0))
    }

    /// The same where there may be nothing to make of it.
    pub(in crate::ingest) fn and_then<U>(self, shape: impl FnOnce(T) -> Option<U>) -> Option<Redacted<U>> {
        shape(self.0).map(Redacted)
    }

    /// Takes it out.
    pub fn into_inner(self) -> T {
        self.0
    }
}

impl<T, U> Redacted<(T, U)> {
    /// Takes a pair apart of which only the first needs the mark.
    pub(in crate::ingest) fn split(self) -> (Redacted<T>, U) {
        (Redacted(self.0.0), self.0.1)
    }
}

impl<T> Deref for Redacted<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}
