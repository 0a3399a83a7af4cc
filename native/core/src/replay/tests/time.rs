//! Time going on: generations, clearing ahead of need, the floor.

use super::*;

#[test]
fn a_nonce_is_remembered_for_as_long_as_its_call_is_in_time() {
    let (_, filter, t) = running();
    let created = T0 + t + SKEW;
    assert_eq!(filter.refusal(at(t), created, "k", "n"), None);
    for later in t..=t + W {
        filter.clear_all(at(later));
        assert_eq!(filter.refusal(at(later), created, "k", "n"), Some(Reason::Replayed), "{} s later", later - t);
    }
    filter.clear_all(at(t + W + 1));
    assert_eq!(filter.refusal(at(t + W + 1), created, "k", "n"), Some(Reason::SignatureExpired));
}

#[test]
fn every_call_in_time_finds_its_table_when_clearing_keeps_up() {
    let (_, filter, start) = running();
    for t in start..start + 6 * W {
        filter.clear_all(at(t));
        for created in T0 + t - MAX_AGE - SKEW..=T0 + t + SKEW {
            assert_eq!(
                filter.refusal(at(t), created, &format!("k{}", created % 3), &format!("{t} {created}")),
                None,
                "at {t}"
            );
        }
    }
}

#[test]
fn clearing_is_due_a_whole_generation_before_it_is_needed() {
    let (_, filter, t) = running();
    let generation = |now: Now| filter.window.newest(now.unix_s());
    let turn = (t..).find(|&t| generation(at(t)) != generation(at(t - 1))).unwrap();
    assert!(matches!(filter.clear_step(at(turn), 10), ClearProgress::Cleared(10)));
    filter.clear_all(at(turn));
    for second in turn..turn + G {
        assert_eq!(filter.clear_step(at(second), 10), ClearProgress::Ready);
    }
}

#[test]
fn a_table_that_is_not_ready_refuses_with_503_and_never_accepts() {
    let (_, filter, t) = running();
    let later = t + 3 * G;
    let rejection = filter.try_claim(at(later), T0 + later, "k", "n").unwrap_err();
    assert_eq!((rejection.reason, rejection.retry_after_s), (Reason::ReplayNotReady, Some(1)));
    let _ = filter.clear_step(at(later), 1);
    assert_eq!(filter.refusal(at(later), T0 + later, "k", "n"), Some(Reason::ReplayNotReady), "half cleared");
    filter.clear_all(at(later));
    assert_eq!(filter.refusal(at(later), T0 + later, "k", "n"), None);
}

#[test]
fn the_floor_only_rises_and_refuses_cleared_generations_whatever_the_clock_says() {
    let (_, filter, t) = running();
    let created = T0 + t;
    assert_eq!(filter.refusal(at(t), created, "k", "n"), None);
    let mut floor = filter.status(at(t)).floor;
    for later in t..t + 3 * W {
        filter.clear_all(at(later));
        let now_floor = filter.status(at(later)).floor;
        assert!(now_floor >= floor && now_floor < T0 + later - MAX_AGE - SKEW);
        floor = now_floor;
    }
    assert!(floor >= created);
    // Back by W exactly: not a jump that closes the gate, and the call's table is long cleared.
    let back = jumped(t + 3 * W, -(W as i64));
    let remembered = back.unix_s() + SKEW;
    assert_eq!(filter.refusal(back, remembered, "k", "n"), None, "what is remembered is still served");
    let near = jumped(t + W + SKEW, -(W as i64));
    assert_eq!(filter.refusal(near, created, "k", "n"), Some(Reason::ReplayFenced));
}

#[test]
fn one_process_clears_and_another_takes_over_when_it_dies_halfway() {
    let (shared, first, t) = running();
    let second = shared.process(3);
    let turn = t + 3 * G;
    assert_eq!(first.clear_step(at(turn), 100), ClearProgress::Cleared(100));
    assert_eq!(second.clear_step(at(turn), 100), ClearProgress::Elsewhere);
    drop(first);
    let mut steps = 0;
    while second.clear_step(at(turn + 2), 100) != ClearProgress::Ready {
        steps += 1;
    }
    // Three generations have passed: three tables, less the hundred slots that are done.
    assert_eq!(steps, (3 * second.layout.slots() - 100).div_ceil(100) - 1);
    assert_eq!(second.refusal(at(turn + 2), T0 + turn, "k", "n"), None);
}

#[test]
fn a_release_after_the_table_was_cleared_does_nothing() {
    let (_, filter, t) = running();
    let claim = filter.try_claim(at(t), T0 + t, "k", "n").unwrap();
    let later = t + 2 * W;
    filter.clear_all(at(later));
    assert!(!filter.release(&claim));
}

#[test]
fn windows_of_any_width_work_down_to_one_second() {
    for (max_age_s, clock_skew_s) in [(0, 0), (1, 0), (1, 1), (2, 0), (3, 0), (0, 1), (300, 60)] {
        let settings = FilterSettings { capacity: 100, max_age_s, clock_skew_s };
        let shared = Shared::unready(settings, at(0), 0);
        let filter = shared.process(1);
        for t in clock_skew_s + 1..clock_skew_s + 20 {
            filter.clear_all(at(t));
            assert_eq!(filter.refusal(at(t), T0 + t, "k", &t.to_string()), None, "{max_age_s} {clock_skew_s} {t}");
            assert_eq!(filter.refusal(at(t), T0 + t, "k", &t.to_string()), Some(Reason::Replayed));
        }
    }
}
