//! The label of a run, as others see its holder: `NAME (USER@HOST, pid N)`, or `NAME (USER@HOST,
//! ticket)` for a ticket, which outlives its script. It names the script where CMD is an
//! interpreter. It never shows arguments, which may be secret.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

use tenure::Label;

use crate::command::OWN_NAME;
use crate::users;

/// The longest name in a label, in characters.
const NAME_MAX: usize = 60;
/// The programs whose first argument without a dash is a script.
const INTERPRETERS: [&str; 8] =
    ["python", "perl", "ruby", "node", "php", "lua", "Rscript", "tclsh"];
/// The shells.
const SHELLS: [&str; 8] = ["sh", "bash", "dash", "ash", "zsh", "ksh", "mksh", "fish"];

/// Commands before the work of a line for a shell.
const PREPARING: [&str; 7] = ["cd", "export", "set", "shopt", "trap", "ulimit", "umask"];
/// Words of a shell's grammar, which name no program.
const GRAMMAR: [&str; 8] = ["case", "for", "function", "if", "select", "time", "until", "while"];

/// The last word in the label of a ticket, in place of a process.
const TICKET: &str = "ticket";

/// The party that a lock ends with.
#[derive(Debug, Clone, Copy)]
pub(crate) enum By {
    /// A process of this host.
    Process(u32),
    /// A ticket: no process has to live for it.
    Ticket,
}

/// The parts of a label in one of the forms that Tenure makes.
#[cfg_attr(not(feature = "top"), allow(dead_code, reason = "a view of the locks reads them"))]
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Parts<'a> {
    /// The script or program.
    pub(crate) name: &'a str,
    /// `None` in the library's form, which has none.
    pub(crate) user: Option<&'a str>,
    pub(crate) host: &'a str,
    /// As the holder's own host counts; `None` for a ticket.
    pub(crate) pid: Option<u32>,
}

/// The parts of `NAME (USER@HOST, pid N)` or `NAME (USER@HOST, ticket)`, the command's forms, or of
/// `host:pid:program`, the library's. `None` for a label that a user has chosen.
pub(crate) fn parse(label: &str) -> Option<Parts<'_>> {
    of_command(label).or_else(|| of_library(label))
}

fn of_command(label: &str) -> Option<Parts<'_>> {
    let (name, rest) = label.strip_suffix(')')?.rsplit_once(" (")?;
    let (who, by) = rest.rsplit_once(", ")?;
    let pid = match by.strip_prefix("pid ") {
        Some(pid) => Some(pid.parse().ok()?),
        None if by == TICKET => None,
        None => return None,
    };
    let (user, host) = who.rsplit_once('@')?;
    let parts = Parts { name, user: Some(user), host, pid };
    [name, user, host].iter().all(|part| !part.is_empty()).then_some(parts)
}

fn of_library(label: &str) -> Option<Parts<'_>> {
    let mut parts = label.splitn(3, ':');
    let (host, pid, name) = (parts.next()?, parts.next()?, parts.next()?);
    let whole = !host.is_empty() && !host.contains(' ') && !name.is_empty();
    Some(Parts { name, user: None, host, pid: Some(pid.parse().ok()?) }).filter(|_| whole)
}

/// A label as a user typed it. One of blanks would show nobody.
pub(crate) fn typed(text: &str) -> Result<String, String> {
    if text.trim().is_empty() {
        return Err("a name for others cannot be empty; leave it out for the default".into());
    }
    Ok(text.to_owned())
}

/// The label of a run of CMD, which is given by its words, by this process.
pub(crate) fn of(words: &[OsString]) -> Label {
    of_words(words, By::Process(std::process::id()))
}

/// The label of another process on this host.
pub(crate) fn of_process(pid: u32) -> Label {
    of_script(pid, By::Process(pid))
}

/// The label of a ticket for a script, which runs as this process on this host.
pub(crate) fn of_ticket(script: u32) -> Label {
    of_script(script, By::Ticket)
}

/// The label of a ticket once this process has adopted it. Any other label stays as it is.
pub(crate) fn adopted(label: &Label, pid: u32) -> Label {
    match label.as_str().strip_suffix(&format!(", {TICKET})")) {
        Some(begin) => Label::new(format!("{begin}, pid {pid})")),
        None => label.clone(),
    }
}

fn of_script(pid: u32, by: By) -> Label {
    let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
    let words = line.strip_suffix(&[0]).unwrap_or(&line).split(|byte| *byte == 0);
    let words: Vec<_> = words.map(|word| OsString::from_vec(word.to_vec())).collect();
    // A login shell is called "-bash".
    let is_shell = |name: &str| SHELLS.contains(&name);
    match words.first().and_then(|word| word.to_str()?.strip_prefix('-')) {
        Some(name) if is_shell(name) => of_words(&[name.into()], by),
        _ if words.iter().all(|word| word.is_empty()) => of_words(&[OWN_NAME.into()], by),
        _ => of_words(&words, by),
    }
}

fn of_words(words: &[OsString], by: By) -> Label {
    let name: String = name_of(words).chars().take(NAME_MAX).collect();
    Label::new(format!("{name} {}", place(by)))
}

/// The user and host of this process, and the party that the lock ends with.
pub(crate) fn place(by: By) -> String {
    let uname = rustix::system::uname();
    let host = uname.nodename().to_string_lossy();
    let user = rustix::process::geteuid().as_raw();
    let user = users::login(user).unwrap_or_else(|| user.to_string());
    match by {
        By::Process(pid) => format!("({user}@{host}, pid {pid})"),
        By::Ticket => format!("({user}@{host}, {TICKET})"),
    }
}

/// The name of the script that these words run, or of the program.
fn name_of(words: &[OsString]) -> String {
    let words: Vec<_> = words.iter().map(|word| word.to_string_lossy()).collect();
    let Some((program, arguments)) = words.split_first() else { return String::new() };
    let program = base(program);
    let plain = program.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.');
    let arguments = arguments.iter().map(AsRef::as_ref);
    let script = if SHELLS.contains(&program.as_str()) {
        of_shell(&program, arguments)
    } else if INTERPRETERS.contains(&plain) {
        of_interpreter(arguments)
    } else {
        None
    };
    script.unwrap_or(program)
}

fn of_shell<'a>(shell: &str, mut arguments: impl Iterator<Item = &'a str>) -> Option<String> {
    let mut is_line = false;
    loop {
        let word = arguments.next()?;
        let flags = word.strip_prefix(['-', '+']).filter(|flags| !flags.is_empty());
        match flags {
            // "--" ends the options; the long ones of a shell have no "c" that counts.
            Some(flags) if flags.starts_with('-') => {}
            Some(flags) => {
                is_line |= word.starts_with('-') && flags.contains('c');
                // The name of the shell's option follows.
                if flags.ends_with(['o', 'O']) {
                    arguments.next();
                }
            }
            None if is_line => return of_line(shell, word),
            None => return script(word),
        }
    }
}

/// The program of a line for a shell, without what stands around it. If the line has more than one,
/// it is named as the shell's line that begins so: `sh: backup …`.
fn of_line(shell: &str, line: &str) -> Option<String> {
    // Redirections are no ends of commands.
    let line = line.replace(">&", ">").replace("&>", ">");
    let commands = line.split([';', '&', '|', '\n']).filter(|command| !command.trim().is_empty());
    let mut commands = commands.skip_while(|command| is_preparing(command));
    let program = program_of(commands.next()?)?;
    let is_all = commands.next().is_none();
    Some(if is_all { program } else { format!("{shell}: {program} …") })
}

/// Whether a part of a line is a command that prepares, and no piece of a quoted word.
fn is_preparing(command: &str) -> bool {
    let name = command.split_whitespace().next();
    name.is_some_and(|name| PREPARING.contains(&name)) && !command.contains(is_quoting)
}

/// The program of one command.
fn program_of(command: &str) -> Option<String> {
    let is_assignment = |word: &str| {
        let name = word.split_once('=').map(|(name, _)| name);
        name.is_some_and(|name| name.chars().all(|c| c.is_alphanumeric() || c == '_'))
    };
    let mut before = command.split_whitespace();
    let word = before.find(|word| {
        // The next word may be a part of its value.
        let is_whole = is_assignment(word) && !word.contains(is_quoting);
        !is_whole && *word != "exec"
    })?;
    let word = word.trim_end_matches(')');
    let is_name = |c: char| c.is_alphanumeric() || "-_./+".contains(c);
    // Anything else, such as a quoted word, is more than a name.
    let names_one = !word.is_empty() && word.chars().all(is_name) && !GRAMMAR.contains(&word);
    names_one.then(|| base(word))
}

/// Characters with which a word of a shell's line may go on behind a blank or an operator.
fn is_quoting(c: char) -> bool {
    "'\"`\\$()".contains(c)
}

fn of_interpreter<'a>(mut arguments: impl Iterator<Item = &'a str>) -> Option<String> {
    loop {
        match arguments.next()? {
            // A module.
            "-m" => return arguments.next().map(str::to_owned),
            "-c" | "-e" | "-E" | "-p" | "-r" | "-" => return None,
            "-W" | "-X" | "-I" => drop(arguments.next()),
            word if word.starts_with('-') => {}
            word => return script(word),
        }
    }
}

/// The name of a script; `None` for one that is read from an open descriptor, which has none.
fn script(path: &str) -> Option<String> {
    let is_open = path == "/dev/stdin"
        || ["/dev/fd/", "/proc/self/fd/"].iter().any(|place| path.starts_with(place));
    (!is_open).then(|| base(path))
}

fn base(path: &str) -> String {
    let name = Path::new(path).file_name();
    name.map_or_else(|| path.to_owned(), |name| name.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(line: &[&str]) -> String {
        name_of(&line.iter().map(OsString::from).collect::<Vec<_>>())
    }

    #[test]
    fn the_script_is_named_and_not_its_interpreter() {
        for (line, expected) in [
            (&["/opt/nightly.sh", "--all"][..], "nightly.sh"),
            (&["sh", "/opt/nightly.sh"], "nightly.sh"),
            (&["bash", "-eu", "-o", "pipefail", "--", "./nightly.sh", "x"], "nightly.sh"),
            (&["/bin/bash", "-lc", "exec /opt/nightly.sh --all"], "nightly.sh"),
            (&["sh", "-c", "A=1 nightly.sh --all > log 2>&1"], "nightly.sh"),
            (&["sh", "-c", "cd /opt && exec ./nightly.sh --all"], "nightly.sh"),
            (&["bash", "-c", "set -eu; umask 077\nnightly.sh;"], "nightly.sh"),
            (&["sh", "-c", "sleep 600"], "sleep"),
            (&["python3.12", "-u", "-W", "error", "/opt/report.py"], "report.py"),
            (&["python", "-m", "report.daily"], "report.daily"),
            (&["node", "report.js"], "report.js"),
            (&["backup", "x"], "backup"),
        ] {
            assert_eq!(name(line), expected, "{line:?}");
        }
    }

    /// It was called `3`.
    #[test]
    fn a_script_from_a_descriptor_has_its_interpreter_s_name() {
        for (line, expected) in [
            (&["bash", "/dev/fd/3"][..], "bash"),
            (&["/bin/sh", "-e", "/dev/stdin", "x"], "sh"),
            (&["python3", "/proc/self/fd/11"], "python3"),
            (&["bash", "/dev/fd.sh"], "fd.sh"),
        ] {
            assert_eq!(name(line), expected, "{line:?}");
        }
    }

    /// It was called after the first of them, which may be the least.
    #[test]
    fn a_line_of_several_commands_is_the_shell_s() {
        for (line, expected) in [
            (&["sh", "-c", "backup a; prune b"][..], "sh: backup …"),
            (&["/bin/bash", "-c", "dump x | gzip > y"], "bash: dump …"),
            (&["sh", "-c", "cd /opt; A=1 ./check && ./nightly.sh &"], "sh: check …"),
            (&["sh", "-c", "psql -c 'select 1; select s3cret'"], "sh: psql …"),
            (&["sh", "-c", "if true; then backup; fi"], "sh"),
            (&["sh", "-c", "(backup; prune)"], "sh"),
            (&["sh", "-c", "cd /opt"], "sh"),
        ] {
            assert_eq!(name(line), expected, "{line:?}");
        }
    }

    #[test]
    fn a_line_that_is_no_name_is_not_shown() {
        for (line, expected) in [
            (&["sh", "-c", "\"$SECRET\" x"][..], "sh"),
            (&["sh", "-c", "TOKEN=secret"], "sh"),
            (&["sh", "-c", "TOKEN='a secret b' job"], "sh"),
            (&["sh", "-c", "TOKEN=a\\ secret job"], "sh"),
            (&["sh", "-c", "export TOKEN='a; secret b'; job"], "sh: export …"),
            (&["sh", "-c", "cd \"$(x; secret y)\"; job"], "sh: cd …"),
            (&["python3", "-c", "print('secret')"], "python3"),
            (&["perl", "-e", "secret"], "perl"),
            (&["sh"], "sh"),
        ] {
            assert_eq!(name(line), expected, "{line:?}");
        }
    }

    #[test]
    fn the_forms_of_tenure_are_parsed_and_no_others() {
        let parts = |name, user, host, pid| Some(Parts { name, user, host, pid: Some(pid) });
        let ticket = Parts { name: "bash", user: Some("root"), host: "db1", pid: None };
        for (label, expected) in [
            ("nightly.sh (root@db1, pid 123)", parts("nightly.sh", Some("root"), "db1", 123)),
            ("a (b) (x@y.org@db1, pid 7)", parts("a (b)", Some("x@y.org"), "db1", 7)),
            ("bash (root@db1, ticket)", Some(ticket)),
            ("db1:123:worker", parts("worker", None, "db1", 123)),
            ("db1:123:a:b", parts("a:b", None, "db1", 123)),
            ("nightly.sh", None),
            ("nightly.sh (root@db1, pid x)", None),
            ("nightly.sh (root@db1)", None),
            ("nightly.sh (root@db1, tickets)", None),
            ("at 12:30:00", None),
            ("", None),
        ] {
            assert_eq!(parse(label), expected, "{label}");
        }
    }

    #[test]
    fn a_label_of_ours_is_parsed_back_and_never_cut() {
        let name = "x".repeat(500);
        let label = of(&["sh".into(), name.into()]);
        let parts = parse(label.as_str()).expect("the form is ours");
        assert_eq!(parts.name, "x".repeat(NAME_MAX));
        assert_eq!(parts.pid, Some(std::process::id()));
    }

    #[test]
    fn a_ticket_that_is_adopted_is_its_keeper_s() {
        let of = |text: &str| adopted(&Label::new(text), 7).to_string();
        assert_eq!(of("job.sh (ada@db1, ticket)"), "job.sh (ada@db1, pid 7)");
        for other in ["job.sh (ada@db1, pid 4)", "release 4711", "a ticket"] {
            assert_eq!(of(other), other);
        }
    }
}
