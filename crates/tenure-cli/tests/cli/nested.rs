//! A run within a run on the same key would wait for itself. It is refused however the place of the
//! store is spelled, as far as the spelling alone can tell.

use tenure_testkit::Flavour;

use crate::place::{Home, Place};

/// Runs `tenure` within a `tenure` that holds the key, each with its own words for the store.
fn nested(place: &Place, outer: &[&str], inner: &str) -> crate::place::Ended {
    let script = format!("\"$TENURE\" run --try --busy-exit 9 {inner} k -- echo ran; echo $?");
    place.run(&[&["run"], outer, &["k", "--", "sh", "-c", &script]].concat())
}

fn refused(place: &Place, outer: &[&str], inner: &str) {
    let ended = nested(place, outer, inner);
    assert_eq!(ended.stdout, "64\n", "{outer:?}, {inner}: {ended:?}");
    let message = "\"k\" is held by a command around this one";
    assert!(ended.stderr.contains(message), "{outer:?}, {inner}: {ended:?}");
}

#[test]
fn a_nested_run_on_the_same_key_is_refused() {
    let place = Place::new();
    refused(&place, &[], "");
    let deep = "\"$TENURE\" run other -- \"$TENURE\" run k -- echo ran; echo $?";
    let ended = place.run(&["run", "k", "--", "sh", "-c", deep]);
    assert_eq!(ended.stdout, "64\n", "also with another run between: {ended:?}");
    let ended = nested(&place, &[], "--store-file other.db");
    assert_eq!(ended.stdout, "ran\n0\n", "another store has other locks: {ended:?}");
}

#[test]
fn a_file_is_the_same_by_every_path() {
    let place = Place::new();
    std::fs::create_dir(place.path("sub")).expect("a directory");
    std::os::unix::fs::symlink(place.path("."), place.path("link")).expect("a link");
    for inner in [
        "--store-file locks.db",
        "--store-file ./locks.db",
        "--store-file sub/../locks.db",
        "--store-file link/locks.db",
        "--store sqlite:locks.db",
        "--store sqlite:\"$PWD\"/link/locks.db",
    ] {
        refused(&place, &[], inner);
        // And the other way round, for a file that is made by this run.
        let outer = inner.split(' ').map(|word| word.replace("\"$PWD\"", ".")).collect::<Vec<_>>();
        let outer: Vec<_> = outer.iter().map(String::as_str).collect();
        refused(&place, &outer, &format!("--store-file {}", place.store().display()));
    }
}

#[test]
fn a_server_is_the_same_in_every_spelling_of_its_url() {
    for flavour in Flavour::ALL {
        let place = Place::at(Home::Server(flavour));
        let url = place.url();
        let address = url.strip_prefix("redis://").expect("a URL").to_owned();
        let port = address.rsplit_once(':').expect("a port").1;
        for inner in [
            format!("redis://{address}/0"),
            format!("redis://{address}/"),
            format!("redis://{address}?db=0"),
            format!("redis://{address}?connect_timeout=3s"),
            format!("redis://default@{address}"),
            format!("valkey://{address}"),
        ] {
            refused(&place, &[], &format!("--store '{inner}'"));
            refused(&place, &["--store", &inner], &format!("--store {url}"));
        }
        let named = format!("redis://localhost:{port}");
        refused(&place, &["--store", &named], &format!("--store valkey://LOCALHOST:{port}/0"));
        for elsewhere in [format!("{url}/1"), format!("{url}?key_template=other:{{name}}")] {
            let ended = nested(&place, &[], &format!("--store '{elsewhere}'"));
            assert_eq!(ended.stdout, "ran\n0\n", "{elsewhere} has other locks: {ended:?}");
        }
    }
}

/// The help and SAFETY.md say so: such a run waits for itself, and --wait or --try ends that.
#[test]
fn another_name_for_the_same_server_is_not_recognised() {
    let place = Place::at(Home::Server(Flavour::Redis));
    let named = place.url().replace("127.0.0.1", "localhost");
    let ended = nested(&place, &[], &format!("--store {named}"));
    assert_eq!(ended.stdout, "9\n", "{ended:?}");
    let help = place.run(&["help", "environment"]).stdout;
    let help = help.split_whitespace().collect::<Vec<_>>().join(" ");
    assert!(help.contains("another host name for the same server is not recognised"), "{help}");
}
