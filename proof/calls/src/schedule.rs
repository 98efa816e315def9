//! Real processes under a scheduler: every schedule within a bound, then random ones for the rest of the time.

use crate::schedule_choice::{Given, Random, Search, parse, text};
use crate::schedule_run::{self, Chooser, Done, Plan};
use crate::schedule_scenario::{self as scenario, Scenario};
use crate::tracee::Filter;
use std::path::Path;
use std::time::{Duration, Instant};

struct Bench<'a> {
    filter: &'a Filter,
    directory: &'a Path,
    program: &'a str,
    /// Look after each step; without it what the processes themselves have seen must do.
    watched: bool,
    /// Of a mutant: what must be seen of it. Anything else is not enough.
    sought: Option<&'a str>,
    no_flock: bool,
    no_exchange: bool,
}

pub struct Settings<'a> {
    pub seconds: u64,
    pub seed: u64,
    pub soak: bool,
    pub only: Option<&'a str>,
    pub schedule: Option<&'a str>,
}

#[derive(Default)]
struct Tally {
    schedules: u64,
    steps: u64,
}

/// The number of a process that has just ended: it is given to nobody for a while.
fn dead_pid() -> i32 {
    unsafe {
        let pid = libc::fork();
        if pid == 0 {
            libc::_exit(0);
        }
        libc::waitpid(pid, std::ptr::null_mut(), 0);
        pid
    }
}

impl Bench<'_> {
    fn one(&self, scenario: &Scenario, chooser: &mut dyn Chooser, told: bool) -> Result<(Done, Option<String>), String> {
        let mut dead = scenario.before.clone();
        if scenario.dead_owner {
            dead.get_mut("lock").expect("a lock").bytes = format!("{}\n", dead_pid()).into_bytes();
        }
        let plan = Plan {
            filter: self.filter,
            program: self.program,
            directory: self.directory,
            before: &dead,
            processes: scenario.processes,
            watch: self.watched.then_some(scenario.watch),
            no_flock: self.no_flock,
            no_exchange: self.no_exchange,
            told,
        };
        let done = schedule_run::run(&plan, chooser)?;
        let wrong = done.broken.clone().or_else(|| (scenario.check)(scenario.processes, &done).err());
        Ok((done, wrong))
    }

    /// One more schedule; what was wrong with it, and which one it was.
    fn count(&self, scenario: &Scenario, chooser: &mut dyn Chooser, tally: &mut Tally) -> Result<(), (String, Vec<usize>)> {
        let (done, wrong) = self.one(scenario, chooser, false).map_err(|why| (why, Vec::new()))?;
        tally.schedules += 1;
        tally.steps += done.steps as u64;
        match wrong {
            Some(wrong) if self.sought.is_none_or(|sought| wrong.contains(sought)) => Err((wrong, done.choices)),
            _ => Ok(()),
        }
    }

    /// All schedules within the bound, as far as there is time: was there? Those with one preemption come first: they find
    /// most.
    fn search(
        &self,
        scenario: &Scenario,
        bound: usize,
        until: Instant,
        tally: &mut Tally,
    ) -> Result<(bool, u64), (String, Vec<usize>)> {
        let mut strayed = 0;
        for bound in [1, bound].into_iter().take(bound.min(2)) {
            let mut search = Search::new(bound);
            let mut more = true;
            while more {
                self.count(scenario, &mut search, tally)?;
                more = search.advance();
                if more && Instant::now() >= until {
                    return Ok((false, strayed + search.strayed));
                }
            }
            strayed += search.strayed;
        }
        Ok((true, strayed))
    }

    /// Says what was wrong, and how it came to it.
    fn tell(&self, scenario: &Scenario, wrong: &str, choices: &[usize]) {
        println!("not ok {}: {wrong}", scenario.name);
        println!("    again: --only '{}' --schedule {}", scenario.name, text(choices));
        if let Ok((done, _)) = self.one(scenario, &mut Given(choices.to_vec(), 0), true) {
            let before = done.story.len().saturating_sub(120);
            done.story[before..].iter().for_each(|step| println!("    {step}"));
        }
    }
}

fn mutants(bench: &Bench, programs: &Path, scenarios: &[Scenario], until: Instant) -> (u64, u64) {
    let (mut killed, mut survived) = (0, 0);
    for (mutant, sought, name) in scenario::MUTANTS {
        // The library makes flock and renameat2 by number: no function of the program can take its place, so the scheduler does.
        let (no_flock, no_exchange) = (mutant == "NO_FLOCK", mutant == "NO_EXCHANGE");
        let program = programs.join(if no_flock || no_exchange { "subject" } else { mutant });
        let program = program.to_str().expect("a path");
        let bench = Bench { program, watched: false, sought: Some(sought), no_flock, no_exchange, ..*bench };
        let mut tally = Tally::default();
        let scenario = scenarios.iter().find(|scenario| scenario.name == name).expect("a scenario");
        let found = bench.search(scenario, scenario.bound, until, &mut tally).err();
        match found {
            Some((wrong, _)) => {
                killed += 1;
                println!("mutant {mutant} killed after {} schedules by {name}: {wrong}", tally.schedules);
            }
            None => {
                survived += 1;
                println!("not ok mutant {mutant} survived {} schedules of {name}", tally.schedules);
            }
        }
    }
    (killed, survived)
}

pub fn run(filter: &Filter, directory: &Path, programs: &Path, settings: &Settings) -> Result<(u64, u64), String> {
    let begun = Instant::now();
    let end = begun + Duration::from_secs(settings.seconds);
    let subject = programs.join("subject");
    let bench = Bench {
        filter,
        directory,
        program: subject.to_str().expect("a path"),
        watched: true,
        sought: None,
        no_flock: false,
        no_exchange: false,
    };
    let mut scenarios = scenario::make(bench.program, directory);
    scenarios.retain(|scenario| settings.only.is_none_or(|only| scenario.name == only));
    if let (Some(given), [scenario]) = (settings.schedule, scenarios.as_slice()) {
        let choices = parse(given).ok_or("a schedule is 0x5,1x3")?;
        let (done, wrong) = bench.one(scenario, &mut Given(choices, 0), true)?;
        done.story.iter().for_each(|step| println!("    {step}"));
        let lines = wrong.iter().map(|wrong| println!("not ok {}: {wrong}", scenario.name)).count() as u64;
        return Ok((1 - lines, lines));
    }
    let (killed, survived) = match settings.only {
        Some(_) => (0, 0),
        None => mutants(&bench, programs, &scenarios, begun + Duration::from_secs(settings.seconds / 4 + 10)),
    };

    // The rest of the time is for schedules at random; what one scenario does not need of its share, the others get.
    let share = if settings.soak { 0.5 } else { 0.85 };
    let searched = Instant::now() + end.saturating_duration_since(Instant::now()).mul_f64(share);
    let mut all = Tally::default();
    let mut broken = vec![false; scenarios.len()];
    let mut cut = 0;
    for (i, scenario) in scenarios.iter().enumerate() {
        let left = searched.saturating_duration_since(Instant::now());
        let until = Instant::now() + left / (scenarios.len() - i) as u32;
        let (mut tally, from) = (Tally::default(), Instant::now());
        let bound = scenario.bound + usize::from(settings.soak);
        let told = match bench.search(scenario, bound, until, &mut tally) {
            Ok((done, strayed)) => {
                cut += u32::from(!done);
                let strayed = if strayed > 0 { format!(", {strayed} strayed") } else { String::new() };
                format!("{}{strayed}", if done { "all" } else { "CUT BY BUDGET" })
            }
            Err((wrong, choices)) => {
                broken[i] = true;
                bench.tell(scenario, &wrong, &choices);
                "stopped".into()
            }
        };
        let milliseconds = from.elapsed().as_millis();
        println!(
            "{}: {} schedules with at most {bound} preemptions ({told}), {} steps, {milliseconds} ms",
            scenario.name, tally.schedules, tally.steps
        );
        all.schedules += tally.schedules;
        all.steps += tally.steps;
    }
    let mut at_random = Tally::default();
    let mut seed = settings.seed;
    let live: Vec<usize> = (0..scenarios.len()).filter(|&i| !broken[i]).collect();
    for &i in live.iter().cycle() {
        if Instant::now() >= end {
            break;
        }
        seed = seed.wrapping_add(1);
        if !broken[i]
            && let Err((wrong, choices)) = bench.count(&scenarios[i], &mut Random::new(seed), &mut at_random)
        {
            broken[i] = true;
            bench.tell(&scenarios[i], &wrong, &choices);
        }
    }
    let failed = broken.iter().filter(|&&broken| broken).count() as u64;
    println!(
        "{} scenarios, {} schedules within their bounds and {} at random, {} steps, {cut} cut by budget, seed {}, {} seconds",
        scenarios.len(),
        all.schedules,
        at_random.schedules,
        all.steps + at_random.steps,
        settings.seed,
        begun.elapsed().as_secs()
    );
    println!("{killed} mutants killed, {survived} survived");
    Ok((scenarios.len() as u64 - failed + killed, failed + survived))
}
