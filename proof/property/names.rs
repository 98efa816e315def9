//! Paths and names of every length and content, through the library: what is saved is found again under the name that was
//! given, and every other name beside it is short enough and goes away.

use super::machine::{Kind, Machine};
use proptest::prelude::*;
use std::ffi::CString;
use std::ptr::null;
use steadfast::ffi::save::steadfast_state_save;

/// Any bytes but NUL and '/'.
fn name() -> impl Strategy<Value = Vec<u8>> {
    let byte = (1..=255u8).prop_filter("no slash", |&byte| byte != b'/');
    proptest::collection::vec(byte, 1..=255).prop_filter("a name", |name| name != b"." && name != b"..")
}

fn save(m: &Machine, name: &[u8]) -> i32 {
    let path = CString::new([b"/d/", name].concat()).unwrap();
    unsafe { steadfast_state_save(m.context, path.as_ptr(), b"x".as_ptr().cast(), 1, null(), std::ptr::null_mut()) }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, failure_persistence: None, ..ProptestConfig::default() })]

    /// A name of any bytes and length is saved to, and no other is left.
    #[test]
    fn any_name(name in name()) {
        let m = Machine::new(0);
        prop_assert_eq!(save(&m, &name), 0);
        prop_assert_eq!(m.names.keys().cloned().collect::<Vec<_>>(), vec![name]);
    }

    /// The temporary names of two long names that differ only at their ends are not the same: the one in use by the one
    /// is never taken from it by the other.
    #[test]
    fn temporary_names_fit_and_differ(name in name(), more in name()) {
        let mut other = name.clone();
        other.extend(&more);
        other.truncate(255);
        prop_assume!(name != other);
        let orphan_of = |name: &[u8]| {
            // Killed at the rename, which leaves the temporary name.
            let mut m = Machine::new(0);
            for nth in 1..60 {
                m.fault = Some(super::machine::Fault { nth: m.calls + nth, error: libc::EIO, for_ever: true });
                save(&m, name);
                m.fault = None;
                let left = m.names.keys().find(|left| left.as_slice() != name).cloned();
                m.die();
                m.start_process(4243);
                if left.is_some() {
                    return left;
                }
            }
            None
        };
        let (one, two) = (orphan_of(&name).unwrap(), orphan_of(&other).unwrap());
        prop_assert!(one != two, "two names, one temporary name");
        prop_assert!(one.len() <= 255 && two.len() <= 255);
    }

    /// Paths that name no file are refused before any call.
    #[test]
    fn no_path_is_too_odd(path in "[a./]{0,6}", directory: bool) {
        let m = Machine::new(0);
        let path = if directory { format!("/d/{path}/") } else { format!("/d/{path}") };
        let code = save(&m, &path.as_bytes()[3..]);
        let last = path.rsplit('/').next().unwrap();
        if ["", ".", ".."].contains(&last) {
            prop_assert_eq!(code, -libc::EISDIR);
            prop_assert_eq!(m.calls, 0);
        }
    }
}

/// A path of 4095 bytes is one, a path of 4096 is none.
#[test]
fn path_lengths() {
    let mut m = Machine::new(0);
    for (len, wanted) in [(255, 0), (256, -libc::ENAMETOOLONG)] {
        assert_eq!(save(&m, &vec![b'n'; len]), wanted, "a name of {len}");
    }
    m.put("state", Kind::File, b"", 0o600);
    let long = |len: usize| CString::new(format!("{}/state", "/".repeat(len - 6))).unwrap();
    for (len, fits) in [(4095, true), (4096, false)] {
        let path = long(len);
        let code = unsafe { steadfast_state_save(m.context, path.as_ptr(), null(), 0, null(), std::ptr::null_mut()) };
        assert_eq!(code != -libc::ENAMETOOLONG, fits, "a path of {len}: {code}");
    }
}
