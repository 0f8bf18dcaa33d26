//! The checked-in completions, asked by the shells themselves: bash always, zsh, fish and Nushell
//! where they are.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use crate::help::verbs;
use crate::place::{Place, TENURE};

/// Asks for the words that a shell offers behind these, or `None` where the shell is not here.
type Ask = fn(&Place, &[&str]) -> Option<Vec<String>>;

fn of_this_crate(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("completions").join(name)
}

/// The first words of the lines that a shell prints.
fn lines(shell: &mut Command, file: &str) -> Option<Vec<String>> {
    let Ok(output) = shell.env("FILE", of_this_crate(file)).output() else {
        println!("{} is not here: {file} is not asked", shell.get_program().display());
        return None;
    };
    let Output { status, stdout, stderr } = output;
    assert!(status.success(), "{file}: {}", String::from_utf8_lossy(&stderr));
    assert_eq!(String::from_utf8_lossy(&stderr), "", "{file}");
    let stdout = String::from_utf8(stdout).expect("words");
    let words = stdout.lines().map(|line| line.split(['\t', '\r']).next().unwrap_or_default());
    Some(words.filter(|word| !word.is_empty()).map(str::to_owned).collect())
}

fn bash(place: &Place, words: &[&str]) -> Option<Vec<String>> {
    let script = "compopt() { :; }\n\
                  source \"$FILE\" && complete -p tenure > /dev/null || exit 1\n\
                  COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1))\n\
                  _tenure tenure \"${COMP_WORDS[COMP_CWORD]}\" \"${COMP_WORDS[COMP_CWORD - 1]}\"\n\
                  printf '%s\\n' \"${COMPREPLY[@]}\"";
    lines(place.command("bash").args(["--norc", "-c", script, "bash"]).args(words), "tenure.bash")
}

/// Prints between `BEGIN` and `END` each word that zsh adds to its list of matches.
const ZSH_AT_TERMINAL: &str = r#"
PS1=
autoload -U compinit && compinit -u -D
source $FILE && compdef _tenure tenure
bindkey '^I' complete-word
said_first() { print BEGIN }
said_last() { print END; exit }
compprefuncs=(said_first)
comppostfuncs=(said_last)
compadd() {
    [[ ${@[1,(i)(-|--)]} == *-[OAD]\ * ]] && { builtin compadd "$@"; return }
    local -a hits
    builtin compadd -A hits "$@"
    print -l -- $hits
    builtin compadd "$@"
}
print is-"ready"
"#;

/// Completion needs a terminal: zsh makes one, in which a second zsh is typed to.
const ZSH: &str = r#"
zmodload zsh/zpty || exit 3
zpty z zsh -f -i
zpty -w z "source $SETUP"
until [[ $said == *is-ready* ]]; do zpty -r z said || exit 4; done
zpty -n -w z "$*"$'\t'
said=
while zpty -r z line; do said+=$line; [[ $said == *BEGIN*END* ]] && break; done
print -r -- ${${said#*BEGIN}%END*}
"#;

fn zsh(place: &Place, words: &[&str]) -> Option<Vec<String>> {
    std::fs::write(place.path("setup.zsh"), ZSH_AT_TERMINAL).expect("a file");
    let mut zsh = place.command("zsh");
    let zsh = zsh.args(["-f", "-c", ZSH, "zsh"]).args(words);
    lines(zsh.env("SETUP", place.path("setup.zsh")), "_tenure")
}

fn fish(place: &Place, words: &[&str]) -> Option<Vec<String>> {
    let script = "source $FILE; complete -C (string join ' ' -- $argv)";
    lines(place.command("fish").args(["-N", "-c", script]).args(words), "tenure.fish")
}

const SHELLS: [(&str, Ask); 3] = [("bash", bash), ("zsh", zsh), ("fish", fish)];

#[test]
fn each_shell_completes_verbs_options_values_and_topics() {
    let place = Place::new();
    let verbs = verbs(&place);
    for (shell, ask) in SHELLS {
        let Some(all) = ask(&place, &["tenure", ""]) else { continue };
        for verb in &verbs {
            assert!(all.contains(verb), "{shell}: {verb}: {all:?}");
        }
        for (words, found) in [
            (&["tenure", "sta"][..], "status"),
            (&["tenure", "run", "--store-t"], "--store-timeout"),
            (&["tenure", "run", "--on-lost", "i"], "ignore"),
            (&["tenure", "run", "--signal", "H"], "HUP"),
            (&["tenure", "hold", "--signal", "T"], "TERM"),
            (&["tenure", "help", "exit"], "exit-codes"),
        ] {
            assert_eq!(ask(&place, words), Some(vec![found.to_owned()]), "{shell}: {words:?}");
        }
    }
}

#[test]
fn a_file_is_offered_where_one_is_meant_and_nowhere_else() {
    let place = Place::new();
    std::fs::write(place.path("a-file"), "").expect("a file");
    for (shell, ask) in SHELLS {
        for words in [
            &["tenure", "run", "--store-file", "a-f"][..],
            &["tenure", "run", "--report", "a-f"],
            &["tenure", "hold", "--log", "a-f"],
        ] {
            let Some(found) = ask(&place, words) else { continue };
            assert_eq!(found, ["a-file"], "{shell}: {words:?}");
        }
        for words in [
            &["tenure", "run", "--ttl", "a-f"][..],
            &["tenure", "run", "--label", "a-f"],
            &["tenure", "status", "a-f"],
            &["tenure", "release", "a-f"],
        ] {
            let Some(found) = ask(&place, words) else { continue };
            assert!(!found.contains(&"a-file".to_owned()), "{shell}: {words:?}: {found:?}");
        }
    }
}

#[test]
fn behind_the_key_a_command_is_completed() {
    let place = Place::new();
    for (shell, ask) in SHELLS {
        for verb in [&["run"][..], &["once", "--every", "1d"], &["elect"]] {
            let words = [&["tenure"], verb, &["k", "--", "mkfif"]].concat();
            let Some(found) = ask(&place, &words) else { continue };
            assert!(found.contains(&"mkfifo".to_owned()), "{shell}: {words:?}: {found:?}");
        }
        let Some(found) = ask(&place, &["tenure", "run", "k", "--", "ls", "--stor"]) else {
            continue;
        };
        assert!(!found.contains(&"--store".to_owned()), "{shell}: {found:?}");
    }
}

/// A definition in Nushell is more than a completion: a word that it has no type for is refused.
#[test]
fn nushell_hands_each_word_to_the_command() {
    let place = Place::new();
    let file = of_this_crate("tenure.nu");
    let run = "tenure run k -- echo true 1000ms 08 -n --x=5 '*'";
    let line = format!("use '{}' *; {run}", file.display());
    let mut nu = place.command("nu");
    let path = std::env::var_os("PATH").unwrap_or_default();
    let ours = Path::new(TENURE).parent().expect("a directory").to_owned();
    let path = std::env::join_paths([ours].into_iter().chain(std::env::split_paths(&path)));
    nu.env("PATH", path.expect("a path")).args(["-n", "-c", &line]);
    if let Some(words) = lines(&mut nu, "tenure.nu") {
        assert_eq!(words, ["true 1000ms 08 -n --x=5 *"]);
    }
}
