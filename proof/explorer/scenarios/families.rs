//! Locks that children inherit, adopt, or do not prolong.

use super::*;

/// One child, forked by the first process.
const CHILD: &[(usize, usize)] = &[(1, 0)];
pub const TWO_CHILDREN: &[(usize, usize)] = &[(1, 0), (2, 0)];

#[test]
fn adoption() {
    for plant in [Plant::Nothing, Plant::Ours] {
        clean(&format!("PK {plant:?}, 2 kills"), Scenario { children: CHILD, ..Scenario::new(&[P, K], plant, 2) });
    }
    // The child's number is shorter, or longer: for a moment the file names neither.
    for numbers in [&[12345, 678][..], &[678, 12345]] {
        let scenario = Scenario { children: CHILD, numbers, ..Scenario::new(&[P, K], Plant::Nothing, 2) };
        clean(&format!("PK Nothing, numbers {numbers:?}, 2 kills"), scenario);
    }
    let thirds = |thirds: &[(&'static str, Body)]| -> Vec<_> {
        thirds.iter().copied().filter(|(name, _)| deep() || *name != "A").collect()
    };
    for (name, third) in thirds(&[("A", A), ("C", C), ("I", I), ("F", F)]) {
        let scenario =
            Scenario { children: CHILD, forgets: true, checks: false, ..Scenario::new(&[P, K, third], Plant::Nothing, 1) };
        clean(&format!("PK{name} Nothing, 1 kill"), scenario);
    }
    for (name, third) in thirds(&[("A", A), ("C", C), ("I", I)]) {
        let scenario = Scenario {
            children: CHILD,
            forgets: true,
            checks: false,
            namespaces: &[0, 0, 1],
            ..Scenario::new(&[P, K, third], Plant::Nothing, 1)
        };
        clean(&format!("PK{name} Nothing, 1 kill, namespace"), scenario);
    }
}

#[test]
fn adoption_closed() {
    for (name, bodies) in [("PK", &[P, K][..]), ("PKC", &[P, K, C]), ("PKI", &[P, K, I]), ("PKA", &[P, K, A])] {
        if bodies.len() > 2 && !deep() {
            continue;
        }
        for refills in [false, true] {
            let scenario = Scenario {
                closes: 1,
                refills,
                children: CHILD,
                forgets: true,
                checks: bodies.len() == 2,
                ..Scenario::new(bodies, Plant::Nothing, 1)
            };
            clean(&format!("{name} Nothing, 1 kill, 1 close, refills: {refills}"), scenario);
        }
    }
}

#[test]
fn guards() {
    for (body, child) in [("Q", Q), ("X", X)] {
        for (name, third) in [("A", A), ("C", C), ("I", I)] {
            for (where_, namespaces) in [("", &[][..]), (", namespace", &[0, 0, 1])] {
                let scenario =
                    Scenario { children: CHILD, forgets: true, namespaces, ..Scenario::new(&[P, child, third], Plant::Ours, 1) };
                clean(&format!("P{body}{name} Ours, 1 kill{where_}"), scenario);
            }
        }
    }
    for (name, bodies) in [("EA", [E, A]), ("EC", [E, C]), ("EI", [E, I])] {
        for (where_, namespaces) in [("", &[][..]), (", namespace", &[0, 1])] {
            clean(&format!("{name} Ours, 2 kills{where_}"), Scenario { namespaces, ..Scenario::new(&bodies, Plant::Ours, 2) });
        }
    }
    clean("XA alone", Scenario::new(&[execer_alone, A], Plant::Ours, 2));
}

#[test]
fn child_does_not_prolong() {
    for plant in [Plant::Nothing, Plant::Ours] {
        clean(
            &format!("parent_alone, heir {plant:?}, 1 kill"),
            Scenario { children: CHILD, ..Scenario::new(&[parent_alone, heir], plant, 1) },
        );
    }
    clean(
        "parent_alone, heir, A",
        Scenario { children: CHILD, forgets: true, ..Scenario::new(&[parent_alone, heir, A], Plant::Nothing, 1) },
    );
}
