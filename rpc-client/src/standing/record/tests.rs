use super::*;

fn fail(record: &mut Record, now: u64) -> bool {
    record.failed(now, 0, Cause::Calls)
}

fn ejected() -> Record {
    let mut record = Record::default();
    assert!((0..5).any(|n| fail(&mut record, 1_000 + n)));
    record.eject(2_000, 1.0);
    record
}

#[test]
fn five_faults_in_a_row_trip_however_far_apart() {
    let mut record = Record::default();
    for n in 1..=4 {
        assert!(!fail(&mut record, n * 60_000));
        record.pass(n * 60_000 + 59_000, 0, true);
    }
    assert!(fail(&mut record, 300_000));
    assert!(matches!(record.phase(), Phase::Tripped { why: Why { in_a_row: 5, .. }, .. }));
}

#[test]
fn a_success_ends_a_row_and_old_faults_are_forgotten() {
    let mut record = Record::default();
    (0..4).for_each(|n| assert!(!fail(&mut record, 1_000 + n)));
    record.pass(2_000, 100, true);
    assert!(!fail(&mut record, 3_000), "the row has ended, and 96 % were good");
    record.pass(4_000, 1, true);
    assert!(!record.is_clean());
    record.pass(33_000, 0, true);
    assert!(record.is_clean());
    assert_eq!(record.next(), None);
}

#[test]
fn a_share_below_80_percent_of_at_least_five_results_trips() {
    let mut record = Record::default();
    assert!(!fail(&mut record, 1_000), "opens the window");
    assert!(!record.failed(2_000, 2, Cause::Calls), "2 of 3 good, too few to say");
    assert!(record.failed(3_000, 2, Cause::Calls), "4 of 6 good");
    let Phase::Tripped { why, .. } = record.phase() else { panic!("{record:?}") };
    assert_eq!(why.to_string(), "2 of 6 results within 30 s were faults");
}

#[test]
fn one_fault_in_ten_is_no_reason() {
    let mut record = Record::default();
    for n in 0..1_000 {
        assert!(!record.failed(1_000 + n * 1_000, 9, Cause::Calls), "after {n} faults");
    }
}

#[test]
fn results_leave_the_window_after_thirty_seconds() {
    let mut record = Record::default();
    fail(&mut record, 1_000);
    record.failed(2_000, 1, Cause::Calls);
    record.failed(3_000, 1, Cause::Calls);
    assert_eq!(record.faults(3_000).1, 2);
    assert_eq!(record.faults(33_000).1, 0);
}

#[test]
fn ejections_double_up_to_a_minute_are_jittered_and_forgiven_after_one() {
    let mut record = ejected();
    let mut times = Vec::new();
    for _ in 0..9 {
        let Phase::Ejected { since, until, .. } = record.phase() else { panic!("{record:?}") };
        times.push(until - since);
        record.pass(until, 0, true);
        assert!(record.try_probe(until, true));
        assert!(fail(&mut record, until), "a probe that fails ejects again");
        record.eject(until, 1.0);
    }
    let doubling = [1_000, 2_000, 4_000, 8_000, 16_000, 32_000, 60_000, 60_000, 60_000];
    assert_eq!(times, doubling);
    record.pardon(1_000_000);
    (0..5).for_each(|n| _ = fail(&mut record, 1_060_000 + n));
    record.eject(1_060_010, 0.0);
    let Phase::Ejected { since, until, .. } = record.phase() else { panic!("{record:?}") };
    assert_eq!(until - since, 500, "half of the first time");
}

#[test]
fn two_good_probes_one_at_a_time_bring_it_back() {
    let mut record = ejected();
    record.pass(2_999, 0, true);
    assert!(!record.try_probe(2_999, true), "its time is not over");
    record.pass(3_000, 0, true);
    assert!(!record.try_probe(3_000, false), "calls that can be saved go first");
    assert!(record.try_probe(3_000, true));
    assert!(!record.try_probe(3_000, true), "one at a time");
    assert!(record.succeeded(3_001));
    assert!(!record.succeeded(3_001), "late answers do not count");
    assert!(record.try_probe(4_000, false), "nobody else has come for a second");
    assert!(record.succeeded(4_001));
    assert_eq!(record.phase(), Phase::Trusted);
    assert!(record.is_clean());
}

#[test]
fn a_probe_that_was_given_up_is_given_again() {
    let mut record = ejected();
    record.pass(3_000, 0, true);
    assert!(record.try_probe(3_000, true));
    record.pass(3_500, 0, false);
    assert!(!record.try_probe(3_500, true), "it is still under way");
    record.pass(4_000, 0, true);
    assert!(record.try_probe(4_000, true));
}

#[test]
fn a_probe_of_which_nothing_is_heard_keeps_others_away_for_five_seconds_at_most() {
    let mut record = ejected();
    record.pass(3_000, 0, true);
    assert!(record.try_probe(3_000, true));
    // It was refused as overloaded, say, and other calls go on for an hour.
    record.pass(7_999, 0, false);
    assert!(!record.try_probe(7_999, true));
    record.pass(8_000, 0, false);
    assert!(record.try_probe(8_000, true));
}

#[test]
fn a_ping_ends_trouble_of_connections_but_the_next_fault_is_one_too_many() {
    let mut record = Record::default();
    (0..5).for_each(|n| _ = record.failed(1_000 + n, 0, Cause::Connection));
    record.eject(1_010, 1.0);
    assert!(!record.answered_ping(1_500), "its time is not over");
    record.pass(2_010, 0, true);
    assert!(!record.try_probe(9_000, true), "no call is put at risk");
    assert!(record.answered_ping(2_011));
    assert_eq!(record.phase(), Phase::Trusted);
    assert!(record.failed(2_020, 0, Cause::Connection));
}

#[test]
fn what_was_under_way_when_it_was_taken_out_says_nothing_new() {
    let mut record = ejected();
    assert!(!fail(&mut record, 2_500));
    record.pass(3_000, 0, false);
    assert!(!fail(&mut record, 3_001), "no probe is out");
    assert!(matches!(record.phase(), Phase::Probing { .. }));
}
