//! What savers and loaders were told, and what no later answer may contradict.
//!
//! A state is over when its save had ended before another save began that was acknowledged. No load that begins after that may give
//! it. Among savers that all wait for each other's flock the numbers tell the same, and none comes twice.

use super::fs::mix;
use super::world::{Violation, World};

/// The file of a state, and the path given to the library.
pub const STATE: &[u8] = b"S";
pub const PREVIOUS: &[u8] = b"S.prev";
/// Length of a record's header, and where in it the generation is.
pub const HEADER: usize = 256;
const GENERATION: std::ops::Range<usize> = 109..129;
pub const STATE_PATH: &std::ffi::CStr = c"/d/S";

/// One save: who made it, and which of that process's it is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Save {
    pub slot: usize,
    pub nth: usize,
}

impl Save {
    /// Long enough that every piece of a write has some of it.
    pub fn payload(self) -> Vec<u8> {
        format!("P{} save {}\n", self.slot, self.nth).into_bytes().repeat(300)
    }

    /// Whose payload is it? None: it is no save's, or a mixture.
    fn of(payload: &[u8]) -> Option<Save> {
        let line = std::str::from_utf8(payload.split(|&byte| byte == b'\n').next()?).ok()?;
        let (slot, nth) = line.strip_prefix('P')?.split_once(" save ")?;
        let save = Save { slot: slot.parse().ok()?, nth: nth.parse().ok()? };
        (save.payload() == payload).then_some(save)
    }

    fn bit(self) -> u64 {
        1 << (self.slot * 6 + self.nth)
    }
}

/// A call that runs.
#[derive(Clone, Copy, Default)]
struct Call {
    save: Option<Save>,
    /// What had ended when it began.
    ended: u64,
    /// What was over when it began.
    over: u64,
    /// The highest number that anybody had been told when it began.
    newest: u64,
    /// How many had died in the middle of a write when it began.
    cuts: u32,
    /// A file may have been torn while it ran.
    torn: bool,
}

#[derive(Clone, Default)]
pub struct Ledger {
    /// Do the numbers tell the order?
    pub counts: bool,
    calls: Vec<Call>,
    ended: u64,
    over: u64,
    newest: u64,
    /// Which save each number is, as far as anybody has seen it.
    known: Vec<(u64, Save)>,
    /// What successful savers were told.
    told: Vec<u64>,
    /// The numbers that were compared with, and replaced.
    won: Vec<u64>,
    cuts: u32,
    torn: bool,
}

impl Ledger {
    /// Of `processes`, none of which calls.
    pub fn new(processes: usize, counts: bool) -> Ledger {
        Ledger { counts, calls: vec![Call::default(); processes], ..Ledger::default() }
    }

    fn begin(&mut self, slot: usize, save: Option<Save>) {
        let call = Call { save, ended: self.ended, over: self.over, newest: self.newest, cuts: self.cuts, torn: self.torn };
        self.calls[slot] = call;
    }

    pub fn begin_save(&mut self, save: Save) {
        self.begin(save.slot, Some(save));
    }

    pub fn begin_load(&mut self, slot: usize) {
        self.begin(slot, None);
    }

    /// The save of a process that is gone has ended: what it has not done by now it never does. `writing`: it was cut off in the
    /// middle of a write.
    pub fn died(&mut self, slot: usize, writing: bool) {
        let Some(call) = self.calls.get_mut(slot) else { return };
        if let Some(save) = call.save.take() {
            self.ended |= save.bit();
        }
        if writing {
            self.cuts += 1;
            self.torn = true;
            self.calls.iter_mut().for_each(|call| call.torn = true);
        }
    }

    fn know(&mut self, generation: u64, save: Save) -> Result<(), String> {
        match self.known.iter().find(|known| known.0 == generation) {
            Some(&(_, known)) if known != save && self.counts => {
                Err(format!("generation {generation} is {known:?} and {save:?}"))
            }
            Some(_) => Ok(()),
            None => {
                self.known.push((generation, save));
                Ok(())
            }
        }
    }

    /// The running save of a process was acknowledged, with this number. `expected`: with which it compared.
    pub fn saved(&mut self, slot: usize, generation: u64, expected: Option<u64>) -> Result<(), Violation> {
        let call = self.calls[slot];
        let Some(save) = self.calls[slot].save.take() else { return Ok(()) };
        self.over |= call.ended;
        self.ended |= save.bit();
        if call.cuts == self.cuts {
            self.torn = false;
        }
        if self.counts && (self.told.contains(&generation) || generation <= call.newest) {
            return Err(Violation::ToldTwice);
        }
        if expected.is_some_and(|expected| self.won.contains(&expected)) {
            return Err(Violation::WonTwice);
        }
        self.won.extend(expected);
        self.told.push(generation);
        self.newest = self.newest.max(generation);
        self.know(generation, save).map_err(Violation::WrongAnswer)
    }

    /// It was not, and has changed nothing.
    pub fn refused(&mut self, slot: usize) {
        self.calls[slot].save = None;
    }

    /// May the running load say that it has taken the only whole one of the two?
    pub fn may_recover(&self, slot: usize) -> bool {
        self.calls[slot].torn
    }

    /// May it have found nothing?
    pub fn may_miss(&self, slot: usize) -> bool {
        self.calls[slot].newest == 0
    }

    /// The running load of a process gave this.
    pub fn loaded(&mut self, slot: usize, generation: u64, payload: &[u8]) -> Result<(), Violation> {
        let Some(save) = Save::of(payload) else { return Err(Violation::Mixture) };
        let call = self.calls[slot];
        if call.over & save.bit() != 0 || self.counts && generation < call.newest {
            return Err(Violation::Older);
        }
        self.know(generation, save).map_err(Violation::WrongAnswer)
    }

    /// Of whoever is `alive` the running call matters as well.
    pub fn hash(&self, alive: impl Fn(usize) -> bool) -> u64 {
        let mut h = mix(mix(self.ended, self.over), mix(self.newest, u64::from(self.torn)));
        for (slot, call) in self.calls.iter().enumerate().filter(|(slot, _)| alive(*slot)) {
            let flags = u64::from(call.torn) | u64::from(call.cuts == self.cuts) << 1 | u64::from(call.save.is_some()) << 2;
            h = mix(mix(mix(h, slot as u64), mix(call.ended, call.over)), mix(call.newest, flags));
        }
        let sum = |numbers: &mut dyn Iterator<Item = u64>| numbers.fold(0, u64::wrapping_add);
        h = mix(h, sum(&mut self.known.iter().map(|(number, save)| mix(*number, save.bit()))));
        h = mix(h, sum(&mut self.told.iter().map(|&number| mix(1, number))));
        mix(h, sum(&mut self.won.iter().map(|&number| mix(2, number))))
    }
}

impl World {
    /// An answer that the ledger does not bear.
    pub fn judge(&mut self, judged: Result<(), Violation>) {
        if let Err(violation) = judged {
            self.violate(violation);
        }
    }

    /// The number in the header of the file that has this name, as far as it says one.
    pub fn number_at(&self, named: &[u8]) -> Option<(usize, u64)> {
        let node = self.fs.lookup(&super::fs::name(named))?;
        let digits = self.fs.file(node).bytes().get(GENERATION)?;
        Some((node, std::str::from_utf8(digits).ok()?.parse().ok()?))
    }

    /// The files of an alternating state, the newer one first.
    pub fn in_turn(&self) -> Option<[usize; 2]> {
        let (path, previous) = (self.number_at(STATE)?, self.number_at(PREVIOUS)?);
        Some(if path.1 > previous.1 { [path.0, previous.0] } else { [previous.0, path.0] })
    }
}
