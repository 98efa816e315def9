//! Which failed calls need not be told: the operation has another way, or does without what the call was for. Whatever
//! is not listed here must be told. An exemption says no more than it has to; its reason stands in it.

use crate::alternate;
use crate::fault::{Made, Run};
use crate::scenario::Kind::{self, Acquire, Clean, Inspect, Load, Release, Remove, Save};
use crate::scenario::Scenario;
use libc::*;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// Call `at` of a run, which failed, and was not told.
pub struct Seen<'a> {
    pub scenario: &'a Scenario,
    pub run: &'a Run,
    pub at: usize,
}

impl Seen<'_> {
    fn made(&self) -> &Made {
        &self.run.calls[self.at]
    }

    fn errno(&self) -> i32 {
        self.made().failed.unwrap_or(0)
    }

    fn is(&self, numbers: &[i64]) -> bool {
        numbers.contains(&self.made().number)
    }

    fn failed(&self, errnos: &[i32]) -> bool {
        errnos.contains(&self.errno())
    }

    fn kind(&self, kinds: &[Kind]) -> bool {
        kinds.contains(&self.scenario.kind)
    }

    fn lock(&self) -> bool {
        !self.kind(&[Save, Load, Remove])
    }

    fn scenario(&self, part: &str) -> bool {
        self.scenario.name.contains(part)
    }

    fn path(&self, path: &str) -> bool {
        self.made().path == path
    }

    /// The flags of openat, the third argument of others.
    fn flags(&self) -> i32 {
        self.made().args[2] as i32
    }

    fn before(&self) -> &[Made] {
        &self.run.calls[..self.at]
    }

    fn next(&self) -> Option<&Made> {
        self.run.calls.get(self.at + 1)
    }

    /// How often this name had been opened, or had been tried to be.
    fn opens(&self, path: &str) -> usize {
        self.before().iter().filter(|made| made.number == SYS_openat && made.path == path).count()
    }

    /// What was opened last: the file that a call without a path is about.
    fn opened(&self, what: impl Fn(&Made) -> bool) -> bool {
        self.before().iter().rfind(|made| made.number == SYS_openat && made.failed.is_none()).is_some_and(what)
    }

    /// Is the file opened anew that the call was about, or the state?
    fn begins_again(&self) -> bool {
        let again = |later: &Made| {
            let same = later.number == SYS_openat && later.failed.is_none();
            same && (later.path == self.scenario.target || later.path == "second" || self.opened_as(&later.path))
        };
        self.run.calls[self.at..].iter().skip(1).any(again)
    }

    fn opened_as(&self, path: &str) -> bool {
        self.opened(|made| made.path == path)
    }
}

pub fn unsupported(errno: i32) -> bool {
    [EINVAL, ENOSYS, EOPNOTSUPP, ENOTTY].contains(&errno)
}

/// Is there no flock here? Some file systems say so by these.
pub fn no_flock(errno: i32) -> bool {
    unsupported(errno) || [EPERM, ENOLCK].contains(&errno)
}

/// A temporary file that somebody else has made, and one of our own.
fn orphan(made: &Made) -> bool {
    made.path.ends_with(".tmp") && made.args[2] as i32 & O_CREAT == 0
}

fn temporary(made: &Made) -> bool {
    made.path.ends_with(".tmp") && made.args[2] as i32 & O_CREAT != 0
}

/// The stat of a pidfd, which is neither a file of ours nor a directory.
fn pidfd(made: &Made) -> bool {
    made.path.is_empty() && made.file.is_none_or(|(_, kind)| kind != S_IFREG && kind != S_IFDIR)
}

/// Has the lock got its name?
fn linked(s: &Seen) -> bool {
    s.before().iter().any(|made| made.number == SYS_linkat && made.second == "lock" && made.failed.is_none())
}

/// What a load asks of a file that it has opened.
const READS: [i64; 3] = [SYS_pread64, SYS_statx, SYS_fgetxattr];

/// A load of what may be one of two files that take turns.
fn looks_at_both(s: &Seen) -> bool {
    s.kind(&[Load]) && ["ALTERNATE", "damaged", "lost"].iter().any(|part| s.scenario(part))
}

struct Exemption {
    why: &'static str,
    holds: fn(&Seen) -> bool,
}

const fn because(why: &'static str, holds: fn(&Seen) -> bool) -> Exemption {
    Exemption { why, holds }
}

const ALL: [Exemption; 69] = [
    // Everywhere.
    because("a signal came first: the same call was made again, or a sleep was ended early", |s| {
        let again =
            |next: &Made| next.number == s.made().number && next.args[0] == s.made().args[0] && next.path == s.made().path;
        s.failed(&[EINTR]) && (s.next().is_some_and(again) || s.is(&[SYS_ppoll]))
    }),
    because("close frees the descriptor whatever it answers (close(2)); what it could say of the file, fsync has said", |s| {
        s.is(&[SYS_close])
    }),
    because("no statx before Linux 4.11 and in some containers: newfstatat answers", |s| {
        s.is(&[SYS_statx]) && s.failed(&[ENOSYS, EPERM]) && s.next().is_some_and(|next| next.number == SYS_newfstatat)
    }),
    because("a name that is gone is an answer to the question whether it is still this file's", |s| {
        s.is(&[SYS_statx]) && s.failed(&[ENOENT]) && !s.path("") && s.kind(&[Save, Load, Remove, Acquire])
    }),
    because(
        "over NFS and FUSE, a lock file that was replaced at this moment is gone for whoever opened it: it is opened again",
        |s| {
            let again = |next: &Made| next.number == SYS_openat && next.path == "lock";
            let looks = s.kind(&[Acquire, Clean, Inspect]) && s.is(&[SYS_statx]) && s.path("") && s.failed(&[ENOENT, ESTALE]);
            looks && s.run.calls[s.at..].iter().skip(1).take(2).any(again)
        },
    ),
    because("unlocked by close at the latest", |s| s.is(&[SYS_flock]) && s.made().args[1] as i32 & LOCK_UN != 0),
    // Saves.
    because(
        "over NFS and FUSE, a state that was replaced at this moment is gone for whoever has opened it: it is opened again, or the \
         save begins again",
        |s| {
            let asked =
                s.is(&[SYS_pread64, SYS_fgetxattr, SYS_flock, SYS_fchown, SYS_fchmod]) || s.is(&[SYS_statx]) && s.path("");
            s.kind(&[Save, Remove]) && asked && s.failed(&[ENOENT, ESTALE]) && s.begins_again()
        },
    ),
    because("the kernel's word that there is no state is taken: this is the first", |s| {
        s.kind(&[Save]) && s.is(&[SYS_openat]) && s.failed(&[ENOENT]) && (s.path("state") || s.path("second"))
    }),
    because("the directories that \"are not there\" are made, or found to be there", |s| {
        s.scenario("CREATE_PARENTS") && s.is(&[SYS_openat]) && s.failed(&[ENOENT]) && s.path("a/b")
    }),
    because("a content whose sync failed is written anew to another inode: `durable` has looked", |s| {
        s.kind(&[Save]) && s.is(&[SYS_fsync]) && !unsupported(s.errno()) && s.made().file.is_some_and(|(_, kind)| kind == S_IFREG)
    }),
    because("the same of a batch's common sync; without one, each file is synced", |s| {
        s.scenario("SYNCFS") && s.is(&[SYS_syncfs, SYS_sync_file_range])
    }),
    because("a hint to begin with writing", |s| {
        (s.scenario.batch() || s.scenario("writer"))
            && s.is(&[SYS_sync_file_range])
            && s.made().args[3] == u64::from(SYNC_FILE_RANGE_WRITE)
    }),
    because("too many descriptors: that entry is tried again after the others", |s| {
        let again = |later: &Made| later.number == s.made().number && later.path == s.made().path && later.failed.is_none();
        s.scenario.batch() && s.failed(&[EMFILE]) && s.run.calls[s.at..].iter().any(again)
    }),
    because("a temporary name that is taken: the next one", |s| {
        s.kind(&[Save]) && s.is(&[SYS_openat]) && s.failed(&[EEXIST]) && temporary(s.made())
    }),
    because("without flock nobody takes our temporary file for an orphan either", |s| {
        s.kind(&[Save])
            && s.is(&[SYS_flock])
            && s.made().args[1] as i32 & LOCK_EX != 0
            && no_flock(s.errno())
            && s.opened(temporary)
    }),
    because("there is no flock here: then no states alternate here either, and no saver waits for one that is shared", |s| {
        s.kind(&[Save, Remove]) && s.is(&[SYS_flock]) && s.made().args[1] as i32 & LOCK_SH != 0 && no_flock(s.errno())
    }),
    because("what cannot be opened, looked at, locked or removed is no orphan for us: the next name", |s| {
        s.scenario("orphan")
            && (s.is(&[SYS_openat]) && orphan(s.made())
                || s.is(&[SYS_statx, SYS_flock, SYS_fstatfs]) && s.opened(orphan)
                || s.is(&[SYS_unlinkat]) && s.made().path.ends_with(".tmp"))
    }),
    because(
        "no hard links here, or a security module refuses it: a copy; no state any more: nothing to keep; left there by a killed \
         saver: removed",
        |s| {
            s.scenario("KEEP_PREVIOUS")
                && s.is(&[SYS_linkat])
                && (s.failed(&[EPERM, EACCES, ENOENT, EEXIST]) || unsupported(s.errno()))
        },
    ),
    because("names cannot be exchanged here, or there is no previous state any more: it is replaced", |s| {
        s.scenario("KEEP_PREVIOUS")
            && s.is(&[SYS_renameat2])
            && s.made().path.ends_with(".prev.tmp")
            && (unsupported(s.errno()) || s.failed(&[ENOENT]))
    }),
    because("another saver has kept a state meanwhile: the two names are exchanged", |s| {
        let exchanged =
            |next: &Made| next.number == SYS_renameat2 && next.path == s.made().path && next.args[4] == RENAME_EXCHANGE.into();
        s.scenario("KEEP_PREVIOUS")
            && s.is(&[SYS_renameat2])
            && s.made().path.ends_with(".prev.tmp")
            && s.made().args[4] == RENAME_NOREPLACE.into()
            && s.failed(&[EEXIST])
            && s.next().is_some_and(exchanged)
    }),
    because("another saver has taken the name away: it is made again", |s| {
        s.scenario("KEEP_PREVIOUS") && s.is(&[SYS_renameat]) && s.made().path.ends_with(".prev.tmp") && s.failed(&[ENOENT])
    }),
    because("the kernel's word that there is no previous state", |s| {
        s.kind(&[Save]) && s.is(&[SYS_openat]) && s.failed(&[ENOENT]) && s.made().path.ends_with(".prev")
    }),
    because("no access control lists here", |s| s.kind(&[Save]) && s.is(&[SYS_fgetxattr]) && unsupported(s.errno())),
    because("an attribute that is not to be had here: the generation is the clock's, and nothing is compared", |s| {
        s.scenario.plain() && s.kind(&[Save]) && s.is(&[SYS_fgetxattr]) && s.path("user.steadfast") && unsupported(s.errno())
    }),
    because("a file system that cannot be asked whether other machines see it counts as local: so does its flock", |s| {
        s.scenario("PLAIN, IF_GENERATION") && s.is(&[SYS_fstatfs])
    }),
    because(
        "without RENAME_NOREPLACE the name is looked at first; without RENAME_EXCHANGE the state is: compare and rename",
        |s| s.scenario("PLAIN, IF_GENERATION") && s.is(&[SYS_renameat2]) && unsupported(s.errno()),
    ),
    because("the name of an edit that is there already: the next one", |s| {
        let edit = s.made().second.ends_with(".edit");
        s.scenario("PLAIN, IF_GENERATION") && s.is(&[SYS_renameat2]) && edit && s.failed(&[EEXIST])
    }),
    because("the state that was replaced has a name that the next one who swaps removes", |s| {
        s.scenario("PLAIN, IF_GENERATION") && s.is(&[SYS_unlinkat]) && s.made().path.ends_with(".edit")
    }),
    because("which parents have been synced is remembered; without that, they are synced again", |s| {
        s.scenario("CREATE_PARENTS") && s.is(&[SYS_statx]) && s.path("")
    }),
    because("a file system that fixes modes, or owners: done, and said so, unless what stays is wider", |s| {
        s.scenario("owner and mode")
            && (s.is(&[SYS_fchmod]) && (s.failed(&[EPERM, EACCES]) || unsupported(s.errno()))
                || s.is(&[SYS_fchown]) && s.failed(&[EACCES]))
    }),
    because("a file system that cannot be asked may hold states that alternate: the flock is taken", |s| {
        (s.scenario("KEEP_PREVIOUS") || s.kind(&[Remove])) && s.is(&[SYS_fstatfs])
    }),
    because("a common sync only where it is known to reach the device and to tell its errors: else each file by itself", |s| {
        s.scenario("SYNCFS")
            && (s.is(&[SYS_fstatfs]) || s.is(&[SYS_openat]) && s.made().path.starts_with("/proc/sys/kernel/") || s.made().foreign)
    }),
    because("what was at PATH.prev until then has a name that is nobody's: the next one that needs it removes it", |s| {
        s.scenario("KEEP_PREVIOUS") && s.is(&[SYS_unlinkat]) && s.made().path.ends_with(".prev.tmp")
    }),
    because("without RENAME_NOREPLACE, link refuses a name that is there", |s| {
        s.scenario("IF_GENERATION, none") && s.is(&[SYS_renameat2]) && unsupported(s.errno())
    }),
    because("only root may give a file away", |s| {
        s.scenario("owner and mode") && s.is(&[SYS_fchown]) && (s.failed(&[EPERM]) || unsupported(s.errno()))
    }),
    // Saves in place.
    because("no temporary file can be made here: the state is written in place, and PATH.prev as well", |s| {
        let makes = s.is(&[SYS_openat]) && temporary(s.made()) || s.is(&[SYS_statx, SYS_flock]) && s.opened(temporary);
        s.scenario.in_place() && makes && s.failed(&[EACCES, EPERM, EROFS])
    }),
    because("the state cannot get another file, and is written in place: a file that is left goes with the next save", |s| {
        let refused = s.before().iter().any(|made| made.refused);
        let leaves = s.is(&[SYS_unlinkat, SYS_statx]) && s.made().path.ends_with(".tmp");
        let looks = s.is(&[SYS_statx]) && s.path("state") && s.before().last().is_some_and(|made| made.refused);
        s.scenario.in_place() && refused && (leaves || looks)
    }),
    because("the attribute of the temporary file that does not get the name", |s| {
        s.scenario.in_place() && s.is(&[SYS_fsetxattr]) && !s.before().iter().any(|made| made.refused)
    }),
    because("what is gone, while the copy is made, has been replaced by another process: the save begins again", |s| {
        let copies = s.is(&[SYS_openat, SYS_renameat, SYS_write, SYS_ftruncate, SYS_fsetxattr, SYS_fsync]);
        s.scenario.in_place() && copies && s.failed(&[ENOENT, ESTALE]) && s.begins_again()
    }),
    // Writers, readers and removals.
    because("only EBADF says that a descriptor is another file's by now: any other error of that question says nothing", |s| {
        let open = |made: &Made| temporary(made) || s.scenario("reader");
        (s.scenario("writer") || s.scenario("reader")) && s.is(&[SYS_statx]) && s.path("") && s.before().iter().any(open)
    }),
    because("malloc has another place for 128 KiB than a mapping of its own", |s| {
        s.scenario("writer") && s.is(&[SYS_mmap]) && s.next().is_some_and(|next| next.number == SYS_brk)
    }),
    because("has the rename that moves a state to PATH.prev done nothing? What cannot be looked at has gone there", |s| {
        let moved = |made: &Made| made.number == SYS_renameat && made.second.ends_with(".prev") && made.failed.is_none();
        s.kind(&[Remove]) && s.is(&[SYS_statx]) && s.before().iter().any(moved)
    }),
    because("the kernel's word that there is no state, or that another process has removed it", |s| {
        s.kind(&[Remove]) && s.is(&[SYS_openat, SYS_renameat, SYS_unlinkat]) && s.failed(&[ENOENT])
    }),
    because("an attribute that is not to be had: what cannot be verified goes first, and PATH.prev after it", |s| {
        s.kind(&[Remove]) && s.is(&[SYS_fgetxattr]) && unsupported(s.errno())
    }),
    because("without the header's word the number is the clock's; nothing is written with it", |s| {
        s.kind(&[Remove]) && s.is(&[SYS_pread64]) && s.failed(&[ENOENT])
    }),
    because("an alternating state that cannot be written in place is saved in another way: `durable` has looked", |s| {
        s.scenario("ALTERNATE") && s.kind(&[Save]) && alternate::goes_on(s.made())
    }),
    // Loads.
    because("the kernel's word that there is no state, or no directory for one", |s| {
        s.kind(&[Load]) && s.is(&[SYS_openat]) && s.failed(&[ENOENT]) && (s.path("state") || s.path(".") && s.scenario("none"))
    }),
    because("an unreadable state is what the previous generation is for", |s| {
        s.scenario("RECOVER")
            && s.failed(&[EIO])
            && (s.is(&[SYS_openat]) && s.path("state") || s.is(&READS) && s.opened_as("state"))
    }),
    because("no open file answers that; it is taken for a missing state, which is looked at again", |s| {
        s.kind(&[Load]) && s.scenario("damaged") && s.is(&READS) && s.failed(&[ENOENT]) && s.opened_as("state")
    }),
    because("the second look at damage is for whether it has been replaced meanwhile: what the first found is told", |s| {
        s.kind(&[Load])
            && s.scenario("damaged")
            && (s.is(&[SYS_openat]) && s.path("state") && s.opens("state") > 0
                || s.is(&[SYS_statx]) && s.path("") && s.opened_as("state") && s.opens("state") > 1)
    }),
    because("the second look at a state that is not there: when it fails, everything is looked at anew", |s| {
        s.kind(&[Load]) && s.scenario("lost") && s.is(&[SYS_openat]) && s.path("state") && s.opens("state") > 0
    }),
    because("what looks like damage of one of two that take turns is looked at again: both are opened and read anew", |s| {
        let again = |later: &Made| later.number == s.made().number && later.failed.is_none() && later.path == s.made().path;
        let asked = s.is(&READS) || s.is(&[SYS_statx]) || s.is(&[SYS_openat]) && s.made().path.starts_with("state");
        looks_at_both(s) && asked && s.run.calls[s.at..].iter().skip(1).any(again)
    }),
    because(
        "what cannot be read of one of two that take turns counts as damaged: RECOVERED, and the report has the errno",
        |s| s.scenario("load, ALTERNATE, torn") && s.failed(&[EIO]) && (s.is(&READS) || s.is(&[SYS_statx])),
    ),
    because("the kernel's word that there is no other one of the two", |s| {
        looks_at_both(s) && s.is(&[SYS_openat]) && s.failed(&[ENOENT]) && !s.path("state")
    }),
    because("is what is damaged one of two that take turns? What cannot be read does not say so, and the damage is told", |s| {
        let first = !s.before().iter().any(|made| made.number == SYS_pread64);
        s.kind(&[Load]) && s.scenario("damaged") && s.is(&[SYS_pread64]) && s.failed(&[EIO]) && !first
    }),
    because(
        "a load asks for the flock to learn whether a saver is at work: without an answer it goes by what it finds twice",
        |s| s.kind(&[Load]) && (s.scenario("ALTERNATE") || s.scenario("damaged")) && s.is(&[SYS_flock]),
    ),
    because("is what cannot be loaded a link? What cannot be looked at is none", |s| {
        s.kind(&[Load]) && s.is(&[SYS_statx]) && s.path("state") && s.opened_as(".")
    }),
    // Locks.
    because("who the owner is beside its number is an addition to the flock: from /proc, from the attribute", |s| {
        let proc =
            s.is(&[SYS_openat, SYS_readlinkat]) && s.made().path.starts_with("/proc/") || s.is(&[SYS_read]) && s.made().foreign;
        s.lock() && !s.kind(&[Release]) && (proc || s.is(&[SYS_fgetxattr])) || s.kind(&[Acquire]) && s.is(&[SYS_fsetxattr])
    }),
    because("the same from a pidfd: kill and /proc tell as well, and who cannot be asked is alive", |s| {
        s.lock()
            && (s.is(&[SYS_pidfd_open]) || s.is(&[SYS_ppoll]) && s.made().args[1] == 1 || s.is(&[SYS_statx]) && pidfd(s.made()))
    }),
    because("a file system that cannot be asked whether other machines see it counts as local", |s| {
        s.lock() && !s.kind(&[Release]) && s.is(&[SYS_fstatfs])
    }),
    because(
        "the queue of waiters is for fairness: its directory need not be readable, nor have such locks; the wait backs off",
        |s| {
            s.scenario("acquire, held, with a timeout")
                && (s.is(&[SYS_openat]) && s.path(".") && s.flags() & O_PATH == 0 && s.flags() & O_TMPFILE != O_TMPFILE
                    || s.is(&[SYS_fcntl, SYS_inotify_init1, SYS_inotify_add_watch]))
        },
    ),
    because("no nameless files here, or none that can be named: a private name; there already: who has it is looked at", |s| {
        let nameless =
            s.is(&[SYS_openat]) && s.flags() & O_TMPFILE == O_TMPFILE && (unsupported(s.errno()) || s.failed(&[ENOENT]));
        let named = s.is(&[SYS_linkat]) && (unsupported(s.errno()) || s.failed(&[EPERM, EACCES, ENOENT, EEXIST]));
        s.kind(&[Acquire]) && (nameless || named)
    }),
    because("the kernel's word that there is no lock file; one that may not be opened is held, for all that is known", |s| {
        s.kind(&[Acquire, Clean]) && s.is(&[SYS_openat]) && s.path("lock") && s.failed(&[ENOENT, EACCES, EPERM])
    }),
    because("a mapping keeps the flock beyond the descriptor: without one, or without knowing it, the descriptor stays", |s| {
        s.kind(&[Acquire]) && s.is(&[SYS_mmap, SYS_madvise])
    }),
    because("is the flock seen through the name? It can neither be asked nor can the name be removed: as good as held", |s| {
        let refused = |made: &&Made| made.number == SYS_statx && made.failed.is_some();
        s.kind(&[Acquire]) && s.is(&[SYS_statx]) && linked(s) && s.run.calls.iter().filter(refused).count() > 1
    }),
    because("the directory's descriptor, compared with what it was: else the directory is opened anew", |s| {
        s.kind(&[Release]) && s.is(&[SYS_statx]) && s.path("")
    }),
    because("the stale lock is gone already", |s| {
        s.kind(&[Acquire]) && s.is(&[SYS_unlinkat]) && s.path("lock") && s.failed(&[ENOENT])
    }),
    because("the first look at the flock of a lock of ours is a short cut: without it, its owner is looked at", |s| {
        let first = !s.before().iter().any(|made| made.number == SYS_flock);
        s.kind(&[Inspect]) && !s.scenario("foreign") && s.is(&[SYS_flock]) && first
    }),
    because("the flock says that it is held; kill only whether its holder has the number", |s| {
        s.scenario("inspect, held") && s.is(&[SYS_kill])
    }),
];

static USED: [AtomicU64; ALL.len()] = [const { AtomicU64::new(0) }; ALL.len()];

/// May the operation come to what it would have come to, although this call failed?
pub fn excused(seen: &Seen) -> bool {
    let mut excused = false;
    for (exemption, used) in ALL.iter().zip(&USED) {
        if (exemption.holds)(seen) {
            used.fetch_add(1, Relaxed);
            excused = true;
        }
    }
    excused
}

/// The reasons that were not needed: by a library that has another way, or none.
pub fn unused() -> Vec<&'static str> {
    ALL.iter().zip(&USED).filter(|(_, used)| used.load(Relaxed) == 0).map(|(exemption, _)| exemption.why).collect()
}
