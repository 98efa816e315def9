//! Bounds that take too long for every run.

use super::*;

/// STEADFAST_SOAK=SECONDS: bounds that take too long for every run, as deep as the time allows.
#[test]
fn deeper_when_asked() {
    let Some(seconds) = std::env::var("STEADFAST_SOAK").ok().and_then(|text| text.parse::<u64>().ok()) else {
        println!("SKIPPED: deeper bounds of the explorer, set STEADFAST_SOAK=SECONDS");
        return;
    };
    let end = std::time::Instant::now() + Duration::from_secs(seconds);
    let shallow: [(&str, &[Body], u32, u32); 8] = [
        ("AAF", &[A, A, F], 2, 0),
        ("ACF", &[A, C, F], 2, 1),
        ("AAC", &[A, A, C], 2, 0),
        ("AAF", &[A, A, F], 2, 1),
        ("AACF", &[A, A, C, F], 1, 0),
        ("WAF", &[W, A, F], 1, 0),
        ("AAA", &[A, A, A], 1, 1),
        ("AAAC", &[A, A, A, C], 1, 0),
    ];
    let family = Scenario {
        children: families::TWO_CHILDREN,
        forgets: true,
        checks: false,
        ..Scenario::new(&[P, K, K], Plant::Nothing, 1)
    };
    let found = report("PKK Nothing, 1 kill", family, Duration::from_secs(seconds / 4));
    assert!(found.violation.is_none(), "PKK: {:?}\n  {}", found.violation, found.trace.join("\n  "));
    for (name, bodies, kills, reuses) in shallow {
        for plant in [Plant::Bare, Plant::Ours] {
            let left = end.saturating_duration_since(std::time::Instant::now());
            if left.is_zero() {
                println!("explorer: {name} {plant:?}, {kills} kills, {reuses} reuses: NOT BEGUN, the time is over");
                continue;
            }
            let scenario = Scenario { forgets: true, reuses, ..Scenario::new(bodies, plant, kills) };
            let found = report(&format!("{name} {plant:?}, {kills} kills, {reuses} reuses"), scenario, left);
            assert!(found.violation.is_none(), "{name}: {:?}\n  {}", found.violation, found.trace.join("\n  "));
        }
    }
}
