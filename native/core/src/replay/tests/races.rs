//! Processes that are stopped at the worst moment, and threads that do not wait for each other.

use super::*;

fn call<'c>(created: u64, nonce: &'c [u8]) -> SignedCall<'c> {
    SignedCall { created, key_id: b"k", nonce }
}

#[test]
fn a_worker_stopped_between_time_check_and_claim_does_not_slip_into_a_cleared_table() {
    let (shared, filter, t) = running();
    let replayed = call(T0 + t, b"n");
    filter.claim(at(t), &replayed).unwrap();
    let fresh = call(T0 + t, b"fresh");
    let stopped = [filter.begin(at(t), &replayed).unwrap(), filter.begin(at(t), &fresh).unwrap()];
    // While it is stopped its table is cleared, for the same place one turn later.
    let other = shared.process(3);
    for later in t..t + 2 * W {
        other.clear_all(at(later));
    }
    for begun in stopped {
        assert_eq!(filter.finish(&begun).unwrap_err().reason, Reason::ReplayNotReady);
    }
}

#[test]
fn a_worker_stopped_before_its_claim_is_refused_in_the_middle_of_a_clearing_too() {
    for slots in [0, 1, 500, 1999, 2000] {
        let (shared, filter, t) = running();
        let replayed = call(T0 + t, b"n");
        filter.claim(at(t), &replayed).unwrap();
        let stopped = filter.begin(at(t), &replayed).unwrap();
        let other = shared.process(3);
        let turn = (t..).find(|&s| filter.window.newest(T0 + s) == filter.window.generation_of(T0 + t) + 3).unwrap();
        for earlier in t..turn {
            other.clear_all(at(earlier));
        }
        if slots > 0 {
            assert_eq!(filter.status(at(turn)).tables.iter().filter(|table| table.open).count(), 4);
            let _ = other.clear_step(at(turn), slots);
        }
        let refused = filter.finish(&stopped).unwrap_err().reason;
        assert!(matches!(refused, Reason::Replayed | Reason::ReplayNotReady), "{slots} {refused:?}");
    }
}

#[test]
fn threads_that_all_try_the_same_nonces_get_each_of_them_once() {
    let (shared, _, t) = running();
    let won: Vec<usize> = std::thread::scope(|scope| {
        let run = |id| {
            let filter = shared.process(id);
            move || (0..450).filter(|i| filter.refusal(at(t), T0 + t, "k", &i.to_string()).is_none()).count()
        };
        let threads: Vec<_> = (10..14).map(|id| scope.spawn(run(id))).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(won.iter().sum::<usize>(), 450, "{won:?}");
}

#[test]
fn claims_while_another_thread_clears_are_accepted_at_most_once_each() {
    let (shared, _, start) = running();
    let span = 6 * W;
    let won: Vec<Vec<String>> = std::thread::scope(|scope| {
        let claimers: Vec<_> = (10..12)
            .map(|id| {
                let filter = shared.process(id);
                scope.spawn(move || {
                    let mut won = Vec::new();
                    for t in start..start + span {
                        for i in 0..20 {
                            let nonce = format!("{t} {i}");
                            if filter.refusal(at(t), T0 + t, "k", &nonce).is_none() {
                                won.push(nonce);
                            }
                        }
                    }
                    won
                })
            })
            .collect();
        let clearer = shared.process(20);
        for t in start..start + span {
            while let ClearProgress::Cleared(_) = clearer.clear_step(at(t), 64) {}
        }
        claimers.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    let mut all: Vec<&String> = won.iter().flatten().collect();
    let count = all.len();
    all.sort();
    all.dedup();
    assert_eq!(all.len(), count, "a nonce was accepted twice");
}
