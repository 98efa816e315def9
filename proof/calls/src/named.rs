//! An unusual answer must say which call failed.

use crate::exempt::{no_flock, unsupported};
use crate::fault::{Made, Outcome};
use crate::scenario::{Kind, Scenario};
use libc::*;

const ABSENT: i32 = 0;
const UNDECIDED: i32 = 3;
pub const NOT_DURABLE: i32 = 16;
pub const UNVERIFIED: i32 = 18;
const E_DIGEST: i32 = -10003;
const E_LOST: i32 = -10007;
const E_CONFLICT: i32 = -10009;
const E_NOT_SAVED_DURABLY: i32 = -10012;
pub const E_SAVED_NOT_DURABLE: i32 = -10013;
pub const E_INDETERMINATE: i32 = -10014;
const E_LOCKED: i32 = -10015;
const E_LOCK_LOST: i32 = -10016;
const E_UNSUPPORTED: i32 = -10019;

/// The steps that may be named when a call of this kind failed (steadfast.h, STEADFAST_STEP_*).
fn steps(number: i64) -> &'static [i32] {
    match number {
        SYS_fsync => &[7, 8, 10, 11],
        SYS_write => &[5, 8, 21],
        SYS_pwrite64 => &[5],
        SYS_ftruncate => &[5, 8],
        SYS_renameat => &[8, 9, 20],
        SYS_renameat2 => &[8, 9, 22],
        SYS_linkat => &[8, 22],
        SYS_unlinkat => &[8, 20],
        SYS_fchmod | SYS_fchown => &[6],
        SYS_mkdirat => &[11],
        SYS_readlinkat => &[12],
        SYS_pread64 => &[3, 8, 14, 19],
        SYS_read => &[23],
        SYS_flock => &[3, 4, 8, 18],
        SYS_openat => &[1, 2, 3, 4, 8, 9, 11, 13, 21, 22],
        // Access control lists, and the attribute of a plain file.
        SYS_fgetxattr => &[3, 6, 8, 9, 14],
        SYS_fsetxattr => &[5, 6, 8],
        SYS_brk | SYS_mmap => &[15],
        SYS_ppoll => &[23],
        SYS_kill => &[17],
        // Looking at what was opened belongs to every step.
        SYS_statx => &[1, 2, 3, 4, 5, 8, 9, 12, 13, 14, 17, 19, 20, 21, 22],
        _ => &[],
    }
}

/// An answer other than the usual one: is it one that this failed call can lead to, and is the call named in it?
pub fn named(scenario: &Scenario, made: &Made, errno: i32, outcome: &Outcome) -> Result<(), String> {
    let (status, number, path) = (outcome.status, made.number, made.path.as_str());
    let has = |part: &str| scenario.name.contains(part);
    let told = outcome.os_error == errno && steps(number).contains(&outcome.step);
    let (fits, unnamed) = match status {
        -4095..0 if status == -errno => {
            // What could not be looked at beside a missing state: that it is missing is the news.
            let missing = has("lost") && errno == ENOENT && outcome.step == 13;
            // Of a removal that found nothing to remove.
            let removed = scenario.kind == Kind::Remove && errno == ENOENT && outcome.step == 13;
            (told || missing || removed, missing || removed)
        }
        // "It is there", and then "there is none": the second is told.
        -4095..0 => {
            let contradicted = [SYS_mkdirat, SYS_linkat].contains(&number) && errno == EEXIST && status == -ENOENT;
            // "There is none" of a state that is opened, again and again.
            let again = status == -EAGAIN || scenario.alternates() && status == -ESTALE;
            let moving = number == SYS_linkat && errno == ENOENT && again && outcome.step == 8;
            (contradicted || moving, moving || contradicted && outcome.os_error == ENOENT)
        }
        NOT_DURABLE => (number == SYS_fsync || number == SYS_openat && has("CREATE_PARENTS"), false),
        E_NOT_SAVED_DURABLY if has("descriptor") => (number == SYS_fsync, false),
        E_NOT_SAVED_DURABLY | E_SAVED_NOT_DURABLE => (number == SYS_fsync && has("STRICT"), false),
        // A load tells nothing of why.
        UNVERIFIED => (scenario.plain() && [SYS_fgetxattr, SYS_fsetxattr].contains(&number), number == SYS_fgetxattr),
        // From the mark or the first byte on.
        E_INDETERMINATE if scenario.in_place() => {
            let writes = [SYS_write, SYS_ftruncate, SYS_fsetxattr, SYS_fsync].contains(&number);
            (writes || number == SYS_statx, false)
        }
        // Which file came out of the exchange cannot be seen, nor which one goes back.
        // Nor, once one of two that take turns has been written, whether it still has its name; nor what the write has left
        // where no other file can be made.
        E_INDETERMINATE if scenario.alternates() => {
            (number == SYS_statx && (outcome.step == 19 || errno == ENOENT) || number == SYS_pwrite64, false)
        }
        E_INDETERMINATE => (scenario.plain() && has("IF_GENERATION") && number == SYS_statx, false),
        E_UNSUPPORTED if number == SYS_fsetxattr => (scenario.plain() && (has("STRICT") || scenario.in_place()), false),
        // No copy can be made, as where the directory is closed and has none.
        E_UNSUPPORTED if scenario.in_place() && outcome.step == 8 => {
            let copies = [SYS_openat, SYS_statx, SYS_fsync, SYS_flock].contains(&number);
            (copies && outcome.os_error != 0, scenario.closed() || unsupported(errno))
        }
        E_UNSUPPORTED => (number == SYS_flock && no_flock(errno), false),
        // The kernel's word that there is no other one, which may have been newer.
        0 if has("load, ALTERNATE") => (number == SYS_openat && errno == ENOENT, true),
        // What is wrong with the state is the news, not that the previous one could not be read.
        E_DIGEST => (has("RECOVER, damaged"), true),
        E_LOST => ((has("load, damaged") || has("load, ALTERNATE")) && number == SYS_pread64 && errno == ENOENT, false),
        // The kernel's word that a name is there, or is not, is taken.
        E_CONFLICT if scenario.in_place() => (number == SYS_statx && path == "state" && errno == ENOENT, true),
        E_CONFLICT => {
            let state = path == "state" || scenario.alternates() && path == "state.prev";
            let gone = [SYS_openat, SYS_statx].contains(&number) && state && errno == ENOENT;
            let there = number == SYS_renameat2 && errno == EEXIST;
            // Nobody can compare with what cannot be verified; what is to be exchanged is gone.
            let plain = number == SYS_fgetxattr || number == SYS_renameat2 && errno == ENOENT;
            (has("IF_GENERATION") && (gone || there || scenario.plain() && plain), true)
        }
        E_LOCK_LOST => (scenario.kind == Kind::Release && [SYS_statx, SYS_unlinkat].contains(&number) && errno == ENOENT, true),
        // It may not be opened: held, for all that can be known, and kept.
        E_LOCKED => (scenario.kind == Kind::Acquire && number == SYS_openat && [EACCES, EPERM].contains(&errno), false),
        UNDECIDED => (judges(scenario) && number == SYS_openat && [EACCES, EPERM].contains(&errno), false),
        ABSENT => (judges(scenario) && path == "lock" && errno == ENOENT, true),
        _ => (false, false),
    };
    match (fits, told || unnamed) {
        (true, true) => Ok(()),
        (fits, _) => Err(format!(
            "{}: status {status}, os_error {}, step {}: {}",
            if fits { "the failed call is not named" } else { "an answer that this cannot be, or another call is named" },
            outcome.os_error,
            outcome.step,
            outcome.message
        )),
    }
}

/// Does it answer with a verdict?
fn judges(scenario: &Scenario) -> bool {
    [Kind::Clean, Kind::Inspect].contains(&scenario.kind)
}
