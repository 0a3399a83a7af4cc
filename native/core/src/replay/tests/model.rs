//! The filter against the simplest thing that is right: a set of everything that was ever accepted.

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Step {
    /// A nonce of a small set, so that replays are common, created some seconds from now.
    Claim {
        process: usize,
        nonce: u8,
        age: i64,
    },
    /// The last accepted claim is given back.
    Release,
    Clear {
        process: usize,
        slots: usize,
    },
    Advance {
        seconds: u64,
    },
    /// The wall clock is set, relative to the truth.
    SetClock {
        jump: i64,
    },
    /// The wall clock is set for so long that it is believed, with the timer ticking.
    Settle {
        process: usize,
        jump: i64,
    },
    /// A process ends and another begins, over the same words.
    Restart {
        process: usize,
    },
}

fn jumps() -> impl Strategy<Value = i64> {
    let w = W as i64;
    prop_oneof![Just(0), -3 * w..3 * w, Just(31_536_000), Just(-31_536_000)]
}

fn steps() -> impl Strategy<Value = Step> {
    let w = W as i64;
    prop_oneof![
        12 => (0..3_usize, 0..6_u8, -w..10).prop_map(|(process, nonce, age)| Step::Claim { process, nonce, age }),
        1 => Just(Step::Release),
        6 => (0..3_usize, 1..200_usize).prop_map(|(process, slots)| Step::Clear { process, slots }),
        3 => (0..2 * W).prop_map(|seconds| Step::Advance { seconds }),
        2 => (0..3_usize, jumps()).prop_map(|(process, jump)| Step::Settle { process, jump }),
        1 => jumps().prop_map(|jump| Step::SetClock { jump }),
        1 => (0..3_usize).prop_map(|process| Step::Restart { process }),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(600))]

    #[test]
    fn no_walk_through_time_makes_it_accept_a_replay(steps in prop::collection::vec(steps(), 1..120)) {
        let shared = Shared::fresh(40, at(0));
        let mut processes = [shared.process(1), shared.process(2), shared.process(3)];
        let (mut t, mut jump) = (SKEW + 1, 0);
        let mut accepted: HashSet<(u64, u8)> = HashSet::new();
        let mut last = None;
        for step in steps {
            let now = jumped(t, jump);
            match step {
                Step::Claim { process, nonce, age } => {
                    let created = now.unix_s().saturating_add_signed(age);
                    let claim = processes[process].claim(now, &SignedCall { created, key_id: b"k", nonce: &[nonce; 16] });
                    if let Ok(claim) = claim {
                        prop_assert!(accepted.insert((created / G, nonce)), "replay of {created} {nonce} accepted at {now:?}");
                        last = Some((claim, (created / G, nonce)));
                    }
                }
                Step::Release => {
                    if let Some((claim, call)) = last.take()
                        && processes[0].release(&claim)
                    {
                        accepted.remove(&call);
                    }
                }
                Step::Clear { process, slots } => {
                    let _ = processes[process].clear_step(now, slots);
                }
                Step::Advance { seconds } => t += seconds,
                Step::SetClock { jump: to } => jump = to,
                Step::Settle { process, jump: to } => {
                    jump = to;
                    for _ in 0..W + 3 {
                        t += 1;
                        processes[process].clear_all(jumped(t, jump));
                    }
                }
                Step::Restart { process } => processes[process] = shared.process(process as u32 + 1),
            }
        }
    }

    #[test]
    fn with_a_good_clock_and_a_timer_every_honest_call_passes(
        calls in prop::collection::vec((0..3_u64, 0..4_u8, 0..=MAX_AGE + 2 * SKEW), 1..150),
    ) {
        let shared = Shared::fresh(1000, at(0));
        let filter = shared.process(1);
        let mut t = W + 1;
        let mut seen = HashSet::new();
        for (advance, nonce, back) in calls {
            t += advance;
            filter.clear_all(at(t));
            let created = T0 + t + SKEW - back;
            let refusal = filter.claim(at(t), &SignedCall { created, key_id: b"k", nonce: &[nonce; 16] }).err();
            // The tag covers the generation, not `created`: a nonce is good once per key and generation.
            let expected = (!seen.insert((created / G, nonce))).then_some(Reason::Replayed);
            prop_assert_eq!(refusal.map(|r| r.reason), expected);
        }
    }
}
