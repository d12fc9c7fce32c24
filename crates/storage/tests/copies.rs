//! Copies of a store that others are writing to: each ends, and is one moment.

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use queuectl_core::Timestamp;
use queuectl_core::settings::Durability;
use queuectl_storage::{ListFilter, Location, OpenMode, Store, StoreError};
use queuectl_testkit::{TempStore, job};

/// What copies may take, with much to spare.
const MOST: Duration = Duration::from_secs(60);

/// A store of more pages than a copy in steps would take at once.
fn large() -> TempStore {
    let mut temp = TempStore::sqlite();
    let jobs = vec![job(&format!("true # {}", "x".repeat(3000))); 12_000];
    temp.store
        .enqueue(&jobs, Timestamp(1))
        .expect("a store that can be used");
    temp
}

/// Does something while another connection stores jobs, two at a time, without a pause. It must end before that does.
fn under_load<T>(location: &Location, work: impl FnOnce() -> T) -> T {
    let (done, stored) = (AtomicBool::new(false), AtomicUsize::new(0));
    let start = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut writer = Store::open(location, OpenMode::MustExist).expect("a store that can be used");
            // As often as a writer can that does not wait for the disk.
            writer
                .set_durability(Durability::Normal)
                .expect("a store that can be used");
            while !done.load(Ordering::SeqCst) && start.elapsed() < MOST {
                writer
                    .enqueue(&[job("a"), job("b")], Timestamp(2))
                    .expect("a store that can be used");
                stored.fetch_add(2, Ordering::SeqCst);
            }
        });
        while stored.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        let value = work();
        let late = start.elapsed() >= MOST;
        done.store(true, Ordering::SeqCst);
        assert!(!late, "it did not end beside a writer");
        value
    })
}

fn assert_is_one_moment(file: &Path) {
    let mut copy = Store::open(&Location::Sqlite(file.to_owned()), OpenMode::MustExist)
        .expect("a store that can be used");
    let report = copy.check().expect("a store that can be used");
    assert_eq!(
        (report.damage, report.dangling, report.miscounted),
        (vec![], 0, 0)
    );
    let filter = ListFilter {
        limit: 100_000,
        ..ListFilter::default()
    };
    let jobs = copy.list(&filter).expect("a store that can be used");
    let count = |line: &str| jobs.iter().filter(|job| job.payload.display() == line).count();
    assert!(count("a") > 0, "it began when the writer had");
    assert_eq!(count("a"), count("b"), "half of a transaction");
}

#[test]
fn copies_and_checks_of_a_busy_store_end() {
    let mut temp = large();
    let folder = tempfile::tempdir().unwrap();
    let (backup, copy) = (folder.path().join("backup.db"), folder.path().join("copy.db"));
    let mut store = temp.another();
    under_load(&temp.location, || store.backup(&backup)).unwrap();
    assert_is_one_moment(&backup);
    let to = Location::Sqlite(copy.clone());
    under_load(&temp.location, || store.copy_to_location(&to, |_| {})).unwrap();
    assert_is_one_moment(&copy);
    let report = under_load(&temp.location, || store.check()).unwrap();
    assert_eq!(
        (report.damage, report.dangling, report.miscounted),
        (vec![], 0, 0)
    );
    temp.store.enqueue(&[job("the bystander")], Timestamp(3)).unwrap();
}

/// A copy that is cut short, here by what is in its way, has not left a file that opens as a queue.
#[test]
fn an_unfinished_copy_is_no_queue() {
    let mut temp = TempStore::sqlite();
    temp.store.enqueue(&[job("true")], Timestamp(1)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let draft = queuectl_sys::Draft::beside(&folder.path().join("copy.db")).unwrap();
    let location = Location::Sqlite(draft.path().to_owned());
    for mode in [OpenMode::MustExist, OpenMode::Create] {
        let refused = Store::open(&location, mode).err();
        assert!(matches!(refused, Some(StoreError::Unfinished)), "{refused:?}");
    }
    drop(draft);
    // To a folder that cannot be written to.
    let nowhere = folder.path().join("missing").join("copy.db");
    assert!(matches!(
        temp.store.backup(&nowhere),
        Err(StoreError::File { .. })
    ));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

/// Many make the same queue at once: one wins, and none loses what it stored.
#[test]
fn a_store_that_many_make_at_once_is_one_store() {
    let folder = tempfile::tempdir().unwrap();
    let location = Location::Sqlite(folder.path().join("queue.db"));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let mut store = Store::open(&location, OpenMode::Create).unwrap();
                store.enqueue(&[job("true")], Timestamp(1)).unwrap();
            });
        }
    });
    let mut store = Store::open(&location, OpenMode::MustExist).unwrap();
    assert_eq!(
        store
            .list(&ListFilter {
                limit: 100,
                ..ListFilter::default()
            })
            .unwrap()
            .len(),
        8
    );
}

/// A store that comes to be where another was does not show what that one kept beside it, nor does a copy in its place.
#[test]
fn outputs_are_those_of_the_store_that_made_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("queue.db");
    let location = Location::Sqlite(file.clone());
    let at = |mode| Store::open(&location, mode).unwrap();
    let keep = |text: &str| {
        let mut store = at(OpenMode::Create);
        store.enqueue(&[job("true")], Timestamp(1)).unwrap();
        let path = store.own_outputs().unwrap().file(1, 1);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    };
    let kept = || {
        let path = at(OpenMode::Create).outputs().unwrap().file(1, 1);
        std::fs::read_to_string(path).ok()
    };
    keep("old");
    let backup = folder.path().join("backup.db");
    at(OpenMode::MustExist).backup(&backup).unwrap();
    assert_eq!(kept().as_deref(), Some("old"), "the bystander: its own");
    // Moved away with its folder still there.
    let aside = folder.path().join("aside.db");
    std::fs::rename(&file, &aside).unwrap();
    assert_eq!(kept(), None, "a new store");
    keep("new");
    assert_eq!(kept().as_deref(), Some("new"));
    // Back again, and the backup in its place.
    std::fs::rename(&aside, &file).unwrap();
    assert_eq!(kept().as_deref(), Some("old"));
    std::fs::rename(&backup, &file).unwrap();
    assert_eq!(kept(), None, "a backup's jobs go their own way");
    keep("of the backup");
    at(OpenMode::MustExist).compact().unwrap();
    assert_eq!(kept().as_deref(), Some("of the backup"));
    let state_dir = std::fs::read_dir(location.state_dir()).unwrap();
    let outputs = state_dir.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().starts_with("output")
    });
    assert_eq!(
        outputs.count(),
        1,
        "those of stores that were here before are gone"
    );
}
