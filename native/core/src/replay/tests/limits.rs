//! A table that fills, and who pays for it.

use super::*;

#[test]
fn all_calls_of_a_window_may_carry_one_second() {
    let (_, filter, t) = running();
    let mut probes = 0;
    for i in 0..1000 {
        probes += filter.try_claim(at(t), T0 + t, &format!("k{}", i % 7), &i.to_string()).unwrap().probes();
    }
    assert!(probes <= 2 * 1000, "mean probe length {}", f64::from(probes) / 1000.0);
    let rejection = filter.try_claim(at(t), T0 + t, "k", "one more").unwrap_err();
    assert_eq!((rejection.reason, rejection.retry_after_s), (Reason::ReplayFull, Some(G as u32)));
}

#[test]
fn a_full_table_still_knows_replays_and_takes_released_nonces() {
    let (_, filter, t) = running();
    let claims: Vec<_> =
        (0..1000).map(|i| filter.try_claim(at(t), T0 + t, &format!("k{}", i % 7), &i.to_string()).unwrap()).collect();
    assert_eq!(filter.refusal(at(t), T0 + t, "k0", "0"), Some(Reason::Replayed));
    assert!(filter.release(&claims[0]));
    assert_eq!(filter.refusal(at(t), T0 + t, "k0", "0"), None);
}

#[test]
fn a_full_table_does_not_fill_the_next_generation() {
    let (_, filter, t) = running();
    for i in 0..1000 {
        filter.try_claim(at(t), T0 + t, &format!("k{}", i % 7), &i.to_string()).unwrap();
    }
    let later = t + G;
    filter.clear_all(at(later));
    assert_eq!(filter.refusal(at(later), T0 + later, "k", "n"), None);
}

#[test]
fn one_key_fills_half_of_a_table_and_is_refused_alone() {
    let (_, filter, t) = running();
    for i in 0..500 {
        assert_eq!(filter.refusal(at(t), T0 + t, "flood", &i.to_string()), None);
    }
    for i in 500..5000 {
        let rejection = filter.try_claim(at(t), T0 + t, "flood", &i.to_string()).unwrap_err();
        assert_eq!((rejection.reason, rejection.retry_after_s), (Reason::KeyQuota, Some(G as u32)));
    }
    assert_eq!(filter.refusal(at(t), T0 + t, "flood", "0"), Some(Reason::Replayed), "known nonces are still known");
    for i in 0..400 {
        assert_eq!(filter.refusal(at(t), T0 + t, &format!("honest {}", i % 3), &i.to_string()), None);
    }
}

#[test]
fn claims_that_are_released_and_claimed_again_count_once() {
    let (_, filter, t) = running();
    for _ in 0..2000 {
        let claim = filter.try_claim(at(t), T0 + t, "k", "n").unwrap();
        assert!(filter.release(&claim));
    }
    assert_eq!(filter.status(at(t)).claims, 1);
}

#[test]
fn the_status_counts_claims_over_clearings() {
    let (_, filter, start) = running();
    for t in start..start + 10 * W {
        filter.clear_all(at(t));
        filter.try_claim(at(t), T0 + t, "k", &t.to_string()).unwrap();
    }
    let status = filter.status(at(start + 10 * W - 1));
    assert_eq!(status.claims, 10 * W);
    assert!(status.tables.iter().map(|table| table.fill).sum::<u64>() <= 4 * G);
    assert!(status.ready && status.clock_safe);
}

#[test]
fn memory_is_sixty_four_bytes_for_each_call_of_capacity() {
    let bytes = |capacity| Layout::new(capacity).unwrap().bytes();
    assert_eq!(bytes(2_000_000) - bytes(1_000_000), 64 * 1_000_000);
    assert!(bytes(1) < 300 * 1024);
    assert!(Layout::new(0).is_err() && Layout::new(Layout::MAX_CAPACITY + 1).is_err());
}

#[test]
fn the_smallest_filter_works() {
    let shared = Shared::fresh(1, at(0));
    let filter = shared.process(1);
    filter.clear_all(at(SKEW + 1));
    assert_eq!(filter.refusal(at(SKEW + 1), T0 + SKEW + 1, "k", "n"), None);
    assert_eq!(filter.refusal(at(SKEW + 1), T0 + SKEW + 1, "k", "n"), Some(Reason::Replayed));
}
