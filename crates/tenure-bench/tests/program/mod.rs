//! The program, built as the test that runs it was.

use std::path::PathBuf;
use std::process::Command;
use std::sync::LazyLock;

use tenure_testkit::as_from_a_shell;

/// Built once. Cargo builds an example for a test only where it builds all targets.
static PROGRAM: LazyLock<PathBuf> = LazyLock::new(|| {
    let mut build = Command::new(env!("CARGO"));
    build.args(["build", "--quiet", "--locked", "--package", "tenure-bench", "--examples"]);
    assert!(
        as_from_a_shell(&mut build).status().expect("cargo runs").success(),
        "the bench does not build"
    );
    let test = std::env::current_exe().expect("this test's path");
    test.ancestors().nth(2).expect("the profile's directory").join("examples/tenure-bench")
});

pub(crate) fn bench() -> Command {
    Command::new(&*PROGRAM)
}
