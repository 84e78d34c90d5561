#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use super::{content, folder::Folder, *};
use crate::discovery::{FixedRegistry, Instance, InstanceId, Instances, MemoryRegistry};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    net::SocketAddr,
    os::unix::fs::{MetadataExt, PermissionsExt},
    path::{Path, PathBuf},
    sync::Mutex,
    time::UNIX_EPOCH,
};
use tokio::time::{sleep, timeout};

const SERVICE: &str = "demo.Greeter@2";
const SOON: Duration = Duration::from_secs(20);

/// A directory that is removed with the value.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Self {
        let name = format!("rpc-snapshot-{}-{:016x}", std::process::id(), fastrand::u64(..));
        Self(std::env::temp_dir().join(name))
    }

    /// Those that are whole.
    fn files(&self) -> Vec<String> {
        let mut names = self.all_files();
        names.retain(|name| !name.starts_with('.'));
        names
    }

    fn all_files(&self) -> Vec<String> {
        let Ok(names) = fs::read_dir(&self.0) else { return Vec::new() };
        let mut names: Vec<_> =
            names.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

/// A registry that is told what to say.
struct Told {
    view: watch::Sender<View>,
    identity: Mutex<String>,
}

impl Told {
    fn new() -> Arc<Self> {
        let view = View {
            instances: Arc::default(),
            disabled: Arc::default(),
            weights: Arc::default(),
            source: Source::Connecting { since: Instant::now(), reason: "refused".into() },
            place: "the test".into(),
            removals_are_final: false,
        };
        Arc::new(Self { view: watch::channel(view).0, identity: Mutex::new("told://a".to_owned()) })
    }

    fn lists(&self, instances: Instances) {
        self.view.send_modify(|view| {
            view.instances = Arc::new(instances);
            view.source = Source::Live { since: Instant::now() };
        });
    }
}

/// The same registry, as each client has it.
struct Handle(Arc<Told>);

impl Register for Handle {
    fn register(&self, announcement: Announcement) -> Box<dyn Registered> {
        FixedRegistry::of([]).register(announcement)
    }
}

impl Watch for Handle {
    fn watch(&self, _: &str) -> Subscription {
        Subscription::new(self.0.view.subscribe(), None)
    }

    fn identity(&self) -> Option<String> {
        Some(self.0.identity.lock().unwrap().clone())
    }
}

fn remembering(told: &Arc<Told>, directory: &Path) -> SnapshotRegistry {
    SnapshotRegistry::new(Arc::new(Handle(Arc::clone(told))), directory).unwrap()
}

fn instances(ports: impl IntoIterator<Item = u16>) -> Instances {
    let one = |port| {
        let addr = SocketAddr::from(([10, 0, 0, 1], port));
        let id = InstanceId::from_u64(u64::from(port) + 1);
        let labels = BTreeMap::from([("zone".to_owned(), "eu-1".to_owned())]);
        (addr, Arc::new(Instance { id, weight: 7, started_at: 9, labels, ..Instance::at(addr) }))
    };
    ports.into_iter().map(one).collect()
}

async fn until(what: &str, holds: impl Fn() -> bool) {
    let waited = timeout(SOON, async {
        while !holds() {
            sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "not within {SOON:?}: {what}");
}

async fn until_view(subscription: &mut Subscription, holds: impl Fn(&View) -> bool) -> View {
    let found = timeout(SOON, async {
        loop {
            let view = subscription.current();
            if holds(&view) {
                return view;
            }
            subscription.changed().await.unwrap();
        }
    });
    found.await.unwrap()
}

/// The content of the only file there is, once there is one.
async fn written(scratch: &Scratch) -> Vec<u8> {
    until("a file is there", || !scratch.files().is_empty()).await;
    let files = scratch.files();
    assert_eq!(files.len(), 1, "{files:?}");
    fs::read(scratch.0.join(&files[0])).unwrap()
}

fn is_snapshot(view: &View) -> bool {
    matches!(view.source, Source::Snapshot { .. })
}

#[tokio::test]
async fn what_was_listed_is_offered_to_the_next_and_replaced_by_what_is_listed_then() {
    let above = Scratch::new();
    let folder = above.0.join("deeper");
    let scratch = Scratch(folder.clone());
    let told = Told::new();
    let registry = remembering(&told, &folder);
    let subscription = registry.watch(SERVICE);
    told.view.send_modify(|view| {
        view.disabled = Arc::new(BTreeSet::from(["10.0.0.1:2".parse().unwrap()]));
        let (listed, other) = ("10.0.0.1:3".parse().unwrap(), "10.0.0.1:4".parse().unwrap());
        view.weights = Arc::new(BTreeMap::from([(listed, 5), (other, 6)]));
    });
    told.lists(instances(1..=3));
    written(&scratch).await;
    drop(subscription);

    // For its user alone.
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&folder), 0o700);
    let file = &scratch.files()[0];
    assert!(file.starts_with("demo.Greeter@2-"), "{file}");
    assert_eq!(mode(&folder.join(file)), 0o600);

    let told = Told::new();
    let mut next = remembering(&told, &folder).watch(SERVICE);
    assert!(matches!(next.current().source, Source::Connecting { .. }));
    let view = until_view(&mut next, is_snapshot).await;
    assert_eq!(*view.instances, instances(1..=3));
    assert_eq!(*view.disabled, BTreeSet::from(["10.0.0.1:2".parse().unwrap()]));
    assert_eq!(*view.weights, BTreeMap::from([("10.0.0.1:3".parse().unwrap(), 5)]));
    assert_eq!(&*view.place, "the test");
    let Source::Snapshot { reason, age, .. } = view.source else { unreachable!() };
    assert_eq!(&*reason, "refused");
    assert!(age < SOON, "{age:?}");

    told.lists(instances([9]));
    let view = until_view(&mut next, |view| !is_snapshot(view)).await;
    assert_eq!(*view.instances, instances([9]));
    // It is not offered again.
    told.view.send_modify(|view| {
        view.source = Source::Stale { since: Instant::now(), reason: "gone".into() };
    });
    let view = until_view(&mut next, |v| matches!(v.source, Source::Stale { .. })).await;
    assert_eq!(*view.instances, instances([9]));
}

#[tokio::test]
async fn a_registry_that_answers_is_believed_at_once() {
    let scratch = Scratch::new();
    let told = Told::new();
    told.lists(instances([1]));
    let first = remembering(&told, &scratch.0).watch(SERVICE);
    written(&scratch).await;
    drop(first);
    told.lists(instances([2]));
    let mut next = remembering(&told, &scratch.0).watch(SERVICE);
    assert_eq!(*next.current().instances, instances([2]));
    let seen = timeout(3 * defaults::SNAPSHOT_AFTER, async {
        while !is_snapshot(&next.changed().await.unwrap()) {}
    });
    assert!(seen.await.is_err(), "the snapshot was offered beside a live list");
}

#[tokio::test]
async fn nothing_is_written_when_nothing_changed_and_changes_are_gathered() {
    let scratch = Scratch::new();
    let told = Told::new();
    let registry = remembering(&told, &scratch.0);
    let subscription = registry.watch(SERVICE);
    let inode = || {
        let files = scratch.files();
        fs::metadata(scratch.0.join(&files[0])).unwrap().ino()
    };
    told.lists(instances([1]));
    written(&scratch).await;
    let first = inode();
    // Two clients of two processes, the same list again, an empty one: no write.
    let other = registry.watch(SERVICE);
    told.view.send_modify(|_| {});
    told.lists(instances([1]));
    told.lists(Instances::new());
    sleep(defaults::SNAPSHOT_EVERY + Duration::from_millis(300)).await;
    assert_eq!(inode(), first, "the file was written again");
    drop(other);

    // A hundred changes at once are one write, or two when the first of them was alone.
    let mut seen = BTreeSet::new();
    for port in 2..102 {
        told.lists(instances(1..=port));
        sleep(Duration::from_millis(1)).await;
        seen.insert(inode());
    }
    let last = || {
        let held = fs::read(scratch.0.join(&scratch.files()[0])).unwrap();
        content::decode(&held, "told://a", SERVICE).unwrap().0.instances.len()
    };
    until("the last list is written", || last() == 101).await;
    seen.insert(inode());
    // Under load the hundred may take more than a second.
    assert!(seen.len() <= 12, "{} writes", seen.len());
    until("nothing is left behind", || scratch.all_files().len() == 1).await;
    drop(subscription);
}

#[tokio::test]
async fn the_age_of_a_list_that_does_not_change_is_that_of_what_is_known() {
    let scratch = Scratch::new();
    let told = Told::new();
    told.lists(instances([1]));
    drop(remembering(&told, &scratch.0).watch(SERVICE));
    let registry = remembering(&told, &scratch.0);
    let first = registry.watch(SERVICE);
    let text = String::from_utf8(written(&scratch).await).unwrap();
    drop(first);
    let file = scratch.0.join(&scratch.files()[0]);
    let now = || SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs();
    let age = || {
        let held = content::decode(&fs::read(&file).unwrap(), "told://a", SERVICE).unwrap();
        held.1.elapsed().unwrap_or_default()
    };
    // Another process reads the same list two hours later.
    fs::write(&file, with_time(&text, now() - 7_200)).unwrap();
    assert!(age() >= Duration::from_hours(2));
    let second = registry.watch(SERVICE);
    until("it is confirmed", || age() < SOON).await;
    // And follows it for another two.
    fs::write(&file, with_time(&text, now() - 7_200)).unwrap();
    tokio::time::pause();
    tokio::time::advance(defaults::SNAPSHOT_CONFIRM).await;
    tokio::time::resume();
    until("it is confirmed again", || age() < SOON).await;
    // As long as the registry cannot be read nobody knows.
    told.view.send_modify(|view| {
        view.source = Source::Stale { since: Instant::now(), reason: "gone".into() };
    });
    sleep(Duration::from_millis(50)).await;
    fs::write(&file, with_time(&text, now() - 7_200)).unwrap();
    tokio::time::pause();
    tokio::time::advance(defaults::SNAPSHOT_CONFIRM).await;
    tokio::time::resume();
    sleep(defaults::SNAPSHOT_EVERY + Duration::from_millis(300)).await;
    assert!(age() >= Duration::from_hours(2), "{:?}", age());
    drop(second);
}

#[tokio::test]
async fn broken_and_foreign_files_are_ignored_and_replaced() {
    let scratch = Scratch::new();
    let told = Told::new();
    let first = remembering(&told, &scratch.0).watch(SERVICE);
    told.lists(instances([1]));
    let good = written(&scratch).await;
    drop(first);
    let path = scratch.0.join(&scratch.files()[0]);
    let text = String::from_utf8(good).unwrap();
    let large = " ".repeat(defaults::SNAPSHOT_BYTES + 1);
    let many: Vec<_> = (0..=defaults::SNAPSHOT_INSTANCES).map(|_| text_of_one(&text)).collect();
    for bad in [
        String::new(),
        "{}".to_owned(),
        "\0\u{1}".to_owned(),
        "[".repeat(1_000_000),
        text[..text.len() / 2].to_owned(),
        text.replace("\"format\":1", "\"format\":2"),
        text.replace("told://a", "told://b"),
        text.replace("demo.Greeter", "demo.Sleeper"),
        text.replace("10.0.0.1:1", "0.0.0.0:1"),
        text.replace("10.0.0.1:1", "10.0.0.1:0"),
        text.replace("0000000000000002", "0000000000000000"),
        text.replace("0000000000000002", "2"),
        with_time(&text, u64::MAX),
        text.replace(&text_of_one(&text), &many.join(",")),
        large,
    ] {
        assert_ne!(bad, text);
        fs::write(&path, &bad).unwrap();
        let told = Told::new();
        let mut next = remembering(&told, &scratch.0).watch(SERVICE);
        let offered = timeout(2 * defaults::SNAPSHOT_AFTER, async {
            while !is_snapshot(&next.changed().await.unwrap()) {}
        });
        assert!(offered.await.is_err(), "{bad:.300}");
        told.lists(instances([1]));
        let page = remembering(&told, &scratch.0);
        until("it is replaced", || {
            let held = fs::read(&path).unwrap();
            content::decode(&held, "told://a", SERVICE).is_ok()
        })
        .await;
        drop((next, page));
    }
    // A pipe would block whoever opens it, a directory cannot be read.
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    let told = Told::new();
    let mut next = remembering(&told, &scratch.0).watch(SERVICE);
    let offered = timeout(2 * defaults::SNAPSHOT_AFTER, async {
        while !is_snapshot(&next.changed().await.unwrap()) {}
    });
    assert!(offered.await.is_err());
    told.lists(instances([1]));
    until_view(&mut next, |view| !view.instances.is_empty()).await;
}

fn text_of_one(text: &str) -> String {
    let from = text.find("{\"addr\"").unwrap();
    let to = text.find("}}").unwrap();
    text[from..to + 2].to_owned()
}

fn with_time(text: &str, seconds: u64) -> String {
    let (before, rest) = text.split_once("\"saved_at\":").unwrap();
    let rest = rest.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{before}\"saved_at\":{seconds}{rest}")
}

#[test]
fn a_file_is_bounded_and_says_the_same_again() {
    let all = Content {
        instances: Arc::new(instances(1..=200)),
        disabled: Arc::new(BTreeSet::from(["10.0.0.1:3".parse().unwrap()])),
        weights: Arc::new(BTreeMap::from([("10.0.0.1:4".parse().unwrap(), 9)])),
    };
    let now = UNIX_EPOCH + Duration::from_secs(1_795_215_661);
    let bytes = content::encode(&all, "told://a", SERVICE, now);
    assert_eq!(content::decode(&bytes, "told://a", SERVICE), Ok((all, now)));

    let addr = SocketAddr::from(([10, 0, 0, 1], 1));
    let large = |n: u8| {
        let addr = SocketAddr::from(([10, 0, 0, n], 1));
        let labels = BTreeMap::from([("x".to_owned(), "y".repeat(100_000))]);
        (addr, Arc::new(Instance { labels, ..Instance::at(addr) }))
    };
    let all = Content {
        instances: Arc::new((1..=200).map(large).collect()),
        disabled: Arc::default(),
        weights: Arc::default(),
    };
    let bytes = content::encode(&all, "told://a", SERVICE, now);
    assert!(bytes.len() <= defaults::SNAPSHOT_BYTES);
    let (held, _) = content::decode(&bytes, "told://a", SERVICE).unwrap();
    assert!(held.instances.len() >= 20 && held.instances.contains_key(&addr));
}

#[test]
fn the_directory_is_private_and_swept() {
    let scratch = Scratch::new();
    let folder = Folder::open(&scratch.0).unwrap();
    folder.write("a.json", b"1").unwrap();
    folder.write("a.json", b"22").unwrap();
    assert_eq!(folder.read("a.json").unwrap().unwrap(), b"22");
    assert_eq!(folder.read("b.json").unwrap(), None);

    let left = scratch.0.join(".a.json.1-0000000000000001.tmp");
    fs::write(&left, "half").unwrap();
    drop(Folder::open(&scratch.0).unwrap());
    assert!(left.exists(), "another process may be about to finish it");
    let old = SystemTime::now() - Duration::from_mins(2);
    fs::File::options().write(true).open(&left).unwrap().set_modified(old).unwrap();
    drop(Folder::open(&scratch.0).unwrap());
    assert_eq!(scratch.all_files(), ["a.json"]);

    for mode in [0o770, 0o707, 0o1777] {
        fs::set_permissions(&scratch.0, fs::Permissions::from_mode(mode)).unwrap();
        let text = Folder::open(&scratch.0).unwrap_err().to_string();
        assert!(text.contains("can be written by others (mode"), "{text}");
        assert!(text.contains("name one that this user"), "{text}");
    }
    let file = scratch.0.join("a.json");
    let text = Folder::open(&file).unwrap_err().to_string();
    assert!(text.contains("a.json") && text.contains("cannot be made"), "{text}");
}

#[tokio::test]
async fn what_operators_are_told_is_passed_on() {
    let (scratch, memory) = (Scratch::new(), MemoryRegistry::new());
    let registry = SnapshotRegistry::new(Arc::new(memory.clone()), &scratch.0).unwrap();
    let notice = Notice {
        service: "a".into(),
        client: "me".into(),
        over: false,
        window: Duration::from_mins(1),
        json: "{}".into(),
    };
    assert_eq!(registry.tell(notice.clone()).await, Ok(()));
    assert_eq!(memory.notice("a"), Some(notice));
}
