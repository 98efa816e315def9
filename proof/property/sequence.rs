//! Any sequence of calls, each with a failing call, a short write or the end of the process somewhere in it: after each of
//! them what is in the directory is what the answer says. What was there before is read by the second reader, so a
//! sequence needs no model that runs beside it.

use super::judge::*;
use super::machine::{Fault, Inode, Kind, Machine};
use super::reader::{self, Request};
use super::{api, lock};
use steadfast::ffi::lock::steadfast_lock;
use steadfast::hooks::*;
use steadfast::status::*;

/// The mode bit of a state that was not synced.
const UNSYNCED: u32 = 0o1000;

const SIZES: [usize; 8] = [0, 1, 100, 3839, 3840, 3841, 16_128, 70_000];
const PLATFORMS: [u32; 8] = [
    0,
    STEADFAST_ABSENT_RENAMEAT2,
    STEADFAST_ABSENT_O_TMPFILE,
    STEADFAST_ABSENT_O_TMPFILE | STEADFAST_ABSENT_RENAMEAT2,
    STEADFAST_ABSENT_LINK,
    STEADFAST_ABSENT_XATTR | STEADFAST_ABSENT_PIDFD,
    STEADFAST_ABSENT_PROC,
    STEADFAST_ABSENT_O_DIRECTORY | STEADFAST_ABSENT_MAP,
];
/// What is not true of the machine is not among them: ENOENT and EEXIST would be lies about its names.
const ERRORS: [i32; 8] =
    [libc::EIO, libc::ENOSPC, libc::EINVAL, libc::EPERM, libc::EACCES, libc::EAGAIN, libc::ENOSYS, libc::EINTR];

/// How a call is disturbed.
#[derive(Clone, Copy, PartialEq, Debug)]
enum Trouble {
    Nothing,
    Once,
    ForEver,
    /// The process is gone before call number n.
    Killed,
}

/// Descriptors and mappings.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
struct Kept {
    open: usize,
    mapped: usize,
}

/// A lock keeps its directory, and what keeps its flock.
const BY_MAPPING: Kept = Kept { open: 1, mapped: 1 };
const BY_DESCRIPTOR: Kept = Kept { open: 2, mapped: 0 };

struct Run {
    m: Box<Machine>,
    absent: u32,
    /// The newest last: one that was taken away by hand can be taken again. With what each keeps.
    locks: Vec<(*mut steadfast_lock, Kept)>,
    /// Mappings of locks that were released without being told who releases them.
    unended: usize,
    trouble: Trouble,
    /// Something of a killed process, or of a failed removal, may lie about.
    litter: bool,
    steps: Vec<String>,
}

impl Run {
    fn files(&self, name: &str) -> Files {
        let file = |name: &str| {
            let file = |inode: &Inode| File { bytes: inode.bytes.clone(), sticky: inode.mode & UNSYNCED != 0 };
            self.m.named(name).map(file)
        };
        Files { current: file(name), previous: file(&format!("{name}.prev")) }
    }

    fn disturb(&mut self, choice: u8, more: u8) {
        self.trouble = match choice >> 6 {
            0 => Trouble::Nothing,
            1 => Trouble::Once,
            2 => Trouble::ForEver,
            _ => Trouble::Killed,
        };
        let nth = self.m.calls + 1 + u64::from(choice & 63);
        let for_ever = matches!(self.trouble, Trouble::ForEver | Trouble::Killed);
        // A process that is gone is told nothing that it could answer to.
        let error = match ERRORS[usize::from(more & 7)] {
            _ if self.trouble == Trouble::Killed => libc::EIO,
            // Repeated, and so no failure unless it comes once.
            libc::EINTR if self.trouble == Trouble::ForEver => libc::ESTALE,
            error => error,
        };
        self.m.fault = (self.trouble != Trouble::Nothing).then_some(Fault { nth, error, for_ever });
        self.m.struck = 0;
        self.m.short = if more & 8 != 0 { 257 } else { 0 };
    }

    /// The end of a call. True when the process did not live to see its answer.
    fn settle(&mut self) -> bool {
        let struck = self.m.struck != 0;
        self.m.fault = None;
        let killed = self.trouble == Trouble::Killed && struck;
        let met = |call: u32| self.m.struck & (1 << call) != 0;
        // A removal that failed; or an answer that means that the file is somebody else's by now.
        let mislead = met(STEADFAST_CALL_UNLINKAT) || met(STEADFAST_CALL_FLOCK) || met(STEADFAST_CALL_FSTATAT);
        self.litter |= self.trouble == Trouble::ForEver && struck || mislead || killed;
        if killed {
            self.die();
        }
        if self.trouble != Trouble::ForEver {
            assert_eq!(self.kept(), self.held(), "left open or mapped");
        } else if struck {
            // Closing failed: this process would have to end.
            self.die();
        }
        killed
    }

    /// By the locks that are held.
    fn held(&self) -> Kept {
        let sum = |sum: Kept, kept: &Kept| Kept { open: sum.open + kept.open, mapped: sum.mapped + kept.mapped };
        let unended = Kept { open: 0, mapped: self.unended };
        self.locks.iter().map(|(_, kept)| kept).fold(unended, sum)
    }

    /// By the process.
    fn kept(&self) -> Kept {
        Kept { open: self.m.open_descriptors(), mapped: self.m.mappings() }
    }

    fn undisturbed(&self) -> bool {
        self.m.struck == 0
    }

    fn die(&mut self) {
        self.m.fault = Some(Fault { nth: 0, error: libc::EIO, for_ever: true });
        for (lock, _) in self.locks.drain(..) {
            api::release(lock);
        }
        self.m.fault = None;
        let next = self.m.own + 1;
        self.m.die();
        self.unended = 0;
        self.m.start_process(next);
    }

    fn check_names(&self) {
        let known = |name: &String| ["state", "state.prev", "other", "other.prev", "lock"].contains(&name.as_str());
        let stranger = self.m.listing().into_iter().find(|name| !known(name));
        assert!(self.litter || stranger.is_none(), "{stranger:?} is left");
    }

    fn save(&mut self, flags: u8, size: u8, fault: u8, more: u8) {
        // In a batch with another state, or alone.
        let names: &[&str] = if size & 8 != 0 { &["state", "other"] } else { &["state"] };
        let batch = names.len() > 1;
        let flags = u32::from(flags) & (STRICT | KEEP_PREVIOUS | IF_GENERATION | NO_SYNC | if batch { SYNCFS } else { 0 });
        let payload: Vec<u8> = (0..SIZES[usize::from(size & 7)]).map(|at| (at as u8).wrapping_add(size)).collect();
        let before: Vec<Files> = names.iter().map(|name| self.files(name)).collect();
        let swap = flags & IF_GENERATION != 0;
        let expected = if swap { before[0].compared().unwrap_or(0) + u64::from(size >> 7) } else { 0 };
        self.disturb(fault, more);
        let begun = self.m.now;
        let told = if batch {
            api::save_batch(&mut self.m, &payload, flags, 5, expected).to_vec()
        } else {
            vec![api::save(&mut self.m, &payload, flags, 5, expected)]
        };
        let clock = (begun, self.m.now);
        self.steps.push(format!("save {flags:#x} {} expecting {expected}: {told:?}, {:?}", payload.len(), self.trouble));
        let met = |calls: &[u32]| calls.iter().any(|call| self.m.struck & (1 << call) != 0);
        let course = Course {
            disturbed: !self.undisturbed(),
            for_ever: self.trouble == Trouble::ForEver,
            sync_failed: met(&[STEADFAST_CALL_FSYNC, STEADFAST_CALL_SYNCFS, STEADFAST_CALL_WRITEBACK]),
            // A name that a save before has left, and that cannot be removed, cannot be linked to.
            unlinkable: self.absent & STEADFAST_ABSENT_LINK != 0 || met(&[STEADFAST_CALL_LINKAT, STEADFAST_CALL_UNLINKAT]),
        };
        let killed = self.settle();
        for ((name, before), told) in names.iter().zip(before).zip(&told) {
            let after = self.files(name);
            let save = Save { flags, payload: &payload, schema: 5, expected, before, after, clock };
            if killed { save.check_files(course, None) } else { save.check(course, *told) }
        }
        // A swap holds the flock of the current file, of which the orphan may be a second name.
        if !killed && !course.disturbed && told[0].code >= 0 && !swap {
            assert!(self.m.named(".state.0.tmp").is_none(), "an orphan has survived a save");
        }
        self.check_names();
    }

    fn load(&mut self, flags: u8, fault: u8, more: u8) {
        let before = self.files("state");
        let bytes = |file: &Option<File>| file.as_ref().map(|file| file.bytes.clone());
        let (current, previous) = (bytes(&before.current), bytes(&before.previous));
        let request = Request { flags: u32::from(flags & 3), schema: 5, max_len: if flags & 4 != 0 { 1000 } else { 0 } };
        let wanted = reader::load(current.as_deref(), previous.as_deref(), &request);
        self.disturb(fault, more);
        let (code, found) = api::load(&mut self.m, &request);
        let undisturbed = self.undisturbed();
        self.steps.push(format!("load {request:?}: {code}, {:?}", self.trouble));
        if undisturbed {
            assert_eq!((code, found.map(|(state, _)| state)), wanted);
        } else if let Some((state, source)) = found {
            let file = if source == 0 { &current } else { &previous };
            assert_eq!(file.as_deref().map(|file| reader::read(file, &request)), Some(Ok(state)), "not what is there");
            assert!(source == 0 || request.flags & reader::RECOVER != 0, "recovered unasked");
        }
        self.settle();
        assert!(self.files("state") == before, "loading changed something");
        self.check_names();
    }

    fn acquire(&mut self, fault: u8, more: u8) {
        let free = [STEADFAST_LOCK_ABSENT, STEADFAST_LOCK_REMOVED].contains(&lock::expected(&self.m, true, 0, 0));
        let ignored = lock::expected(&self.m, true, 0, 0) == STEADFAST_LOCK_IGNORED;
        let before = self.m.named("lock").cloned();
        self.disturb(fault, more);
        let taken = api::acquire(&mut self.m, 0);
        let undisturbed = self.undisturbed();
        self.steps.push(format!("acquire: {taken:?}, {:?}", self.trouble));
        let pid = self.m.own;
        match taken {
            Ok(lock) => {
                assert!(free, "taken, though somebody has it");
                let inode = self.m.named("lock").expect("the lock file");
                assert_eq!(inode.bytes, format!("{pid}\n").into_bytes());
                assert!(self.m.is_flocked("lock"), "held without a flock");
                let (all, held) = (self.kept(), self.held());
                let kept = Kept { open: all.open - held.open, mapped: all.mapped - held.mapped };
                let usual = if self.absent & STEADFAST_ABSENT_MAP == 0 { BY_MAPPING } else { BY_DESCRIPTOR };
                // Where it cannot be mapped, or the flock of the mapping is not seen, a descriptor keeps it.
                let fits = kept == usual || !undisturbed && (kept == BY_DESCRIPTOR || self.trouble != Trouble::Once);
                assert!(fits, "a lock keeps {kept:?}");
                self.locks.push((lock, kept));
            }
            Err(code) => {
                assert!(!undisturbed || !free && (code == STEADFAST_E_LOCKED || ignored), "acquire returned {code}");
                let now = self.m.named("lock");
                let ours = now.is_some_and(|inode| inode.bytes == format!("{pid}\n").into_bytes() && inode.mode & 0o1000 != 0);
                assert!(!ours || now == before.as_ref() || self.trouble != Trouble::Once, "not taken, but its file is there");
            }
        }
        self.settle();
        self.check_names();
    }

    fn release(&mut self, fault: u8, more: u8) {
        let Some((lock, kept)) = self.locks.pop() else { return };
        let held = self.m.is_flocked("lock");
        self.disturb(fault, more);
        let code = api::release(lock);
        let undisturbed = self.undisturbed();
        self.steps.push(format!("release: {code}, {:?}", self.trouble));
        if undisturbed {
            assert_eq!(code, if held { 0 } else { STEADFAST_E_LOCK_LOST });
        }
        assert!(code != 0 || self.m.named("lock").is_none(), "released, and still there");
        // A process that does not know whether it is the one that took the lock, or a child of it, which has no mapping, ends none.
        let told_nothing = self.m.struck & (1 << STEADFAST_CALL_GETPID) != 0;
        if told_nothing && code < 0 && code != STEADFAST_E_LOCK_LOST {
            self.unended += kept.mapped;
        }
        self.settle();
        self.check_names();
    }

    fn clean(&mut self, remove: bool, fault: u8, more: u8) {
        let wanted = lock::expected(&self.m, remove, 0, 0);
        let before = self.m.named("lock").cloned();
        self.disturb(fault, more);
        let verdict = api::clean(&mut self.m, remove, 0, 0);
        let undisturbed = self.undisturbed();
        self.steps.push(format!("clean {remove}: {verdict}, {:?}", self.trouble));
        if undisturbed {
            assert_eq!(verdict, wanted);
        }
        // A call that fails makes nobody dead.
        let gone = before.is_some() && self.m.named("lock").is_none();
        assert!(!gone || wanted == STEADFAST_LOCK_REMOVED, "removed, though it was {wanted}");
        assert_eq!(gone, verdict == STEADFAST_LOCK_REMOVED, "what {verdict} says");
        self.settle();
        self.check_names();
    }

    /// Somebody else meddles.
    fn outside(&mut self, what: u8, at: u8, byte: u8) {
        self.steps.push(format!("outside {} {at} {byte}", what % 8));
        let name = if at & 1 == 0 { "state" } else { "state.prev" };
        match what % 8 {
            0 => drop(self.m.remove(name.as_bytes())),
            1 | 2 => {
                if let Some(inode) = self.m.named_mut(name).filter(|inode| !inode.bytes.is_empty()) {
                    let at = usize::from(at) * 7 % inode.bytes.len();
                    inode.bytes[at] ^= byte.max(1);
                }
            }
            3 => {
                if let Some(inode) = self.m.named_mut(name) {
                    inode.bytes.truncate(usize::from(at) * 4);
                }
            }
            4 => drop(self.m.put(name, Kind::File, &[byte; 300][..usize::from(at)], 0o600)),
            5 => drop(self.m.put("lock", Kind::File, [&b"77\n"[..], b"4242\n", b"", b"x"][usize::from(at & 3)], 0o644)),
            6 => drop(self.m.remove(b"lock")),
            _ => drop(self.m.put("lock", Kind::File, format!("{}\n", self.m.own).as_bytes(), 0o644)),
        }
    }
}

impl Drop for Run {
    /// The way to a failure.
    fn drop(&mut self) {
        if std::thread::panicking() && super::machine::LIE.get().is_none() {
            eprintln!("{}", self.steps.join("\n"));
        }
    }
}

/// Five bytes for each call, after one for the platform.
pub fn check(input: &[u8]) {
    let Some((&platform, rest)) = input.split_first() else { return };
    let absent = PLATFORMS[usize::from(platform & 7)];
    let mut run = Run {
        m: Machine::new(absent),
        absent,
        locks: vec![],
        unended: 0,
        trouble: Trouble::Nothing,
        litter: false,
        steps: vec![],
    };
    for step in rest.chunks_exact(5).take(40) {
        let &[what, a, b, fault, more] = step else { continue };
        match what % 12 {
            0..=3 => run.save(a, b, fault, more),
            4 | 5 => run.load(a, fault, more),
            6 => run.acquire(fault, more),
            7 => run.release(fault, more),
            8 => run.clean(true, fault, more),
            9 => run.clean(false, fault, more),
            10 => {
                run.steps.push("the process ends".into());
                run.die();
            }
            _ => run.outside(a, b, fault),
        }
    }
    run.die();
}
