//! A wall clock that jumps.

use super::*;

const YEAR: i64 = 365 * 24 * 3600;

/// Lets the timer tick for some seconds while the wall clock is off by `jump`.
fn ticks(filter: &Filter, seconds: std::ops::Range<u64>, jump: i64) {
    for t in seconds {
        filter.clear_all(jumped(t, jump));
    }
}

#[test]
fn a_jump_of_more_than_the_window_closes_the_gate_for_every_process() {
    let (shared, filter, t) = running();
    for jump in [W as i64 + 1, -(W as i64) - 1, YEAR, -YEAR] {
        let now = jumped(t, jump);
        let rejection = filter.try_claim(now, now.unix_s(), "k", "n").unwrap_err();
        assert_eq!((rejection.reason, rejection.retry_after_s), (Reason::ClockUnsafe, Some(W as u32 + 1)));
    }
    assert_eq!(
        shared.process(3).refusal(at(t), T0 + t, "k", "n"),
        Some(Reason::ClockUnsafe),
        "until the timer opens it"
    );
}

#[test]
fn the_gate_reopens_behind_a_new_fence_when_the_clock_comes_back() {
    let (_, filter, t) = running();
    assert_eq!(filter.refusal(jumped(t, YEAR), T0 + t, "k", "n"), Some(Reason::ClockUnsafe));
    filter.clear_all(at(t));
    let rejection = filter.try_claim(at(t), T0 + t + SKEW, "k", "n").unwrap_err();
    assert_eq!((rejection.reason, rejection.retry_after_s), (Reason::ReplayFenced, Some(SKEW as u32 + 1)));
    assert_eq!(filter.refusal(at(t + 1), T0 + t + SKEW + 1, "k", "n"), None);
}

#[test]
fn a_clock_set_for_good_is_believed_after_a_window_and_nothing_accepted_before_passes_again() {
    for jump in [-(2 * W as i64), YEAR, W as i64 + 1] {
        let (_, filter, t) = running();
        assert_eq!(filter.refusal(at(t), T0 + t, "k", "n"), None);
        for second in t..t + W {
            filter.clear_all(jumped(second, jump));
            assert_eq!(filter.refusal(jumped(second, jump), T0 + t, "k", "n"), Some(Reason::ClockUnsafe));
        }
        let reopened = jumped(t + W, jump);
        filter.clear_all(reopened);
        let created = reopened.unix_s() + SKEW;
        assert_eq!(filter.refusal(reopened, created, "k", "n"), Some(Reason::ReplayFenced));
        for second in t + W..t + 8 * W {
            filter.clear_all(jumped(second, jump));
            assert_ne!(filter.refusal(jumped(second, jump), T0 + t, "k", "n"), None, "{second} s, jump {jump}");
        }
        // In the end honest calls pass again.
        let end = jumped(t + 8 * W, jump);
        filter.clear_all(end);
        assert_eq!(filter.refusal(end, end.unix_s(), "k", "fresh"), None, "jump {jump}");
    }
}

#[test]
fn the_fence_of_the_files_creation_stays_when_the_clock_is_set_back() {
    let filter = Shared::fresh(1000, at(0)).process(1);
    let back = -(2 * W as i64);
    ticks(&filter, 0..2 * W + SKEW, back);
    assert!(filter.status(jumped(2 * W, back)).clock_safe);
    let now = jumped(2 * W, back);
    assert_eq!(filter.refusal(now, now.unix_s() + SKEW, "k", "n"), Some(Reason::ReplayFenced));
    ticks(&filter, 2 * W + SKEW..2 * W + SKEW + 2, back);
    assert_eq!(filter.refusal(jumped(2 * W + SKEW + 1, back), T0 + SKEW + 1, "k", "n"), None);
}

#[test]
fn a_clock_that_wanders_before_it_settles_is_not_believed() {
    let (_, filter, t) = running();
    for second in t..t + 4 * W {
        let jump = YEAR + 10 * (second % 2) as i64;
        let _ = filter.clear_step(jumped(second, jump), 10);
        assert!(!filter.status(jumped(second, jump)).clock_safe);
    }
}

#[test]
fn a_year_ahead_and_back_without_a_call_leaves_the_filter_usable() {
    let (_, filter, t) = running();
    ticks(&filter, t..t + 10 * W, YEAR);
    assert!(filter.status(jumped(t + 10 * W, YEAR)).clock_safe, "it was believed");
    ticks(&filter, t + 10 * W..t + 12 * W, 0);
    let now = at(t + 12 * W);
    assert_eq!(filter.refusal(now, now.unix_s(), "k", "n"), None);
    assert_eq!(filter.refusal(now, now.unix_s(), "k", "n"), Some(Reason::Replayed));
}

#[test]
fn calls_accepted_a_year_ahead_are_refused_when_that_time_comes() {
    let (_, filter, t) = running();
    ticks(&filter, t..t + 2 * W, YEAR);
    let ahead = jumped(t + 2 * W, YEAR);
    assert_eq!(filter.refusal(ahead, ahead.unix_s(), "k", "n"), None);
    ticks(&filter, t + 2 * W..t + 6 * W, 0);
    assert!(filter.status(at(t + 6 * W)).floor < T0 + t + 6 * W, "and the present is not given up for it");
    let a_year_later = at(t + 2 * W + YEAR as u64);
    filter.clear_all(a_year_later);
    assert_eq!(filter.refusal(a_year_later, ahead.unix_s(), "k", "n"), Some(Reason::Replayed));
}

/// The one way to have a table cleared for a generation that it served before: only the floor stands against it.
#[test]
fn a_year_ahead_and_then_back_before_a_call_does_not_make_it_new_again() {
    let (_, filter, t) = running();
    let created = T0 + t + SKEW;
    assert_eq!(filter.refusal(at(t), created, "k", "n"), None);
    ticks(&filter, t..t + 4 * W, YEAR);
    let start = t + 4 * W;
    let back = t as i64 - 3 - (start + W) as i64;
    for second in start..start + 2 * W {
        filter.clear_all(jumped(second, back));
        assert_ne!(filter.refusal(jumped(second, back), created, "k", "n"), None, "{} s later", second - start);
    }
}

#[test]
fn a_call_that_was_judged_a_year_ahead_is_refused_once_its_table_is_lowered() {
    let (shared, filter, t) = running();
    ticks(&filter, t..t + 2 * W, YEAR);
    let ahead = jumped(t + 2 * W, YEAR);
    let call = SignedCall { created: ahead.unix_s(), key_id: b"k", nonce: b"slow" };
    let stopped = filter.begin(ahead, &call).unwrap();
    ticks(&shared.process(3), t + 2 * W + 2..t + 5 * W, 0);
    assert_eq!(filter.finish(&stopped).unwrap_err().reason, Reason::ReplayNotReady);
}

#[test]
fn a_claim_that_slipped_in_while_a_table_was_lowered_is_covered_by_the_floor_whoever_finishes() {
    let (shared, filter, t) = running();
    ticks(&filter, t..t + 2 * W, YEAR);
    let ahead = jumped(t + 2 * W, YEAR);
    assert_eq!(filter.refusal(ahead, ahead.unix_s(), "k", "n"), None);
    // A process that had seen no claim there begins to lower the table, and is killed at once.
    let now = at(t + 2 * W + 2);
    let wanted = filter.window.newest(now.unix_s());
    let lowered = filter.layout.table(filter.words(), clearing::index(filter.window.generation_of(ahead.unix_s())));
    let wanted = (wanted - 2..=wanted + 1).find(|g| g % 4 == lowered.header().generation() % 4).unwrap();
    lowered.begin_clearing(lowered.header(), wanted, table::State::Lowering).unwrap();
    ticks(&shared.process(3), t + 2 * W + 2..t + 5 * W, 0);
    assert_eq!(lowered.header().state(), table::State::Open);
    assert_eq!(filter.status(at(t + 5 * W)).floor, ahead.unix_s());
}

#[test]
fn steps_of_the_clock_within_the_window_close_nothing() {
    let (_, filter, t) = running();
    for jump in [1, -1, W as i64, -(W as i64)] {
        filter.clear_all(jumped(t, jump));
        assert!(filter.status(jumped(t, jump)).clock_safe);
    }
    assert_eq!(filter.refusal(at(t), T0 + t, "k", "n"), None);
}

#[test]
fn suspend_is_no_jump() {
    let (_, filter, t) = running();
    let later = at(t + 100_000);
    filter.clear_all(later);
    assert_eq!(filter.refusal(later, later.unix_s(), "k", "n"), None);
}
