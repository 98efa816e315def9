//! How a directory with a state begins, and what must hold when all its processes have finished or died.

use super::explore::Explorer;
use super::ledger::{Ledger, PREVIOUS, STATE};
use super::savers;
use super::world::*;

impl Explorer {
    /// The saves that were made before, one after the other.
    pub fn plant_state(&mut self, saves: &[u32], counts: bool) {
        self.world.ledger = Ledger::new(self.world.procs.len(), counts);
        let ghost = self.extra(0);
        for (nth, &flags) in saves.iter().enumerate() {
            unsafe { savers::save(ghost, nth, flags, 0) };
        }
        let slot = self.scenario.bodies.len();
        self.world.bury(slot, Life::Ended);
        self.world.procs[slot].solo = false;
        assert_eq!(self.world.violation, None, "the state could not be planted");
        self.world.fs.opened.clear();
    }

    /// Whatever is left must be loaded, saved twice, and loaded again.
    pub fn check_state_end(&mut self) {
        if self.world.procs.iter().any(|p| p.life == Life::Alive) {
            return self.world.violate(Violation::Stuck);
        }
        let janitor = self.extra(1);
        unsafe {
            savers::load(janitor);
            for nth in 0..2 {
                savers::save(janitor, nth, savers::TURNS, 0);
                savers::load(janitor);
            }
        }
        let slot = self.scenario.bodies.len() + 1;
        // Who was killed leaves what the next saver of that temporary name removes.
        let killed = self.scenario.kills > self.kills_left;
        let may_be_there = |name: &[u8]| [STATE, PREVIOUS].contains(&name) || killed && name.ends_with(b".tmp");
        let end = |name: &super::fs::Name| name.iter().position(|&byte| byte == 0).unwrap_or(name.len());
        let left = self.world.fs.names.iter().map(|(name, _)| &name[..end(name)]).find(|name| !may_be_there(name));
        if let Some(left) = left {
            let left = String::from_utf8_lossy(left).into_owned();
            self.world.violate(Violation::Litter(left));
        }
        if self.world.procs[slot].fds.iter().any(Option::is_some) {
            self.world.violate(Violation::DescriptorLeak);
        }
        self.world.procs[slot].life = Life::Ended;
        self.compare_names();
    }
}
