//! What must hold when all processes of a schedule have finished or died.

use super::explore::Explorer;
use super::fs::{Fs, Links, name};
use super::world::*;
use std::ptr::null_mut;
use steadfast::ffi::lock::*;
use steadfast::hooks::{STEADFAST_ABSENT_O_TMPFILE, STEADFAST_ABSENT_XATTR};
use steadfast::status::*;

const MARK: u32 = 0o1000;

fn names(fs: &Fs) -> Vec<String> {
    fs.names.iter().map(|(n, _)| String::from_utf8_lossy(n).trim_end_matches('\0').to_string()).collect()
}

impl Explorer {
    /// All have finished or died. Whatever is left must be cleanable, and then nothing must be left.
    pub fn check_end(&mut self) {
        if self.scenario.state.is_some() {
            return self.check_state_end();
        }
        let killed = self.scenario.kills - self.kills_left;
        let lock = String::from_utf8_lossy(LOCK).to_string();
        let before = names(&self.world.fs);
        let nameless = self.scenario.absent & STEADFAST_ABSENT_O_TMPFILE == 0 && self.scenario.links == Links::Together;
        let all_gone = self.world.procs.iter().all(|p| p.life != Life::Alive);
        let other = before.iter().find(|n| **n != lock && !self.is_turn(n, killed) && (nameless || killed == 0 && all_gone));
        if let Some(other) = other {
            return self.world.violate(Violation::Litter(other.clone()));
        }
        let kept = self.is_kept();
        if !all_gone {
            // Those who wait for such a lock wait for ever.
            if !kept {
                self.world.violate(Violation::Stuck);
            }
            return;
        }
        // Only the dead, and programs that know nothing of their lock, leave it.
        let scheduled = self.world.procs.iter().take(self.scenario.bodies.len());
        let left_behind = scheduled.into_iter().any(|p| p.life == Life::Killed || p.execed);
        if before.contains(&lock) && !left_behind && self.is_left_by_us() {
            return self.world.violate(Violation::Litter(lock));
        }
        self.tidy_up(kept, &before, killed);
    }

    /// A foreign record that was never written, or whose number another process has now, stays: nobody can know.
    fn is_kept(&self) -> bool {
        let fs = &self.world.fs;
        fs.lookup(&name(LOCK)).is_some_and(|node| {
            let file = fs.file(node);
            let is_foreign = file.mode & MARK == 0 || self.scenario.absent & STEADFAST_ABSENT_XATTR != 0;
            let pid = std::str::from_utf8(file.bytes()).ok().and_then(|text| text.trim().parse().ok()).unwrap_or(0);
            let is_stranger = self.world.strangers.contains(&(0, pid));
            (file.mode & MARK == 0 && file.len() == 0) || is_foreign && is_stranger
        })
    }

    /// Beside a lock that is shared, a family takes turns by a file. Who is killed then leaves it.
    fn is_turn(&self, left: &str, killed: u32) -> bool {
        killed > 0 && !self.scenario.children.is_empty() && left == format!(".{}.0.turn.tmp", String::from_utf8_lossy(LOCK))
    }

    /// Is what has the lock's name a file that one of the scheduled processes made with a routine of ours?
    fn is_left_by_us(&self) -> bool {
        let fs = &self.world.fs;
        fs.lookup(&name(LOCK)).is_some_and(|node| !fs.file(node).foreign && fs.file(node).creator < self.scenario.bodies.len())
    }

    /// A last process cleans, takes and releases the lock.
    fn tidy_up(&mut self, kept: bool, before: &[String], killed: u32) {
        let lock = String::from_utf8_lossy(LOCK).to_string();
        let janitor = self.extra(1);
        let context = unsafe { (*janitor).context };
        let cleaned = unsafe { steadfast_lock_clean_stale(context, PATH.as_ptr(), std::ptr::null(), null_mut()) };
        let expected = if before.contains(&lock) { STEADFAST_LOCK_REMOVED } else { STEADFAST_LOCK_ABSENT };
        if cleaned == STEADFAST_LOCK_UNDECIDED && self.is_left_by_us() {
            self.world.violate(Violation::LockedOut);
        } else if kept {
            if cleaned != STEADFAST_LOCK_UNDECIDED && cleaned != STEADFAST_LOCK_HELD {
                self.world.violate(Violation::WrongAnswer(format!("clean_stale returned {cleaned} for a lock it cannot judge")));
            }
        } else if cleaned != expected {
            self.world.violate(Violation::NotCleaned(cleaned));
        } else {
            let mut held = null_mut();
            let taken = unsafe { steadfast_lock_acquire(context, PATH.as_ptr(), 0, std::ptr::null(), &mut held, null_mut()) };
            if taken != 0 {
                self.world.violate(Violation::NotCleaned(taken));
            } else if unsafe { steadfast_lock_release(held, null_mut()) } != 0 {
                self.world.violate(Violation::WrongAnswer("the last release failed".into()));
            }
            // Where there is no O_TMPFILE, the next taker removes the orphan whose name it needs: the first. One
            // whose writer had found the first name in use stays until somebody needs that name.
            let left = names(&self.world.fs);
            if left.len() > killed as usize || left.iter().any(|n| *n == lock || n.contains(".0.") && !self.is_turn(n, killed)) {
                self.world.violate(Violation::Litter(left.join(" ")));
            }
        }
        let slot = self.scenario.bodies.len() + 1;
        let janitor = &self.world.procs[slot];
        if janitor.fds.iter().any(Option::is_some) || janitor.maps.iter().any(Option::is_some) {
            self.world.violate(Violation::DescriptorLeak);
        }
        self.world.procs[slot].life = Life::Ended;
        self.compare_names();
    }

    /// The names in the fake and in the real directory.
    pub fn compare_names(&mut self) {
        if let Some(mirror) = &mut self.world.mirror {
            let mut fake = names(&self.world.fs);
            fake.sort();
            let real = mirror.names();
            if fake != real {
                self.world.violate(Violation::Mirror(format!("names: fake {fake:?}, real {real:?}")));
            }
        }
    }
}
