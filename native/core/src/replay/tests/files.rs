//! What an earlier process left, and when it is believed.

use super::*;

fn reopened(words: &Arc<Vec<AtomicU64>>, settings: &FilterSettings, boot: [u8; 16]) -> Result<Filter, Untrusted> {
    Filter::open(Box::new(words.clone()), settings, boot, 9)
}

#[test]
fn a_restart_with_the_same_settings_remembers() {
    let (shared, filter, t) = running();
    assert_eq!(filter.refusal(at(t), T0 + t, "k", "n"), None);
    drop(filter);
    let again = reopened(&shared.0, &shared.1, BOOT).unwrap();
    assert_eq!(again.refusal(at(t + 1), T0 + t, "k", "n"), Some(Reason::Replayed));
    assert_eq!(again.refusal(at(t + 1), T0 + t, "k", "m"), None, "and needs no fence");
}

#[test]
fn a_file_of_another_boot_or_other_settings_is_not_trusted() {
    let shared = Shared::fresh(1000, at(0));
    let changed = |change: fn(&mut FilterSettings)| {
        let mut settings = shared.1;
        change(&mut settings);
        reopened(&shared.0, &settings, BOOT).err().expect("trusted").to_string()
    };
    assert_eq!(changed(|s| s.capacity += 1), "made for another capacity: 1000, expected 1001");
    assert_eq!(changed(|s| s.max_age_s += 1), "made for another max_age: 30, expected 31");
    assert_eq!(changed(|s| s.clock_skew_s += 1), "made for another clock_skew: 5, expected 6");
    let other_boot = reopened(&shared.0, &shared.1, *b"some other boot.").err().expect("trusted");
    assert_eq!(other_boot.to_string(), "made in another boot of the machine");
}

#[test]
fn a_half_written_or_foreign_file_is_not_trusted() {
    let settings = settings(10);
    let zeros: Arc<Vec<AtomicU64>> =
        Arc::new((0..words_needed(&settings).unwrap()).map(|_| AtomicU64::new(0)).collect());
    assert!(reopened(&zeros, &settings, BOOT).is_err());
    let shared = Shared::fresh(10, at(0));
    shared.0[1].store(99, std::sync::atomic::Ordering::Relaxed);
    assert!(reopened(&shared.0, &settings, BOOT).is_err(), "layout version");
    let short: Arc<Vec<AtomicU64>> = Arc::new(Vec::new());
    assert!(reopened(&short, &settings, BOOT).is_err());
}

#[test]
fn a_fresh_file_is_fenced_until_the_skew_has_passed() {
    let filter = Shared::fresh(1000, at(0)).process(1);
    for t in 0..=SKEW {
        filter.clear_all(at(t));
        let rejection = filter.try_claim(at(t), T0 + SKEW, "k", "n").unwrap_err();
        assert_eq!((rejection.reason, rejection.retry_after_s), (Reason::ReplayFenced, Some(SKEW as u32 + 1)));
    }
    assert_eq!(filter.refusal(at(SKEW), T0 + SKEW + 1, "k", "n"), None);
    // What the fence refused once it refuses for ever.
    assert_eq!(filter.refusal(at(2 * SKEW), T0 + SKEW, "k", "n"), Some(Reason::ReplayFenced));
}

#[test]
fn after_a_lost_file_nothing_that_was_accepted_before_is_accepted_again() {
    let (_, filter, t) = running();
    let accepted: Vec<u64> = (T0 + t - MAX_AGE..=T0 + t + SKEW).collect();
    for created in &accepted {
        assert_eq!(filter.refusal(at(t), *created, "k", &created.to_string()), None);
    }
    let fresh = Shared::fresh(1000, at(t)).process(1);
    for later in t..t + W + 2 {
        fresh.clear_all(at(later));
        for created in &accepted {
            assert_ne!(fresh.refusal(at(later), *created, "k", &created.to_string()), None);
        }
    }
}

#[test]
fn a_fresh_file_made_after_the_clock_was_set_back_is_fenced_at_the_latest_call_of_the_old_one() {
    let (shared, filter, t) = running();
    assert_eq!(filter.refusal(at(t), T0 + t + SKEW, "k", "n"), None);
    assert_eq!(latest_created(&shared.0), T0 + t + SKEW);
    let back = jumped(t, -(2 * W as i64));
    let fresh = Shared::unready(settings(500), back, latest_created(&shared.0)).process(1);
    for later in t..t + 4 * W {
        let now = jumped(later, -(2 * W as i64));
        fresh.clear_all(now);
        assert_ne!(fresh.refusal(now, T0 + t + SKEW, "k", "n"), None);
    }
    let foreign: Vec<AtomicU64> = (0..100).map(|_| AtomicU64::new(u64::MAX)).collect();
    assert_eq!(latest_created(&foreign), 0);
}

#[test]
fn the_fingerprint_names_one_file_and_does_not_give_its_key_away() {
    let shared = Shared::fresh(10, at(0));
    let name = fingerprint(&shared.0);
    assert_eq!(name, fingerprint(&Shared::fresh(20, at(9)).0), "same key, same name");
    assert_ne!(name, [7; 16]);
    shared.0[8].store(1, std::sync::atomic::Ordering::Relaxed);
    assert_ne!(name, fingerprint(&shared.0));
}
