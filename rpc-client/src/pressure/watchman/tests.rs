//! What people are told of a line that fills, empties and is refused, second by second.

use super::*;

const WINDOW: Duration = Duration::from_mins(1);

/// A line, and the time in seconds.
struct Scene {
    watchman: Watchman,
    line: Waiting,
    zero: Instant,
}

impl Scene {
    fn new() -> Self {
        let line = Waiting {
            now: 0,
            since: None,
            ended: None,
            joined: 0,
            admitted: 0,
            refused: 0,
            turned_away: 0,
            most: 0,
        };
        Self { watchman: Watchman::new(WINDOW), line, zero: Instant::now() }
    }

    fn at(&self, seconds: f64) -> Instant {
        self.zero + Duration::from_secs_f64(seconds)
    }

    fn join(&mut self, seconds: f64, calls: u64) {
        self.line.since.get_or_insert(self.zero + Duration::from_secs_f64(seconds));
        self.line.joined += calls;
        self.line.now += usize::try_from(calls).unwrap();
    }

    fn admit(&mut self, seconds: f64, calls: u64) {
        self.line.admitted += calls;
        self.line.now -= usize::try_from(calls).unwrap();
        if self.line.now == 0 {
            self.line.since = None;
            self.line.ended = Some(self.at(seconds));
        }
    }

    fn look(&mut self, seconds: f64) -> Option<Report> {
        let now = self.at(seconds);
        self.watchman.look(&self.line, now)
    }

    fn next(&self) -> Option<f64> {
        Some((self.watchman.next()? - self.zero).as_secs_f64())
    }
}

fn report(over: bool, lasting: f64, came: u64, admitted: u64, refused: u64) -> Report {
    let lasting = Duration::from_secs_f64(lasting);
    Report { over, lasting, flow: Flow { came, admitted }, refused, turned_away: 0 }
}

#[test]
fn trouble_is_told_after_a_second_then_once_per_window_and_its_end_too() {
    let mut scene = Scene::new();
    assert_eq!((scene.look(0.0), scene.next()), (None, None));
    scene.join(1.0, 5);
    assert_eq!((scene.look(1.0), scene.next()), (None, Some(2.0)));
    scene.admit(1.5, 2);
    assert_eq!(scene.look(1.5), None);
    assert_eq!(scene.look(2.0), Some(report(false, 1.0, 5, 2, 0)));
    scene.join(3.0, 10);
    for second in 3..62 {
        assert_eq!(scene.look(f64::from(second)), None);
    }
    assert_eq!(scene.look(62.0), Some(report(false, 61.0, 10, 0, 0)));
    scene.admit(70.0, 13);
    // None came in this window, and those that waited have had their turn.
    assert_eq!(scene.look(122.0), Some(report(true, 69.0, 0, 13, 0)));
    assert_eq!(scene.next(), None);
}

#[test]
fn a_moment_is_not_told() {
    let mut scene = Scene::new();
    scene.join(0.0, 5);
    scene.look(0.0);
    scene.admit(0.3, 5);
    assert_eq!((scene.look(1.0), scene.next()), (None, None));
    // The count of the next trouble begins anew.
    scene.join(5.0, 1);
    scene.look(5.0);
    assert_eq!(scene.look(6.0), Some(report(false, 1.0, 1, 0, 0)));
}

#[test]
fn a_call_that_was_refused_is_told_though_none_waits() {
    let mut scene = Scene::new();
    scene.look(0.0);
    scene.line.refused = 1;
    assert_eq!(scene.look(1.0), None);
    assert_eq!(scene.look(2.0), Some(report(false, 1.0, 1, 0, 1)));
    assert_eq!(scene.look(62.0), Some(report(true, 1.0, 0, 0, 0)));
}

#[test]
fn calls_that_providers_turn_away_are_told_when_that_goes_on() {
    let mut scene = Scene::new();
    scene.look(0.0);
    scene.line.turned_away = 5;
    scene.look(1.0);
    assert_eq!((scene.look(2.0), scene.next()), (None, Some(3.0)));
    // None since: it was a moment.
    assert_eq!((scene.look(3.0), scene.next()), (None, None));
    scene.line.turned_away = 6;
    scene.look(10.0);
    scene.look(11.0);
    scene.line.turned_away = 8;
    let told = Report { turned_away: 3, ..report(false, 2.0, 0, 0, 0) };
    assert_eq!(scene.look(12.0), Some(told));
    scene.line.turned_away = 9;
    let again = Report { turned_away: 1, ..report(false, 62.0, 0, 0, 0) };
    assert_eq!(scene.look(72.0), Some(again));
    assert_eq!(scene.look(132.0), Some(report(true, 62.0, 0, 0, 0)));
}

#[test]
fn short_breaks_are_part_of_it() {
    let mut scene = Scene::new();
    scene.join(0.0, 1);
    scene.look(0.0);
    assert!(scene.look(1.0).is_some());
    scene.admit(2.0, 1);
    scene.join(30.0, 1);
    scene.admit(31.0, 1);
    assert_eq!(scene.look(61.0), Some(report(false, 61.0, 1, 2, 0)));
    assert_eq!(scene.look(121.0), Some(report(true, 31.0, 0, 0, 0)));
}

#[test]
fn new_trouble_after_the_end_waits_for_its_window() {
    let mut scene = Scene::new();
    scene.join(0.0, 1);
    scene.look(0.0);
    assert!(scene.look(1.0).is_some());
    scene.admit(2.0, 1);
    assert!(scene.look(61.0).unwrap().over);
    scene.join(62.0, 1);
    assert_eq!((scene.look(62.0), scene.next()), (None, Some(121.0)));
    assert_eq!(scene.look(121.0), Some(report(false, 59.0, 1, 0, 0)));
}
