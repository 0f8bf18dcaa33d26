//! Refusals of the system: descriptors, room on stdout.

use crate::place::Place;

#[test]
fn too_few_descriptors_are_named_and_not_a_panic() {
    let place = Place::new();
    for limit in [6, 10, 16] {
        for command in ["run k -- true", "status k", "list"] {
            let ended = place.sh(&format!("ulimit -n {limit}; exec \"$TENURE\" {command}"));
            assert_eq!(ended.code, Some(70), "{limit}, {command}: {ended:?}");
            let told = format!("may open {limit} files");
            assert!(ended.stderr.contains(&told), "{limit}, {command}: {ended:?}");
            assert!(ended.stderr.contains("ulimit -n"), "{limit}, {command}: {ended:?}");
        }
    }
}

#[test]
fn as_many_descriptors_as_are_asked_for_are_enough() {
    let place = Place::new();
    let ended = place.sh("ulimit -n 40; exec \"$TENURE\" run k -- true");
    assert_eq!(ended.code, Some(0), "{ended:?}");
}

#[test]
fn a_full_stdout_is_told_as_that() {
    let place = Place::new();
    for command in ["status k", "status --json k"] {
        let ended = place.sh(&format!("exec \"$TENURE\" {command} > /dev/full"));
        assert_eq!(ended.code, Some(74), "{command}: {ended:?}");
        assert!(ended.stderr.contains("cannot write to stdout: No space left"), "{ended:?}");
    }
}
