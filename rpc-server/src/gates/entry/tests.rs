use super::*;
use crate::gates::Limit;

const LONG: Duration = Duration::from_secs(10);
const SHORT: Duration = Duration::from_millis(1);

fn gates(method: Limit, service: Limit) -> Arc<Gates> {
    let service = Some(service).filter(|limit| *limit != Limit::none());
    let service = service.map(|limit| Arc::new(Gate::new("a.Shop".into(), limit)));
    let method = Gate::new("a.Shop/get".into(), method);
    Arc::new(Gates::new(method, service, Instant::now()))
}

fn enter(gates: &Arc<Gates>, left: Duration) -> Result<Place, String> {
    gates.enter(Instant::now(), left)
}

#[test]
fn both_limits_hold_and_a_refusal_takes_no_place() {
    let gates = gates(Limit::fixed(3), Limit::fixed(2));
    let (a, _b) = (enter(&gates, LONG).unwrap(), enter(&gates, LONG).unwrap());
    for _ in 0..5 {
        let text = enter(&gates, LONG).unwrap_err();
        assert!(
            text.contains("a.Shop has reached its limit: 2 calls run, 2 may (fixed)"),
            "{text}"
        );
        assert!(text.contains(".limit(\"a.Shop\", ..)"), "{text}");
    }
    assert_eq!((gates.method.running(), gates.load()), (2, 255));
    a.answered();
    assert_eq!((gates.method.running(), gates.load()), (1, 127));
    let _c = enter(&gates, LONG).unwrap();
    assert_eq!(gates.service().unwrap().stats().unwrap().refused, 5);
    assert_eq!(gates.method.stats().unwrap().refused, 0);
}

#[test]
fn a_method_at_its_limit_leaves_the_rest_of_its_service_alone() {
    let service = Arc::new(Gate::new("a.Shop".into(), Limit::fixed(100)));
    let [slow, quick] = ["a.Shop/slow", "a.Shop/quick"].map(|name| {
        let method = Gate::new(name.into(), Limit::fixed(2));
        Arc::new(Gates::new(method, Some(Arc::clone(&service)), Instant::now()))
    });
    let _running = (enter(&slow, LONG).unwrap(), enter(&slow, LONG).unwrap());
    assert!(enter(&slow, LONG).is_err());
    enter(&quick, LONG).unwrap().answered();
    assert_eq!((slow.load(), quick.load()), (255, 5));
}

#[tokio::test(start_paused = true)]
async fn the_last_places_are_for_calls_that_have_time() {
    let gates = gates(Limit::fixed(8), Limit::none());
    for _ in 0..32 {
        let place = enter(&gates, LONG).unwrap();
        tokio::time::advance(Duration::from_millis(20)).await;
        place.answered();
    }
    assert_eq!(gates.method.latency().unwrap().quickest, Duration::from_millis(20));
    // As long as there is room, everybody may try.
    let _six: Vec<_> = (0..6).map(|_| enter(&gates, SHORT).unwrap()).collect();
    let text = enter(&gates, SHORT).unwrap_err();
    assert!(text.contains("6 calls run, 8 may (fixed)"), "{text}");
    assert!(text.contains("had 1ms") && text.contains("quickest took 20ms"), "{text}");
    let _two = (enter(&gates, LONG).unwrap(), enter(&gates, LONG).unwrap());
    let text = enter(&gates, LONG).unwrap_err();
    assert!(text.contains("8 calls run, 8 may"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn at_most_one_call_in_a_hundred_microseconds_is_timed() {
    let gates = gates(Limit::fixed(1_000), Limit::none());
    let mut timed = 0;
    for _ in 0..1_000 {
        tokio::time::advance(Duration::from_micros(10)).await;
        timed += usize::from(enter(&gates, LONG).unwrap().timed[0]);
    }
    assert_eq!(timed, 100);
}

#[test]
fn counts_are_exact_under_threads() {
    let gates = gates(Limit::fixed(3), Limit::fixed(3));
    let entered: usize = std::thread::scope(|scope| {
        let work = || (0..20_000).filter(|_| enter(&gates, LONG).is_ok()).count();
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).sum()
    });
    let refused =
        gates.method.stats().unwrap().refused + gates.service().unwrap().stats().unwrap().refused;
    assert_eq!(entered as u64 + refused, 80_000);
    assert_eq!((gates.method.running(), gates.service().unwrap().running()), (0, 0));
}
