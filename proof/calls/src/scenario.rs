//! The operations, what they find, and what they come to when nothing fails.

use crate::tree::{self, Tree};
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Kind {
    Save,
    Load,
    Remove,
    Acquire,
    Release,
    Clean,
    Inspect,
}

pub struct Scenario {
    pub name: String,
    /// What the program is told to do.
    pub operation: &'static str,
    pub kind: Kind,
    /// What is there before.
    pub before: Tree,
    /// Without a fault.
    pub status: i32,
    /// The file that is saved, or the lock.
    pub target: &'static str,
    /// "lock" while somebody alive holds it: it may never change.
    pub alive: Option<&'static str>,
    pub holder: Option<Child>,
    /// The next call, in a fresh process.
    pub next: &'static str,
}

impl Scenario {
    pub fn plain(&self) -> bool {
        self.name.contains("PLAIN")
    }

    /// A state that alternates: PATH and PATH.prev take turns.
    pub fn alternates(&self) -> bool {
        self.name.contains("ALTERNATE")
    }

    pub fn batch(&self) -> bool {
        self.operation.starts_with("batch")
    }

    pub fn in_place(&self) -> bool {
        self.name.contains("IN_PLACE")
    }

    /// Is PATH.prev written in place as well?
    pub fn closed(&self) -> bool {
        self.name.contains("closed")
    }
}

impl Drop for Scenario {
    fn drop(&mut self) {
        if let Some(holder) = &mut self.holder {
            let _ = holder.kill();
            let _ = holder.wait();
        }
    }
}

fn program(program: &str, arguments: &[&str]) {
    let status = Command::new(program).args(arguments).stderr(Stdio::null()).status().expect("the program runs");
    assert!(status.success(), "{arguments:?} without a fault");
}

/// A process that holds the lock there.
fn hold(subject: &str, directory: &Path) -> Child {
    let mut child = Command::new(subject)
        .args(["hold", directory.to_str().expect("a path"), "h"])
        .stdout(Stdio::piped())
        .spawn()
        .expect("the holder");
    let mut told = [0u8; 4];
    child.stdout.as_mut().expect("its output").read_exact(&mut told).expect("it holds the lock");
    child
}

/// A number that no process has: of one that has ended.
fn dead_pid() -> u32 {
    let mut child = Command::new("true").spawn().expect("true");
    let pid = child.id();
    child.wait().expect("its end");
    pid
}

pub struct Maker<'a> {
    pub subject: &'a str,
    pub directory: &'a Path,
    all: Vec<Scenario>,
}

impl<'a> Maker<'a> {
    pub fn new(subject: &'a str, directory: &'a Path) -> Maker<'a> {
        Maker { subject, directory, all: Vec::new() }
    }

    fn empty(&self) {
        tree::put(self.directory, &Tree::new(), None);
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        std::fs::write(self.directory.join(name), bytes).expect("a file");
    }

    /// Seven saves: the state has generation 7, and the one before it 6.
    pub fn saved(&self) -> Tree {
        self.saved_as("save-previous")
    }

    /// The same of plain files.
    pub fn saved_plain(&self) -> Tree {
        self.saved_as("save-plain-previous")
    }

    /// The same of an alternating state, the newest at PATH.prev. The other way round: after six.
    pub fn saved_in_turn(&self, saves: usize) -> Tree {
        self.saves("save-alternate", saves)
    }

    fn saved_as(&self, operation: &str) -> Tree {
        self.saves(operation, 7)
    }

    fn saves(&self, operation: &str, count: usize) -> Tree {
        self.empty();
        let path = self.directory.to_str().expect("a path");
        for letter in ["1", "2", "3", "4", "5", "6", "7"].into_iter().take(count) {
            self.one(&[operation, path, letter]);
        }
        tree::take(self.directory)
    }

    /// The operation alone, without what the program does after it: the second round is never begun.
    pub fn one(&self, arguments: &[&str]) {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["only"]).collect();
        program(self.subject, &arguments);
    }

    fn add(&mut self, name: &str, operation: &'static str, kind: Kind, status: i32, before: Tree) -> &mut Scenario {
        let of_state = matches!(kind, Kind::Save | Kind::Load | Kind::Remove);
        let (next, target) = if of_state { ("next-state", "state") } else { ("next-free", "lock") };
        let name = name.to_string();
        self.all.push(Scenario { name, operation, kind, before, status, target, alive: None, holder: None, next });
        self.all.last_mut().expect("just pushed")
    }

    fn states(&mut self, batch: bool) {
        use Kind::{Load, Save};
        let root = unsafe { libc::geteuid() } == 0;
        let both = self.saved();
        let mut plain = both.clone();
        plain.remove("state.prev");
        let mut lost = both.clone();
        lost.remove("state");
        let mut damaged = both.clone();
        damaged.get_mut("state").expect("it was saved").bytes[300] ^= 1;
        let mut orphan = plain.clone();
        orphan.insert(".state.0.tmp".into(), plain["state"].clone());
        orphan.get_mut(".state.0.tmp").expect("just put").bytes.truncate(100);
        let mut link = plain.clone();
        let mut entry = plain["state"].clone();
        entry.link = Some("state".into());
        link.insert("link".into(), entry);
        let mut owned = plain.clone();
        let file = owned.get_mut("state").expect("it was saved");
        file.mode = 0o640;
        if root {
            file.owner = (1, 1);
        }
        self.add("save, first", "save", Save, 0, Tree::new());
        self.add("save", "save", Save, 0, plain.clone());
        self.add("save, STRICT", "save-strict", Save, 0, plain.clone());
        self.add("save, large", "save-big", Save, 0, plain.clone());
        self.add("save, KEEP_PREVIOUS, first", "save-previous", Save, 0, plain.clone());
        self.add("save, KEEP_PREVIOUS", "save-previous", Save, 0, both.clone());
        self.add("save, IF_GENERATION", "save-swap", Save, 0, plain.clone());
        self.add("save, IF_GENERATION, none", "save-create", Save, 0, Tree::new());
        self.add("save, FOLLOW_SYMLINK", "save-follow", Save, 0, link);
        self.add("save, NO_SYNC", "save-no-sync", Save, 16, plain.clone());
        self.add("save, another's orphan", "save", Save, 0, orphan);
        self.add("save, owner and mode", "save", Save, 0, owned);
        let parents = self.add("save, CREATE_PARENTS", "save-parents", Save, 0, Tree::new());
        parents.target = "a/b/state";
        parents.next = "next-parents";
        self.add("load", "load", Load, 0, plain.clone());
        self.add("load, none", "load", Load, -libc::ENOENT, Tree::new());
        self.add("load, lost", "load", Load, -10007, lost.clone());
        self.add("load, damaged", "load", Load, -10003, damaged.clone());
        self.add("load, RECOVER, damaged", "recover", Load, 17, damaged);
        self.add("load, RECOVER, lost", "recover", Load, 17, lost);
        if batch {
            self.add("save_batch", "batch", Save, 0, plain.clone());
            self.add("save_batch, SYNCFS", "batch-syncfs", Save, 0, plain.clone());
            self.add("load_into", "load-into", Load, 0, plain);
        }
    }

    /// Writers, readers and removals, of records and of plain files.
    fn streams_and_removals(&mut self) {
        use Kind::{Load, Remove, Save};
        let both = self.saved();
        let mut single = both.clone();
        single.remove("state.prev");
        let mut damaged = both.clone();
        damaged.get_mut("state").expect("it was saved").bytes[300] ^= 1;
        self.add("writer, first", "write", Save, 0, Tree::new());
        self.add("writer", "write", Save, 0, single.clone());
        self.add("writer, large", "write-big", Save, 0, single.clone());
        self.add("writer, descriptor", "write-fd", Save, 0, single.clone());
        self.add("writer, KEEP_PREVIOUS", "write-previous", Save, 0, both.clone());
        self.add("writer, IF_GENERATION", "write-swap", Save, 0, single.clone());
        self.add("writer, NO_SYNC", "write-no-sync", Save, 16, single.clone());
        self.add("reader", "read", Load, 0, single.clone());
        self.add("reader, RECOVER, damaged", "read-recover", Load, 17, damaged);
        self.add("remove", "remove", Remove, 0, both);
        self.add("remove, no previous one", "remove", Remove, 0, single);
        let both = self.saved_plain();
        let mut single = both.clone();
        single.remove("state.prev");
        self.add("writer, PLAIN", "write-plain", Save, 0, single.clone());
        self.add("writer, PLAIN, descriptor", "write-plain-fd", Save, 0, single.clone());
        self.add("writer, PLAIN, IF_GENERATION", "write-plain-swap", Save, 0, single.clone()).next = "next-plain-swap";
        self.add("reader, PLAIN", "read-plain", Load, 0, single);
        self.add("remove, PLAIN", "remove-plain", Remove, 0, both);
    }

    fn plain_states(&mut self) {
        use Kind::{Load, Save};
        let both = self.saved_plain();
        let mut single = both.clone();
        single.remove("state.prev");
        let mut damaged = both.clone();
        damaged.get_mut("state").expect("it was saved").bytes[100] ^= 1;
        self.add("save, PLAIN", "save-plain", Save, 0, single.clone());
        self.add("save, PLAIN, STRICT", "save-plain-strict", Save, 0, single.clone());
        self.add("save, PLAIN, KEEP_PREVIOUS", "save-plain-previous", Save, 0, both.clone());
        self.add("save, PLAIN, IF_GENERATION", "save-plain-swap", Save, 0, single.clone()).next = "next-plain-swap";
        self.add("load, PLAIN", "load-plain", Load, 0, single);
        self.add("load, PLAIN, RECOVER, damaged", "recover-plain", Load, 17, damaged);
    }

    /// Saves in place, of a file that cannot be replaced and in a directory that may not be written (`fault::refused`).
    fn in_place(&mut self) {
        let (record, plain) = (self.saved(), self.saved_plain());
        for (name, operation, before) in [
            ("save, IN_PLACE", "save-in-place", &record),
            ("save, IN_PLACE, closed", "save-in-place-closed", &record),
            ("save, PLAIN, IN_PLACE", "save-in-place-plain", &plain),
        ] {
            let scenario = self.add(name, operation, Kind::Save, 0, before.clone());
            scenario.next = if scenario.plain() { "next-in-place-plain" } else { "next-in-place" };
        }
    }

    /// PATH and PATH.prev take turns.
    fn alternating(&mut self, batch: bool) {
        use Kind::{Load, Remove, Save};
        let (behind, front) = (self.saved_in_turn(7), self.saved_in_turn(6));
        let single = self.saved_in_turn(1);
        let torn = |tree: &Tree, name: &str| {
            let mut torn = tree.clone();
            torn.get_mut(name).expect("it was saved").bytes[300] ^= 1;
            torn
        };
        self.add("save, ALTERNATE", "save-alternate", Save, 0, behind.clone());
        self.add("save, ALTERNATE, into PATH.prev", "save-alternate", Save, 0, front.clone());
        self.add("save, ALTERNATE, again", "save-alternate-again", Save, 0, behind.clone());
        self.add("save, ALTERNATE, STRICT", "save-alternate-strict", Save, 0, behind.clone());
        self.add("save, ALTERNATE, IF_GENERATION", "save-alternate-swap", Save, 0, behind.clone());
        self.add("save, ALTERNATE (KEEP_PREVIOUS), second", "save-alternate", Save, 0, single);
        self.add("save, over ALTERNATE", "save", Save, 0, behind.clone());
        self.add("save, KEEP_PREVIOUS, over ALTERNATE", "save-previous", Save, 0, front.clone());
        self.add("load, ALTERNATE", "load", Load, 0, behind.clone());
        self.add("load, ALTERNATE, torn", "load", Load, 17, torn(&behind, "state.prev"));
        self.add("remove, ALTERNATE", "remove", Remove, 0, front);
        if batch {
            self.add("save_batch, ALTERNATE", "batch-alternate", Save, 0, behind);
        }
    }

    /// The calls that come after those of plain files are theirs.
    fn next_of_plain(&mut self) {
        for scenario in self.all.iter_mut().filter(|scenario| scenario.plain() && scenario.next == "next-state") {
            scenario.next = "next-plain";
        }
    }

    /// A lock whose holder was killed.
    pub fn left(&self) -> Tree {
        self.empty();
        let mut holder = hold(self.subject, self.directory);
        holder.kill().expect("the holder dies");
        holder.wait().expect("the holder's end");
        tree::take(self.directory)
    }

    pub fn bare(&self, pid: u32) -> Tree {
        self.empty();
        self.write("lock", format!("{pid}\n").as_bytes());
        tree::take(self.directory)
    }

    fn locks(&mut self) {
        use Kind::{Acquire, Clean, Inspect, Release};
        let (left, bare) = (self.left(), self.bare(dead_pid()));
        let foreign = self.bare(std::process::id());
        self.add("acquire", "acquire", Acquire, 0, Tree::new());
        self.add("acquire, stale", "acquire", Acquire, 0, left.clone());
        self.add("acquire, stale, foreign", "acquire", Acquire, 0, bare.clone());
        self.add("release", "release", Release, 0, Tree::new());
        self.add("clean_stale, none", "clean", Clean, 0, Tree::new());
        self.add("clean_stale", "clean", Clean, 1, left.clone());
        self.add("clean_stale, foreign", "clean", Clean, 1, bare.clone());
        self.add("inspect", "inspect", Inspect, 6, left);
        self.add("inspect, foreign", "inspect", Inspect, 6, bare);
        for (name, operation, kind, status) in [
            ("acquire, a live foreign owner", "acquire-live", Acquire, -10015),
            ("clean_stale, a live foreign owner", "clean-live", Clean, 2),
            ("inspect, a live foreign owner", "inspect-live", Inspect, 2),
        ] {
            let scenario = self.add(name, operation, kind, status, foreign.clone());
            (scenario.alive, scenario.next) = (Some("lock"), "next-held");
        }
    }

    /// Those with a holder come last and are made one by one: each needs the directory.
    pub fn make(mut self, batch: bool) -> Vec<Scenario> {
        self.states(batch);
        self.plain_states();
        self.streams_and_removals();
        self.in_place();
        self.alternating(batch);
        self.next_of_plain();
        self.locks();
        self.all
    }
}

/// Operations beside a live holder of ours: it holds the lock while they run.
pub fn held(subject: &str, directory: &Path) -> Vec<Scenario> {
    let mut maker = Maker::new(subject, directory);
    maker.empty();
    let mut holder = Some(hold(subject, directory));
    let before = tree::take(directory);
    for (name, operation, kind, status) in [
        ("acquire, held", "acquire-live", Kind::Acquire, -10015),
        ("acquire, held, with a timeout", "acquire-wait-live", Kind::Acquire, -10015),
        ("clean_stale, held", "clean-live", Kind::Clean, 2),
        ("inspect, held", "inspect-live", Kind::Inspect, 2),
    ] {
        let scenario = maker.add(name, operation, kind, status, before.clone());
        (scenario.alive, scenario.next) = (Some("lock"), "next-held");
    }
    // The last one is dropped last, and the holder with it.
    maker.all.last_mut().expect("the last").holder = holder.take();
    maker.all
}
