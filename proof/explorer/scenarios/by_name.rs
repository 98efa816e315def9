//! File systems on which a hard link is another file, with another flock.

use super::super::fs::Links;
use super::*;

const FUSE: i64 = 0x6573_5546;

fn try_all(label: &str, kills: u32, spaces: &'static [u8]) {
    for (numbers, same_number) in [("own number", false), ("same number", true)] {
        let links = Links::Apart { same_number };
        for (name, bodies) in [("AA", [A, A]), ("AC", [A, C]), ("AI", [A, I]), ("AF", [A, F])] {
            if spaces.len() > 0 && name == "AF" {
                continue;
            }
            let scenario = Scenario {
                links,
                magic: FUSE,
                forgets: true,
                namespaces: spaces,
                ..Scenario::new(&bodies, Plant::Nothing, kills)
            };
            let found = report(&format!("{label} {name} Nothing, links apart, {numbers}"), scenario, LIMIT);
            if let Some(v) = found.violation {
                println!("!!! {v:?}\n  {}", found.trace.join("\n  "));
            }
        }
    }
}
#[test]
fn links_apart0() {
    try_all("0", 0, &[]);
}
#[test]
fn links_apart1() {
    try_all("1", 1, &[]);
}
#[test]
fn links_apart_ns() {
    try_all("ns", 0, &[1, 2]);
}
