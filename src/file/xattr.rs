//! Extended attributes.

use crate::hooks::*;
use crate::mem::Buffer;
use core::ffi::CStr;

/// XATTR_SIZE_MAX (xattr(7)).
const LONGEST: usize = 65536;

/// The value of an attribute of an open file.
pub fn read(hooks: &Hooks, fd: i32, name: &CStr) -> Result<Buffer, Errno> {
    let mut few = [0u8; 512];
    match hooks.fgetxattr(fd, name, &mut few) {
        Ok(len) => {
            let mut value = Buffer::new(len)?;
            value.append(few.get(..len).ok_or(Errno::INTERNAL)?);
            Ok(value)
        }
        Err(e) if e.is(ERANGE) => {
            let mut value = Buffer::zeroed(LONGEST)?;
            let len = hooks.fgetxattr(fd, name, value.bytes_mut())?;
            value.truncate(len);
            Ok(value)
        }
        Err(e) => Err(e),
    }
}

/// Does this error of fsetxattr say that the file cannot have this attribute here?
pub fn is_refused(error: Errno) -> bool {
    error.unsupported() || error.is_one_of(&[EPERM, EACCES, ENOSPC, EDQUOT, E2BIG])
}
