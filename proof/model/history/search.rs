//! Running histories, and what is found.

use super::after::Store;
use super::plan::*;
use super::stage::{Kind, Stage, Step, Trouble, Who};
use super::words::{ALTERNATE, PLAIN_FILE};
use super::{cuts, promise};
use crate::states::Model;
use crate::trace::Mutant;
use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Instant;

/// What was found, the same things together.
struct Findings {
    begun: Instant,
    histories: u64,
    cuts: u64,
    bad: BTreeMap<String, (u64, String)>,
}

impl Findings {
    fn new() -> Findings {
        Findings { begun: Instant::now(), histories: 0, cuts: 0, bad: BTreeMap::new() }
    }

    fn add(&mut self, why: &str, history: &str) {
        let what: String = why.chars().map(|c| if c.is_ascii_digit() { '#' } else { c }).collect();
        let what = what.split("; after ").next().unwrap_or_default().to_string();
        self.bad.entry(what).or_insert_with(|| (0, format!("{history}: {why}"))).0 += 1;
    }
}

pub struct Search {
    who: Who,
    mutant: Mutant,
    model: Model,
    /// What the platform lacks once a history has begun.
    pub absent: u32,
    store: Store,
    kinds: Vec<Kind>,
    pub beginnings: &'static [(&'static str, Beginning)],
    findings: Findings,
    /// Of the histories that end with another save one in so many is run; of the troubles of the first save one in its square
    /// root; of two savers at once fewer.
    pub one_in: u64,
    counted: u64,
    /// A violation that says this ends it.
    hunted: Option<&'static str>,
    found: Option<String>,
    /// Histories that have been cut at every point.
    known: HashSet<u64>,
}

impl Search {
    pub fn new(who: Who, mutant: Mutant, model: Model) -> Search {
        Search {
            who,
            mutant,
            model,
            absent: 0,
            store: Store::new(who),
            kinds: kinds(who),
            beginnings: &BEGINNINGS,
            findings: Findings::new(),
            one_in: 1,
            counted: 0,
            hunted: None,
            found: None,
            known: HashSet::new(),
        }
    }

    /// All states are plain files.
    pub fn of_plain_files(mutant: Mutant, model: Model) -> Search {
        let mut search = Search::new(Who::Library, mutant, model);
        search.kinds = PLAIN_KINDS.to_vec();
        search.beginnings = &PLAIN_BEGINNINGS;
        search.store.kinds = vec![PLAIN_FILE];
        search
    }

    /// States alternate.
    pub fn of_alternating(who: Who, mutant: Mutant, model: Model) -> Search {
        let mut search = Search::new(who, mutant, model);
        search.beginnings = &ALTERNATING_BEGINNINGS;
        (search.kinds, search.store.kinds) = match who {
            Who::Library => (ALTERNATING_KINDS.to_vec(), vec![0, ALTERNATE]),
            Who::Saver(_) => (SAVERS_ALTERNATING_KINDS.to_vec(), vec![ALTERNATE]),
        };
        if who != Who::Library {
            search.beginnings = &ALTERNATING_BEGINNINGS[..OF_SAVER];
        }
        search
    }

    /// Searches until a violation says this.
    pub fn hunt_for(&mut self, says: &'static str) {
        self.hunted = Some(says);
    }

    pub fn found(&self) -> Option<&str> {
        self.found.as_deref()
    }

    fn add(&mut self, why: &str, history: &str) {
        self.findings.add(why, history);
        if self.hunted.is_some_and(|says| why.contains(says)) {
            self.found.get_or_insert_with(|| format!("{history}: {why}"));
        }
    }

    /// Is the next history one of those that are run? The same ones every time, but in no step with the loops.
    fn is_due(&mut self, one_in: u64) -> bool {
        self.counted += 1;
        (self.counted.wrapping_mul(0x9E37_79B9_7F4A_7C15) >> 32).is_multiple_of(one_in)
    }

    /// Prints what was found since the last report: the kinds of violations.
    pub fn report(&mut self, what: &str) -> usize {
        let Findings { begun, histories, cuts, bad } = std::mem::replace(&mut self.findings, Findings::new());
        println!(
            "model: {what}, {:?}, {:?}: {histories} histories, {cuts} crash states, {} different so far, {} kinds of violations, {:.1} s",
            self.who,
            self.model,
            self.store.trees(),
            bad.len(),
            begun.elapsed().as_secs_f64()
        );
        for (count, first) in bad.values().take(30) {
            println!("model:   {count} times: {first}");
        }
        bad.len()
    }

    fn begin(&self, beginning: Beginning) -> Box<Stage> {
        let mut stage = begin(self.who, self.mutant, beginning);
        stage.absent = self.absent;
        stage
    }

    /// Is each answer since event `from` true when it is given?
    fn answers(&mut self, stage: &Stage, from: usize, describe: &dyn Fn() -> String) {
        for (at, entry) in stage.entries.iter().enumerate() {
            if entry.save.ended <= Some(from) {
                continue;
            }
            // What was known when it was asked for.
            let known = if entry.alone { &stage.entries[..=at] } else { &stage.entries };
            let saves = known.iter().filter(|other| other.path == entry.path).map(|other| other.save.clone());
            let history = promise::History { saves: saves.collect(), began_lost: stage.began_lost };
            let answered = promise::answer(&history, &entry.save, entry.before);
            let works = || if entry.untroubled { promise::works(&entry.save, entry.before) } else { Ok(()) };
            if let Err(why) = answered.and_then(|()| works()) {
                self.add(&why, &describe());
            }
        }
    }

    /// Answers, and every power cut, from event `from` on.
    fn judge(&mut self, stage: &Stage, from: usize, describe: &dyn Fn() -> String) {
        self.findings.histories += 1;
        self.answers(stage, from, describe);
        let (count, result) = cuts::explore(stage, from, self.model, &mut self.store);
        self.findings.cuts += count;
        if let Err(why) = result {
            self.add(&why, &format!("{}, {:?}", describe(), self.model));
        }
    }

    /// Each kind of save with each trouble, and then each kind.
    pub fn pairs(&mut self, (label, beginning): (&str, Beginning)) {
        for first in self.kinds.clone() {
            let calls = self.begin(beginning).run(Step { kind: first, trouble: Trouble::None }, None);
            for trouble in troubles(calls).into_iter().step_by(self.one_in.isqrt() as usize) {
                let step = Step { kind: first, trouble };
                let mut stage = self.begin(beginning);
                let from = stage.recorder.events.len();
                stage.run(step, None);
                if !self.is_new(&stage) {
                    // What would come after it has been seen; its answer has not.
                    self.answers(&stage, from, &|| format!("{label}; {step}"));
                    continue;
                }
                self.judge(&stage, from, &|| format!("{label}; {step}"));
                for second in self.kinds.clone() {
                    if !self.is_due(self.one_in) {
                        continue;
                    }
                    let mut stage = self.begin(beginning);
                    stage.run(step, None);
                    let middle = stage.recorder.events.len();
                    stage.run(Step { kind: second, trouble: Trouble::None }, None);
                    self.judge(&stage, middle, &|| format!("{label}; {step}; {}", second.name));
                    if self.found.is_some() {
                        return;
                    }
                }
            }
        }
    }

    /// Each kind of save with each trouble, and a reader before each of its calls, and while a write in place is half done.
    pub fn readers(&mut self, (label, beginning): (&str, Beginning)) {
        for kind in self.kinds.clone() {
            let calls = self.begin(beginning).run(Step { kind, trouble: Trouble::None }, None);
            for trouble in troubles(calls).into_iter().step_by(self.one_in.isqrt() as usize) {
                let step = Step { kind, trouble };
                let mut stage = self.begin(beginning);
                stage.is_read = true;
                stage.run(step, None);
                self.findings.histories += 1;
                if let Some(why) = stage.misread.take() {
                    self.add(&why, &format!("{label}; {step}"));
                }
            }
        }
    }

    /// Each kind of save, at each of its calls interrupted by each kind that another saver does as a whole.
    pub fn overlapping(&mut self, (label, beginning): (&str, Beginning)) {
        // There are many, of which most do the same.
        let often = if self.one_in > 1 { 3 * self.one_in } else { 1 };
        for first in self.kinds.clone() {
            let calls = self.begin(beginning).run(Step { kind: first, trouble: Trouble::None }, None);
            for second in self.kinds.clone() {
                for call in 0..calls {
                    if !self.is_due(often) {
                        continue;
                    }
                    let mut stage = self.begin(beginning);
                    let from = stage.recorder.events.len();
                    let next = Step { kind: second, trouble: Trouble::None };
                    stage.run(Step { kind: first, trouble: Trouble::Paused { call } }, Some(next));
                    let describe = || format!("{label}; {} and before its call {call} {}", first.name, second.name);
                    if self.is_new(&stage) {
                        self.judge(&stage, from, &describe);
                    } else {
                        self.answers(&stage, from, &describe);
                    }
                    if self.found.is_some() {
                        return;
                    }
                }
            }
        }
    }

    /// Three saves, each with a trouble of its own or none, while `more` says so.
    pub fn random(&mut self, seed: u64, more: impl Fn(u64) -> bool) {
        let mut random = Random(seed | 1);
        let kinds = self.kinds.clone();
        while more(self.findings.histories) && self.found.is_none() {
            let (label, beginning) = self.beginnings[random.below(self.beginnings.len() as u64) as usize];
            let mut stage = self.begin(beginning);
            let from = stage.recorder.events.len();
            let steps: Vec<Step> = (0..3).map(|_| random.step(&kinds)).collect();
            for (at, &step) in steps.iter().enumerate() {
                // Whoever comes while one is paused has come.
                let came = at > 0 && matches!(steps[at - 1].trouble, Trouble::Paused { .. });
                if !came {
                    stage.run(step, steps.get(at + 1).copied());
                }
            }
            let describe = || format!("{label}; {}", steps.iter().map(Step::to_string).collect::<Vec<_>>().join("; "));
            self.judge(&stage, from, &describe);
        }
    }

    /// Has nothing yet done and answered the same?
    fn is_new(&mut self, stage: &Stage) -> bool {
        let mut hasher = DefaultHasher::new();
        stage.recorder.events.hash(&mut hasher);
        for entry in &stage.entries {
            let same = entry.save.answer.map(|answer| (answer.told.saved(), answer.told.on_disk, answer.after));
            (entry.save.flags, entry.save.unsynced, same).hash(&mut hasher);
        }
        self.known.insert(hasher.finish())
    }
}

/// xorshift64*: the seed is printed, so a run can be repeated.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }

    fn step(&mut self, kinds: &[Kind]) -> Step {
        let kind = kinds[self.below(kinds.len() as u64) as usize];
        // As many calls as a save makes, about; beyond its last one nothing happens.
        let call = self.below(26) as u32;
        let trouble = match self.below(10) {
            0..=3 => Trouble::None,
            4 => Trouble::FileSyncs,
            5 => Trouble::DirectorySyncs,
            6 => Trouble::Killed { call },
            7 => Trouble::Paused { call },
            _ => Trouble::Fails { call, errno: ERRORS[self.below(ERRORS.len() as u64) as usize] },
        };
        Step { kind, trouble }
    }
}
