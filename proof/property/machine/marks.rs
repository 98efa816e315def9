//! The hooks about what a file carries beside its bytes: flocks, the mappings that keep them, and attributes.

use super::Lie;
use super::hooks::{User, answer, machine};
use core::ffi::{CStr, c_char, c_void};
use libc::*;
use steadfast::hooks::*;

/// Of a lock's record, and of a plain file.
const ATTRIBUTE: &CStr = c"user.steadfast";

pub(super) unsafe extern "C" fn map(user: User, fd: i32) -> i64 {
    const PAGE: u64 = 4096;
    let m = unsafe { machine(user) };
    let result = m.begin(STEADFAST_CALL_MAP).and_then(|()| {
        let mut kept = m.file_of(fd).map_err(|e| if e == EBADF { EBADF } else { ENODEV })?;
        if m.lie == Some(Lie::Map) {
            kept.1 = 0;
        }
        let address = m.maps.last_key_value().map_or(PAGE, |(last, _)| last + PAGE);
        m.maps.insert(address, kept);
        Ok(address as i64)
    });
    answer(result)
}

/// Whatever it answers, the mapping is gone; unless the process is.
pub(super) unsafe extern "C" fn unmap(user: User, address: u64) -> i32 {
    let m = unsafe { machine(user) };
    let begun = m.begin(STEADFAST_CALL_UNMAP);
    if m.lie == Some(Lie::Unmap) || begun.is_err() && m.fault.is_some_and(|fault| fault.for_ever) {
        return answer(begun.map(|()| 0)) as i32;
    }
    let Some((inode, description)) = m.maps.remove(&address) else { return -EINVAL };
    m.drop_description(inode, description);
    answer(begun.map(|()| 0)) as i32
}

pub(super) unsafe extern "C" fn flock(user: User, fd: i32, operation: i32) -> i32 {
    let m = unsafe { machine(user) };
    let result = m.begin(STEADFAST_CALL_FLOCK).and_then(|()| {
        // Nobody else has the directory's.
        if m.is_directory(fd) {
            return Ok(0);
        }
        let (inode, own) = m.file_of(fd)?;
        let node = &mut m.inodes[inode];
        let exclusive = operation & LOCK_EX != 0;
        if operation & LOCK_UN == 0 {
            let other = |&(holder, theirs): &(u64, bool)| holder != own && (exclusive || theirs);
            if m.lie == Some(Lie::Flock) {
                return Ok(0);
            }
            if node.locked_elsewhere || node.flocks.iter().any(other) {
                // Nobody else runs: waiting would never end.
                return Err(if operation & LOCK_NB != 0 { EAGAIN } else { EDEADLK });
            }
        }
        node.flocks.retain(|&(holder, _)| holder != own);
        if operation & LOCK_UN == 0 {
            node.flocks.push((own, exclusive));
        }
        Ok(0)
    });
    answer(result) as i32
}

pub(super) unsafe extern "C" fn fgetxattr(user: User, fd: i32, name: *const c_char, buf: *mut c_void, len: usize) -> i64 {
    let m = unsafe { machine(user) };
    let result = m.begin(STEADFAST_CALL_FGETXATTR).and_then(|()| {
        // No file has an ACL.
        if unsafe { CStr::from_ptr(name) } != ATTRIBUTE {
            return Err(ENODATA);
        }
        let inode = m.inode_of(fd)?;
        let value = m.inodes[inode].xattr.as_deref().ok_or(ENODATA)?;
        if value.len() > len {
            return Err(ERANGE);
        }
        unsafe { core::ptr::copy_nonoverlapping(value.as_ptr(), buf.cast(), value.len()) };
        Ok(value.len() as i64)
    });
    answer(result)
}

pub(super) unsafe extern "C" fn fsetxattr(user: User, fd: i32, name: *const c_char, buf: *const c_void, len: usize) -> i32 {
    let m = unsafe { machine(user) };
    let result = m.begin(STEADFAST_CALL_FSETXATTR).and_then(|()| {
        if unsafe { CStr::from_ptr(name) } != ATTRIBUTE {
            return Err(EOPNOTSUPP);
        }
        let inode = m.inode_of(fd)?;
        m.inodes[inode].xattr = Some(unsafe { std::slice::from_raw_parts(buf.cast::<u8>(), len) }.to_vec());
        Ok(0)
    });
    answer(result) as i32
}

pub(super) unsafe extern "C" fn flistxattr(user: User, fd: i32, buf: *mut c_void, len: usize) -> i64 {
    let m = unsafe { machine(user) };
    let result = m.begin(STEADFAST_CALL_FLISTXATTR).and_then(|()| {
        let inode = m.inode_of(fd)?;
        let names = if m.inodes[inode].xattr.is_some() { ATTRIBUTE.to_bytes_with_nul() } else { &[] };
        if names.len() > len {
            return Err(ERANGE);
        }
        unsafe { core::ptr::copy_nonoverlapping(names.as_ptr(), buf.cast(), names.len()) };
        Ok(names.len() as i64)
    });
    answer(result)
}
