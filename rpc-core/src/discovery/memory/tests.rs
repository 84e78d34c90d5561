//! What a script does to the registry, as those who follow it see it.

use super::*;
use crate::discovery::{Source, View};

fn addr(port: u16) -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], port))
}

fn announce(registry: &MemoryRegistry, port: u16) -> Box<dyn Registered> {
    let instance = Arc::new(Instance::at(addr(port)));
    registry.register(Announcement { services: vec!["a".into(), "b".into()], instance })
}

fn ports(view: &View) -> Vec<u16> {
    view.instances.keys().map(SocketAddr::port).collect()
}

#[tokio::test]
async fn what_is_announced_is_listed_until_it_is_closed_or_dropped() {
    let registry = MemoryRegistry::new();
    let mut a = registry.watch("a");
    assert!(matches!(a.current().source, Source::Live { .. }));
    let first = announce(&registry, 1);
    let second = announce(&registry, 2);
    assert_eq!(ports(&a.changed().await.unwrap()), [1, 2]);
    assert_eq!(ports(&registry.watch("b").current()), [1, 2]);
    first.close().await;
    assert_eq!(ports(&a.changed().await.unwrap()), [2]);
    drop(second);
    assert_eq!(ports(&a.changed().await.unwrap()), [0_u16; 0]);
}

#[tokio::test]
async fn a_new_announcement_of_an_address_outlives_the_old_one() {
    let registry = MemoryRegistry::new();
    let old = announce(&registry, 1);
    let _new = announce(&registry, 1);
    old.close().await;
    assert_eq!(ports(&registry.watch("a").current()), [1]);
}

#[tokio::test]
async fn a_name_is_one_registry_in_the_process() {
    let _announced = announce(&MemoryRegistry::named("one-name"), 7);
    assert_eq!(ports(&MemoryRegistry::named("one-name").watch("a").current()), [7]);
    assert_eq!(ports(&MemoryRegistry::named("another").watch("a").current()), [0_u16; 0]);
}

#[tokio::test]
async fn an_outage_keeps_the_list_and_delays_what_happens() {
    let registry = MemoryRegistry::new();
    let _first = announce(&registry, 1);
    let subscription = registry.watch("a");
    registry.set_unreachable("pulled out");
    let second = announce(&registry, 2);
    assert_eq!(*second.state().borrow(), RegistrationState::Pending("pulled out".into()));
    let view = subscription.current();
    assert_eq!(ports(&view), [1]);
    assert!(matches!(view.source, Source::Stale { reason, .. } if &*reason == "pulled out"));
    let unread = registry.watch("never read").current();
    assert!(matches!(unread.source, Source::Connecting { .. }));
    registry.set_reachable();
    assert_eq!(*second.state().borrow(), RegistrationState::Registered);
    assert_eq!(ports(&subscription.current()), [1, 2]);
    assert!(matches!(registry.watch("never read").current().source, Source::Live { .. }));
}

#[tokio::test]
async fn the_last_notice_of_a_service_is_kept() {
    let registry = MemoryRegistry::new();
    let notice = |over| Notice {
        service: "a".into(),
        client: "me".into(),
        over,
        window: std::time::Duration::from_mins(1),
        json: "{}".into(),
    };
    assert_eq!(registry.notice("a"), None);
    assert_eq!(registry.tell(notice(false)).await, Ok(()));
    registry.set_unreachable("pulled out");
    assert_eq!(registry.tell(notice(true)).await, Err("pulled out".to_owned()));
    assert_eq!(registry.notice("a"), Some(notice(false)));
    registry.set_reachable();
    assert_eq!(registry.tell(notice(true)).await, Ok(()));
    assert_eq!(registry.notice("a"), Some(notice(true)));
}

#[tokio::test]
async fn a_script_can_hide_add_remove_and_disable() {
    let registry = MemoryRegistry::new();
    let _first = announce(&registry, 1);
    let subscription = registry.watch("a");
    registry.add("a", Instance::at(addr(9)));
    registry.hide(addr(1));
    assert_eq!(ports(&subscription.current()), [9]);
    registry.show(addr(1));
    registry.remove("a", addr(9));
    registry.disable("a", [addr(1)]);
    let view = subscription.current();
    assert_eq!(ports(&view), [1]);
    assert!(view.disabled.contains(&addr(1)) && view.removals_are_final);
    registry.set_removals_are_final(false);
    assert!(!subscription.current().removals_are_final);
}
