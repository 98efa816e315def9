//! What a Rust program may have before every call: a closure that sees it, and can make it fail. The C library has none; there
//! the hook table does that.

use crate::sys::Errno;

#[cfg(all(feature = "std", not(feature = "capi")))]
mod rust {
    use super::Errno;
    use std::sync::Arc;

    type Look = dyn Fn(u32) -> Result<(), Errno> + Send + Sync;

    /// Is asked before every call that an error may keep from being made.
    #[derive(Clone)]
    pub struct Observer(Option<Arc<Look>>);

    impl Observer {
        /// Nobody.
        pub const NONE: Observer = Observer(None);

        /// `look` gets STEADFAST_CALL_* of the call, and answers with the errno to fail it with.
        pub fn new(look: impl Fn(u32) -> Result<(), Errno> + Send + Sync + 'static) -> Observer {
            Observer(Some(Arc::new(look)))
        }

        /// The errno that this call is to fail with.
        pub fn check(&self, call: u32) -> Option<Errno> {
            self.0.as_ref().and_then(|look| look(call).err())
        }
    }
}

#[cfg(all(feature = "std", not(feature = "capi")))]
pub use rust::Observer;

/// Nobody looks.
#[cfg(not(all(feature = "std", not(feature = "capi"))))]
#[derive(Clone)]
pub struct Observer;

#[cfg(not(all(feature = "std", not(feature = "capi"))))]
impl Observer {
    /// Nobody.
    pub const NONE: Observer = Observer;

    /// No error.
    pub fn check(&self, _: u32) -> Option<Errno> {
        None
    }
}
