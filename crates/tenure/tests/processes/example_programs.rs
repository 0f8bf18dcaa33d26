//! The programs under `examples/`, built as the test that runs them was. It never runs any.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use tenure_testkit::as_from_a_shell;

/// Built once for each test program. Cargo is asked for all of them at once, since each asking
/// takes its lock.
static DIRECTORY: LazyLock<PathBuf> = LazyLock::new(|| {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--locked", "--package", "tenure", "--examples"]);
    assert!(
        as_from_a_shell(&mut build).status().expect("cargo runs").success(),
        "the examples do not build"
    );
    let test = std::env::current_exe().expect("this test's path");
    test.ancestors().nth(2).expect("the profile's directory").join("examples")
});

pub(crate) fn example(name: &str) -> PathBuf {
    DIRECTORY.join(name)
}
