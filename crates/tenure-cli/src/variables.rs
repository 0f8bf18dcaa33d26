//! The variables of the environment that the command reads and sets: those of the library. A test
//! checks that its lists have all of them.

use std::ffi::OsString;

pub(crate) use tenure::variables::{FILE, REQUIRE as REQUIRE_NETWORK, URL, WITHHELD, names};

/// The warning about variables that look like Tenure's and are not, in one line.
pub(crate) fn warning(names: impl Iterator<Item = OsString>) -> Option<String> {
    let warning = tenure::variables::warning(names)?;
    Some(format!("{warning}; see: tenure help environment"))
}

#[cfg(test)]
mod tests {
    use tenure::variables::{PREFIX, READ, SET, is_unknown};

    /// The variable by which tests write the files that are made from the program.
    const OF_TESTS: &str = "TENURE_REGENERATE";

    #[test]
    fn the_topic_has_every_variable() {
        let topic = crate::topics::Topic::named("environment").expect("a topic").text();
        for name in [&READ[..], &SET].concat() {
            assert!(topic.split([' ', ',', '\n']).any(|word| word == name), "{name}: {topic}");
        }
    }

    /// A variable that a source names, and that is not in the lists above, would be warned about.
    #[test]
    fn the_lists_have_every_variable_of_the_program() {
        fn sources(directory: &std::path::Path, all: &mut String) {
            for entry in std::fs::read_dir(directory).expect("a directory") {
                let path = entry.expect("an entry").path();
                if path.is_dir() {
                    sources(&path, all);
                } else if !path.ends_with("variables.rs") {
                    let text = std::fs::read_to_string(&path).expect("UTF-8");
                    *all += text.split("#[cfg(test)]\nmod tests").next().unwrap_or_default();
                }
            }
        }
        let mut all = String::new();
        sources(&std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut all);
        let mut found = 0;
        for (at, _) in all.match_indices(PREFIX) {
            let is_of_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_';
            let name: String = all[at..].chars().take_while(|c| is_of_name(*c)).collect();
            if name == OF_TESTS {
                continue;
            }
            found += 1;
            assert!(name == PREFIX || !is_unknown(&name), "{name} is in no list");
        }
        assert!(found > 10, "{found}");
    }
}
