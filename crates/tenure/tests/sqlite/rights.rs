//! Several users and one file: they share it if they may, and nobody makes another change the
//! rights of what is not Tenure's.

use std::fs::{self, Permissions};
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::time::Duration;

use tenure::protocol::{Op, Reply, Request, State};
use tenure::runtime;
use tenure::store::StoreErrorClass::{Config, Refused};
use tenure::store::{Sqlite, Store, StoreError, StoreErrorClass};
use tenure_testkit::role;

use crate::world::{acquire, ask, closed, fence, in_role, key, open, owner, play, unprivileged};

const TTL: Duration = Duration::from_secs(3600);
/// A user without rights, and a group.
const NOBODY: u32 = 65534;

async fn refusal(path: &Path) -> StoreError {
    let opened = Sqlite::open(path, runtime::machine().expect("the machine's runtime")).await;
    opened.expect_err("it is refused")
}

#[track_caller]
fn says(error: &StoreError, class: StoreErrorClass, texts: &[&str]) {
    assert_eq!(error.class, class, "{error}");
    for text in texts {
        assert!(error.message.contains(text), "{text:?} is missing in: {error}");
    }
}

fn set(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("a mode");
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").mode() & 0o777
}

fn is_root() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        println!("SKIPPED: only root can be several users");
    }
    is_root
}

/// A file that everybody may write, closed again.
async fn shared_file(dir: &Path) -> PathBuf {
    let path = dir.join("locks.db");
    set(dir, 0o777);
    drop(open(&path).await);
    closed(&path).await;
    set(&path, 0o666);
    fs::remove_dir_all(dir.join("locks.db.wake")).expect("removed");
    path
}

#[tokio::test]
async fn a_planted_link_changes_no_mode_elsewhere() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = shared_file(dir.path()).await;
    let victim = dir.path().join("victim");
    fs::create_dir(&victim).expect("a directory");
    set(&victim, 0o700);
    symlink(&victim, dir.path().join("locks.db.wake")).expect("a link");
    let error = refusal(&path).await;
    says(&error, Config, &["locks.db.wake", "is no directory", "nothing was touched"]);
    assert_eq!(mode(&victim), 0o700);
    assert_eq!(fs::read_dir(&victim).expect("a directory").count(), 0);
}

#[tokio::test]
async fn a_directory_that_was_moved_there_keeps_its_owner_and_mode() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = shared_file(dir.path()).await;
    if is_root() {
        chown(&path, Some(NOBODY), Some(NOBODY)).expect("given away");
    }
    let wake = dir.path().join("locks.db.wake");
    fs::create_dir(&wake).expect("a directory");
    fs::write(wake.join("secret"), "precious").expect("a file");
    set(&wake, 0o700);
    let before = fs::metadata(&wake).expect("a directory").uid();
    drop(open(&path).await);
    assert_eq!((mode(&wake), fs::metadata(&wake).expect("a directory").uid()), (0o700, before));
    fs::remove_file(wake.join("secret")).expect("removed");
    drop(open(&path).await);
    assert_eq!(mode(&wake), 0o777, "with sockets alone it is Tenure's, and follows the file");
}

#[tokio::test]
async fn a_directory_of_somebody_else_is_not_used() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("locks.db");
    let wake = dir.path().join("locks.db.wake");
    fs::create_dir(&wake).expect("a directory");
    chown(&wake, Some(NOBODY), Some(NOBODY)).expect("given away");
    says(&refusal(&path).await, Config, &["belongs to user 65534", "user 0", "remove it"]);
    assert!(!path.exists());
    fs::remove_dir(&wake).expect("removed");
    drop(open(&path).await);
    closed(&path).await;
    chown(&wake, Some(NOBODY), Some(NOBODY)).expect("given away");
    says(&refusal(&path).await, Config, &["belongs to user 65534", "to user 0", "remove it"]);
    let journal = dir.path().join("locks.db-wal");
    chown(&wake, Some(0), Some(0)).expect("taken back");
    fs::write(&journal, "forged").expect("a file");
    chown(&journal, Some(NOBODY), None).expect("given away");
    says(&refusal(&path).await, Config, &["locks.db-wal belongs to user 65534", "remove it"]);
}

/// Takes the lock `mine`, and finds `k` held.
#[tokio::test]
async fn role_other_user() {
    let Some(dir) = in_role() else {
        return;
    };
    let store = open(&dir.join("locks.db")).await;
    fence(&ask(&store, "mine", acquire(&owner(2), TTL)).await.expect("an answer"));
    let look = vec![Request { key: key("k"), op: Op::Inspect }];
    let seen = store.call(look).await.expect("an answer");
    assert!(matches!(&seen[..], [Reply::Inspected(seen)] if seen.state == State::Held), "{seen:?}");
    assert!(store.inbox().await.expect("an answer").is_some(), "and is woken");
    drop(store);
}

#[tokio::test]
async fn root_first_and_the_owner_of_the_file_afterwards() {
    if !is_root() {
        return;
    }
    for mode_of_file in [0o600, 0o660, 0o666] {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("locks.db");
        fs::write(&path, "").expect("a file");
        set(&path, mode_of_file);
        for path in [dir.path(), &path] {
            chown(path, Some(NOBODY), Some(NOBODY)).expect("given away");
        }
        let store = open(&path).await;
        fence(&ask(&store, "k", acquire(&owner(1), TTL)).await.expect("an answer"));
        let wake = fs::metadata(dir.path().join("locks.db.wake")).expect("a directory");
        assert_eq!((wake.uid(), wake.gid()), (NOBODY, NOBODY), "as the file");
        play(unprivileged(), &role!(role_other_user), dir.path());
    }
}

/// As the documents say it: a directory and a file of a group.
#[tokio::test]
async fn users_of_one_group_share_a_file() {
    if !is_root() {
        return;
    }
    let (dir, group) = (tempfile::tempdir().expect("a directory"), 65533);
    let path = dir.path().join("locks.db");
    fs::write(&path, "").expect("a file");
    for path in [dir.path(), &path] {
        chown(path, None, Some(group)).expect("a group");
    }
    set(dir.path(), 0o2770);
    set(&path, 0o660);
    let user = |number: u32| {
        let mut command = Command::new("setpriv");
        let ids = [format!("--reuid={number}"), format!("--regid={group}")];
        command.args(ids).arg("--clear-groups");
        command
    };
    play(user(70001), &role!(role_first_user), dir.path());
    play(user(70002), &role!(role_other_user), dir.path());
    assert_eq!(mode(&dir.path().join("locks.db.wake")), 0o770);
}

#[tokio::test]
async fn role_first_user() {
    let Some(dir) = in_role() else {
        return;
    };
    let store = open(&dir.join("locks.db")).await;
    fence(&ask(&store, "k", acquire(&owner(1), TTL)).await.expect("an answer"));
}

#[tokio::test]
async fn role_shut_out() {
    let Some(dir) = in_role() else {
        return;
    };
    let error = refusal(&dir.join("locks.db")).await;
    let cure = "chown --reference=";
    says(&error, Refused, &["user 65534", "belongs to user 0", "mode 700", cure, "chmod 777"]);
}

#[tokio::test]
async fn a_directory_that_follows_another_owner_is_named_with_its_cure() {
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    shared_file(dir.path()).await;
    let wake = dir.path().join("locks.db.wake");
    fs::create_dir(&wake).expect("a directory");
    set(&wake, 0o700);
    play(unprivileged(), &role!(role_shut_out), dir.path());
}

/// In a sticky directory that everybody may write, as `/tmp`, before the file is made.
#[tokio::test]
async fn nothing_of_another_user_beside_a_file_that_is_not_made_yet_is_used() {
    for ending in ["-wal", "-shm", "-journal"] {
        let dir = tempfile::tempdir().expect("a directory");
        set(dir.path(), 0o1777);
        let path = dir.path().join("locks.db");
        let planted = dir.path().join(format!("locks.db{ending}"));
        let is_refused = async |texts: &[&str]| {
            let error = refusal(&path).await;
            says(&error, Config, &[&["nothing was touched", "remove it"], texts].concat());
            assert!(error.message.contains(&*planted.to_string_lossy()), "{error}");
            let left = fs::read_dir(dir.path()).expect("a directory").count();
            assert_eq!(left, 1, "{ending}: something was made");
            fs::remove_file(&planted).expect("it is still there");
        };
        symlink("/dev/null", &planted).expect("a link");
        is_refused(&["no regular file", "belongs to user"]).await;
        let pipe = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, &planted, pipe, 0o666.into(), 0).expect("a pipe");
        is_refused(&["no regular file"]).await;
        if is_root() {
            fs::write(&planted, "").expect("a file");
            set(&planted, 0o666);
            chown(&planted, Some(NOBODY), None).expect("given away");
            is_refused(&["belongs to user 65534", "this is user 0", "is not there"]).await;
        }
        drop(open(&path).await);
    }
}

/// SQLite gives what it finds to the owner of the file if it may, so it is too late to look then.
#[tokio::test]
async fn a_journal_that_is_planted_while_the_file_is_made_is_not_used() {
    if !is_root() {
        return;
    }
    for round in 0..20 {
        let ending = ["-wal", "-shm"][round % 2];
        let dir = tempfile::tempdir().expect("a directory");
        set(dir.path(), 0o1777);
        let path = dir.path().join("locks.db");
        let planted = dir.path().join(format!("locks.db{ending}"));
        let theirs = dir.path().join("theirs");
        let file = fs::File::create(&theirs).expect("a file");
        chown(&theirs, Some(NOBODY), Some(NOBODY)).expect("given away");
        let stop = Arc::new(AtomicBool::new(false));
        let planter = std::thread::spawn({
            let (path, planted, stop) = (path.clone(), planted.clone(), Arc::clone(&stop));
            move || {
                while !path.exists() && !stop.load(Relaxed) {}
                let (here, no_replace) = (rustix::fs::CWD, rustix::fs::RenameFlags::NOREPLACE);
                let plant = || rustix::fs::renameat_with(here, &theirs, here, &planted, no_replace);
                while plant().is_err() && !stop.load(Relaxed) {}
            }
        });
        let opened = Sqlite::open(&path, runtime::machine().expect("a runtime")).await;
        let used = fs::metadata(&planted).ok().map(|file| file.ino());
        stop.store(true, Relaxed);
        planter.join().expect("it ends");
        let theirs = file.metadata().expect("a file").ino();
        match opened {
            Ok(_) => assert_ne!(used, Some(theirs), "{ending}: the planted one is used"),
            Err(error) => says(&error, Config, &["belongs to user 65534", "remove it"]),
        }
    }
}
