//! Any sequence of calls, each with a failing call, a short write or the end of the process somewhere in it: after each of
//! them what is in the directory is what the answer says. What was there before is read by the second reader, so a
//! sequence needs no model that runs beside it.

use super::machine::{Fault, Kind, Machine};
use super::reader::{self, ANY, Request, State};
use super::{api, lock};
use steadfast::ffi::lock::steadfast_lock;
use steadfast::status::*;

const STRICT: u32 = 1 << 0;
const KEEP_PREVIOUS: u32 = 1 << 1;
const IF_GENERATION: u32 = 1 << 2;
const RECYCLE: u32 = 1 << 5;
const NO_SYNC: u32 = 1 << 6;
const SYNCFS: u32 = 1 << 7;
/// The mode bit of a state whose sync failed.
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
    STEADFAST_ABSENT_O_DIRECTORY,
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

struct Run {
    m: Box<Machine>,
    /// The newest last: one that was taken away by hand can be taken again. With how much is open through each.
    locks: Vec<(*mut steadfast_lock, usize)>,
    trouble: Trouble,
    /// Something of a killed process, or of a failed removal, may lie about.
    litter: bool,
    steps: Vec<String>,
}

#[derive(PartialEq, Clone)]
struct Files {
    current: Option<Vec<u8>>,
    previous: Option<Vec<u8>>,
    unsynced: bool,
}

impl Run {
    fn files(&self) -> Files {
        let unsynced = self.m.named("state").is_some_and(|inode| inode.mode & UNSYNCED != 0);
        Files { current: self.m.file("state"), previous: self.m.file("state.prev"), unsynced }
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
            assert_eq!(self.m.open_descriptors(), self.held(), "descriptors left open");
        } else if struck {
            // Closing failed: this process would have to end.
            self.die();
        }
        killed
    }

    fn held(&self) -> usize {
        self.locks.iter().map(|(_, open)| open).sum()
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
        self.m.start_process(next);
    }

    fn check_names(&self) {
        let known = |name: &String| ["state", "state.prev", "other", "other.prev", "lock"].contains(&name.as_str());
        let stranger = self.m.listing().into_iter().find(|name| !known(name));
        assert!(self.litter || stranger.is_none(), "{stranger:?} is left");
    }

    fn save(&mut self, flags: u8, size: u8, fault: u8, more: u8) {
        // In a batch with another state, or alone.
        let batch = size & 8 != 0;
        let flags =
            u32::from(flags) & (STRICT | KEEP_PREVIOUS | IF_GENERATION | RECYCLE | NO_SYNC | if batch { SYNCFS } else { 0 });
        let payload: Vec<u8> = (0..SIZES[usize::from(size & 7)]).map(|at| (at as u8).wrapping_add(size)).collect();
        let before = self.files();
        let verified = before.current.as_deref().map(|file| reader::read(file, &ANY));
        let there = match &verified {
            Some(Ok(state)) => state.generation,
            _ => 0,
        };
        let swap = flags & IF_GENERATION != 0;
        let expected = if swap { there + u64::from(size >> 7) } else { 0 };
        let keeps = flags & (KEEP_PREVIOUS | RECYCLE) != 0;
        let next = 1 + match &before.current {
            Some(file) if !swap && !keeps => reader::header_generation(file).unwrap_or(0),
            _ => there,
        };
        self.disturb(fault, more);
        let (code, told) = if batch {
            let other = self.m.file("other");
            let (codes, told) = api::save_batch(&mut self.m, &payload, flags, 5, expected);
            let now = self.m.file("other");
            let whole = now.as_deref().is_none_or(|file| reader::read(file, &ANY).is_ok());
            assert!(whole && (codes[1] >= 0 || now == other || saved_all_the_same(codes[1])), "the other state: {codes:?}");
            (codes[0], told)
        } else {
            api::save(&mut self.m, &payload, flags, 5, expected)
        };
        let undisturbed = self.undisturbed();
        let struck = self.m.struck;
        self.steps.push(format!("save {flags:#x} {} expecting {expected}: {code}, {:?}", payload.len(), self.trouble));
        let killed = self.settle();
        let after = self.files();
        let is_new = after.current != before.current || code >= 0;
        // Whatever happened: old or new, whole.
        if is_new {
            let state = after.current.as_deref().map(|file| reader::read(file, &ANY));
            let Some(Ok(State { payload: found, generation, schema: 5, .. })) = state else {
                panic!("neither old nor new: {state:?}")
            };
            assert!(found == payload, "another payload");
            assert_eq!(generation, next, "the generation");
        }
        let rotated = after.previous == before.current;
        // RECYCLE writes over the spare: until it is done there is none to rely on.
        let spent = flags & RECYCLE != 0 && !batch && (killed || code < 0);
        assert!(rotated || after.previous == before.previous || spent, "a previous generation from nowhere");
        let whole = matches!(verified, Some(Ok(_)));
        assert!(after.previous == before.previous || whole && !before.unsynced || spent, "kept as previous: damaged or unsynced");
        if killed {
            return;
        }
        match code {
            0.. => {
                assert!(!(keeps && whole && !before.unsynced) || rotated, "the previous generation was not kept");
                assert!(batch || told.generation == next, "the report's generation");
                assert!(batch || told.on_disk == if code == 0 { 1 } else { 2 }, "on_disk of {code}");
                let syncs = [STEADFAST_CALL_FSYNC, STEADFAST_CALL_SYNCFS, STEADFAST_CALL_WRITEBACK];
                let synced = syncs.iter().all(|call| struck & (1 << call) == 0);
                assert!(code == 0 || !synced || flags & NO_SYNC != 0, "NOT_DURABLE without a failed sync");
                assert!(code != 0 || flags & NO_SYNC == 0, "durable without a sync");
                assert!(code == 0 || flags & STRICT == 0, "STRICT has reservations");
            }
            STEADFAST_E_SAVED_NOT_DURABLE | STEADFAST_E_INDETERMINATE => {
                assert!(code == STEADFAST_E_INDETERMINATE || after.current != before.current, "not saved at all");
                assert!(batch || told.on_disk == 2);
            }
            _ => {
                assert!(after.current == before.current, "{code}, but the state was replaced");
                assert!(batch || told.on_disk == 0, "on_disk of {code}");
            }
        }
        if undisturbed {
            let wanted = match &verified {
                _ if flags & NO_SYNC != 0 && flags & (STRICT | SYNCFS) != 0 => -libc::EINVAL,
                Some(Err(damage)) if swap => *damage,
                _ if swap && expected != there => STEADFAST_E_CONFLICT,
                _ if flags & NO_SYNC != 0 => STEADFAST_NOT_DURABLE,
                _ => 0,
            };
            assert_eq!(code, wanted, "without any trouble");
            // A swap holds the flock of the current file, of which the orphan may be a second name, and a save over the spare
            // needs no temporary name: the save after it removes it.
            if code >= 0 && !swap && (flags & RECYCLE == 0 || batch) {
                assert!(self.m.named(".state.0.tmp").is_none(), "an orphan has survived a save");
            }
        }
        self.check_names();
    }

    fn load(&mut self, flags: u8, fault: u8, more: u8) {
        let before = self.files();
        let request = Request { flags: u32::from(flags & 3), schema: 5, max_len: if flags & 4 != 0 { 1000 } else { 0 } };
        let wanted = reader::load(before.current.as_deref(), before.previous.as_deref(), &request);
        self.disturb(fault, more);
        let (code, found) = api::load(&mut self.m, &request);
        let undisturbed = self.undisturbed();
        self.steps.push(format!("load {request:?}: {code}, {:?}", self.trouble));
        if undisturbed {
            assert_eq!((code, found.map(|(state, _)| state)), wanted);
        } else if let Some((state, source)) = found {
            let file = if source == 0 { &before.current } else { &before.previous };
            assert_eq!(file.as_deref().map(|file| reader::read(file, &request)), Some(Ok(state)), "not what is there");
            assert!(source == 0 || request.flags & reader::RECOVER != 0, "recovered unasked");
        }
        self.settle();
        assert!(self.files() == before, "loading changed something");
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
                let open = self.m.open_descriptors() - self.held();
                assert!(open > 0, "held without a descriptor");
                self.locks.push((lock, open));
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
        let Some((lock, _)) = self.locks.pop() else { return };
        let held = self.m.is_flocked("lock");
        self.disturb(fault, more);
        let code = api::release(lock);
        let undisturbed = self.undisturbed();
        self.steps.push(format!("release: {code}, {:?}", self.trouble));
        if undisturbed {
            assert_eq!(code, if held { 0 } else { STEADFAST_E_LOCK_LOST });
        }
        assert!(code != 0 || self.m.named("lock").is_none(), "released, and still there");
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

/// The two codes below 0 that leave the new state, or either.
fn saved_all_the_same(code: i32) -> bool {
    [STEADFAST_E_SAVED_NOT_DURABLE, STEADFAST_E_INDETERMINATE].contains(&code)
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
    let m = Machine::new(PLATFORMS[usize::from(platform & 7)]);
    let mut run = Run { m, locks: vec![], trouble: Trouble::Nothing, litter: false, steps: vec![] };
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
