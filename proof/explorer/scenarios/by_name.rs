//! File systems on which a hard link is another file, with another flock.

use super::super::fs::Links;
use super::*;

const FUSE: i64 = 0x6573_5546;

/// mergerfs with and without use_ino.
const NUMBERS: [(&str, Links); 2] =
    [("own number", Links::Apart { same_number: false }), ("same number", Links::Apart { same_number: true })];

fn apart(links: Links, bodies: &[Body], plant: Plant, kills: u32) -> Scenario {
    Scenario { links, magic: FUSE, forgets: true, ..Scenario::new(bodies, plant, kills) }
}

#[test]
fn held_through_the_name() {
    for (numbers, links) in NUMBERS {
        for plant in [Plant::Nothing, Plant::Bare, Plant::Ours, Plant::Emptied] {
            for (name, bodies) in [("AC", [A, C]), ("AI", [A, I]), ("AF", [A, F])] {
                clean(&format!("{name} {plant:?}, links apart, {numbers}, 2 kills"), apart(links, &bodies, plant, 2));
            }
        }
        clean(&format!("AA Nothing, links apart, {numbers}, 1 kill"), apart(links, &[A, A], Plant::Nothing, 1));
    }
}

#[test]
fn held_through_the_name_from_another_namespace() {
    for (numbers, links) in NUMBERS {
        let namespaces = |scenario: Scenario| Scenario { namespaces: &[1, 2], ..scenario };
        for (name, bodies) in [("AA", [A, A]), ("AC", [A, C]), ("AI", [A, I])] {
            let scenario = namespaces(apart(links, &bodies, Plant::Nothing, 1));
            clean(&format!("{name} Nothing, links apart, {numbers}, 1 kill, namespaces"), scenario);
        }
    }
}
