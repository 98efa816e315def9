//! From the types of std to those of the floors below.

use super::error::{Error, Result};
use crate::hooks::{EINVAL, Errno};
use crate::status::*;
use std::ffi::CString;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::time::Duration;

/// A path for a call. One with a NUL in it is none.
pub fn c_path(path: &Path) -> core::result::Result<CString, Outcome> {
    let invalid = |_| Outcome::failed(Errno::of(EINVAL), STEADFAST_STEP_ARGUMENTS);
    CString::new(path.as_os_str().as_bytes()).map_err(invalid)
}

/// Milliseconds, rounded up; None: no limit.
pub fn timeout_ms(timeout: Option<Duration>) -> i64 {
    let Some(timeout) = timeout else { return -1 };
    i64::try_from(timeout.as_nanos().div_ceil(1_000_000)).unwrap_or(i64::MAX)
}

/// An error that says so below 0, whatever it came as.
pub fn done(called: core::result::Result<Outcome, Outcome>, path: &Path) -> Result<Outcome> {
    let outcome = called.unwrap_or_else(|outcome| outcome);
    if outcome.status < 0 { Err(Error::new(outcome, path)) } else { Ok(outcome) }
}
