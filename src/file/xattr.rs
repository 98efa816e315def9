//! Extended attributes.

use crate::hooks::*;
use crate::mem::Buffer;
use core::ffi::CStr;

/// XATTR_SIZE_MAX (xattr(7)).
const LONGEST: usize = 65536;

/// Shows the value of an attribute of an open file to `look`.
pub fn show(hooks: &Hooks, fd: i32, name: &CStr, look: &mut dyn FnMut(&[u8])) -> Result<(), Errno> {
    let mut few = [0u8; 512];
    let mut value;
    let shown = match hooks.fgetxattr(fd, name, &mut few) {
        Err(e) if e.is(ERANGE) => {
            value = Buffer::zeroed(LONGEST)?;
            let len = hooks.fgetxattr(fd, name, value.bytes_mut())?;
            value.bytes().get(..len)
        }
        len => few.get(..len?),
    };
    look(shown.ok_or(Errno::INTERNAL)?);
    Ok(())
}

/// Does this error of fsetxattr say that the file cannot have this attribute here?
pub fn is_refused(error: Errno) -> bool {
    error.unsupported() || error.is_one_of(&[EPERM, EACCES, ENOSPC, EDQUOT, E2BIG])
}

/// Copies what belongs to the content and to the place of a file: the user's attributes but for `own`, and the labels of SELinux and
/// SMACK. Never what the content has to earn anew: capabilities, ima, evm. False: one of them was refused.
pub fn copy(hooks: &Hooks, from: i32, to: i32, own: &CStr) -> Result<bool, Errno> {
    let mut names = Buffer::zeroed(LONGEST)?;
    match hooks.flistxattr(from, names.bytes_mut()) {
        Ok(len) => names.truncate(len),
        Err(e) if e.unsupported() => return Ok(true),
        Err(e) => return Err(e),
    }
    let mut kept = true;
    for name in names.bytes().split_inclusive(|&byte| byte == 0) {
        let Ok(name) = CStr::from_bytes_with_nul(name) else { continue };
        let is_label = |prefix: &[u8]| name.to_bytes().starts_with(prefix);
        if name == own || ![&b"user."[..], b"security.selinux", b"security.SMACK64"].into_iter().any(is_label) {
            continue;
        }
        let mut stored = Ok(());
        let copied = match show(hooks, from, name, &mut |value| stored = hooks.fsetxattr(to, name, value)) {
            // Removed meanwhile.
            Err(e) if e.is(ENODATA) => continue,
            shown => shown.and(stored),
        };
        match copied {
            Ok(()) => {}
            Err(e) if is_refused(e) => kept = false,
            Err(e) => return Err(e),
        }
    }
    Ok(kept)
}
