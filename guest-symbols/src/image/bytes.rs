//! The bytes of a file, shared without copying.

use std::fmt;
use std::sync::Arc;

/// The bytes of a kernel image, in memory or mapped.
#[derive(Clone)]
pub struct ImageBytes(Arc<dyn AsRef<[u8]> + Send + Sync>);

impl ImageBytes {
    /// Takes a vector, or a mapping of a file.
    pub fn new(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self(Arc::new(bytes))
    }

    /// The bytes.
    #[must_use]
    pub fn as_slice(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

impl fmt::Debug for ImageBytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ImageBytes({} bytes)", self.as_slice().len())
    }
}
