//! Which process goes on: every schedule within a bound, or one at random.

use crate::schedule_run::Chooser;

/// All schedules with at most `bound` preemptions, depth first: each run repeats the choices of the one before it up to
/// the last one that still has an alternative. Letting others go on where a process waits or ends is no preemption.
pub struct Search {
    bound: usize,
    stack: Vec<(Vec<usize>, usize)>,
    depth: usize,
    spent: usize,
    /// Runs that did not come by where they were sent: some answer differed.
    pub strayed: u64,
}

impl Search {
    pub fn new(bound: usize) -> Search {
        Search { bound, stack: Vec::new(), depth: 0, spent: 0, strayed: 0 }
    }

    /// On to the next schedule, if there is one.
    pub fn advance(&mut self) -> bool {
        (self.depth, self.spent) = (0, 0);
        while let Some((options, at)) = self.stack.last_mut() {
            *at += 1;
            if *at < options.len() {
                return true;
            }
            self.stack.pop();
        }
        false
    }
}

impl Chooser for Search {
    fn choose(&mut self, able: &[usize], free: usize) -> usize {
        let options = if self.spent < self.bound { able } else { &able[..free] };
        if options.len() == 1 {
            return options[0];
        }
        if self.stack.get(self.depth).is_some_and(|(planned, _)| planned != options) {
            self.strayed += 1;
            self.stack.truncate(self.depth);
        }
        if self.depth == self.stack.len() {
            self.stack.push((options.to_vec(), 0));
        }
        let (options, at) = &self.stack[self.depth];
        self.depth += 1;
        self.spent += usize::from(*at >= free);
        options[*at]
    }
}

/// Preempts now and then.
pub struct Random {
    state: u64,
    /// Of 16.
    often: u64,
}

impl Random {
    pub fn new(seed: u64) -> Random {
        let mut random = Random { state: seed, often: 0 };
        random.often = 1 << (random.next() % 4);
        random
    }

    /// splitmix64.
    fn next(&mut self) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.state;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }
}

impl Chooser for Random {
    fn choose(&mut self, able: &[usize], free: usize) -> usize {
        if free == 1 && self.next() % 16 >= self.often { able[0] } else { able[self.next() as usize % able.len()] }
    }
}

/// A schedule that is known.
pub struct Given(pub Vec<usize>, pub usize);

impl Chooser for Given {
    fn choose(&mut self, able: &[usize], _: usize) -> usize {
        let planned = self.0.get(self.1).copied().filter(|i| able.contains(i));
        self.1 += 1;
        planned.unwrap_or(able[0])
    }
}

/// "0x5,1x3": five steps of the first process, three of the second.
pub fn text(choices: &[usize]) -> String {
    let runs = choices.chunk_by(|a, b| a == b);
    runs.map(|run| format!("{}x{}", run[0], run.len())).collect::<Vec<_>>().join(",")
}

pub fn parse(text: &str) -> Option<Vec<usize>> {
    let mut choices = Vec::new();
    for run in text.split(',') {
        let (who, how_many) = run.split_once('x')?;
        choices.extend(std::iter::repeat_n(who.parse::<usize>().ok()?, how_many.parse().ok()?));
    }
    Some(choices)
}
