//! A test program that starts itself again, for one of its tests: a test with a process to itself,
//! or a part that another test needs a process for. It never runs more than that one test.

use std::env;
use std::process::Command;

use crate::clean::clean;

/// Tells a process that it was started for the test that it runs.
const ALONE: &str = "TENURE_TEST_ALONE";

/// Runs `test`, the whole body of a test, in a process of its own: for what belongs to a whole
/// process, such as its logger, its threads and its hook of panics.
///
/// # Panics
/// If the test fails there, with all that it printed.
#[track_caller]
pub fn alone<T: FnOnce()>(test: T) {
    if env::var_os(ALONE).is_some() {
        return test();
    }
    this_test::<T>(|mut command| {
        command.env(ALONE, "1");
        command
    });
}

/// Runs the test around the closure `T`, the body of which it is, in another process: by the
/// command that `changed` makes of the one that would run it.
///
/// # Panics
/// If the test fails there, with all that it printed.
#[track_caller]
pub(crate) fn this_test<T>(changed: impl FnOnce(Command) -> Command) {
    // The compiler names a closure after the function around it.
    let path = std::any::type_name::<T>().trim_end_matches("::{{closure}}");
    let output = changed(this_program(path)).output().expect("this program starts again");
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{path}: {}\n{printed}{errors}", output.status);
    assert!(printed.contains("1 passed"), "{path} was not run: {printed}");
}

/// This test program once more, as a command that runs the one test with this path, as
/// `module_path!()` begins it, and shows what it prints.
///
/// # Panics
/// If `path` has no module in it.
#[must_use]
pub fn this_program(path: &str) -> Command {
    let (_program, test) = path.split_once("::").expect("a path begins with its program");
    let mut command = Command::new(env::current_exe().expect("the path of this program"));
    clean(&mut command).args(["--exact", test, "--nocapture", "--test-threads=1"]);
    command
}

/// This test program once more, to run the test of this name in the calling module.
#[macro_export]
macro_rules! role {
    ($test:ident) => {{
        let _it_exists: fn() -> _ = $test;
        $crate::this_program(concat!(module_path!(), "::", stringify!($test)))
    }};
}
