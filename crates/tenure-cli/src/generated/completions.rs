//! The completions: those of clap's generators, and what they leave out. No file names are offered
//! for a value that is no file, and behind the key stands a command of its own, with its arguments.

use std::path::Path;

use clap::{Arg, Command, ValueHint};
use clap_complete::{Generator, Shell};
use clap_complete_nushell::Nushell;

use super::{COMPLETIONS, Files, shown, text};
use crate::command::OWN_NAME;
use crate::definition;

pub(super) fn completions() -> Files {
    fn of(generator: impl Generator) -> (String, String) {
        let mut bytes = Vec::new();
        let name = generator.file_name(OWN_NAME);
        clap_complete::generate(generator, &mut definition(), OWN_NAME, &mut bytes);
        (name, text(bytes))
    }
    let (bash, zsh) = (of(Shell::Bash), of(Shell::Zsh));
    let (fish, nu) = (of(Shell::Fish), of(Nushell));
    [
        (bash.0, of_bash(&bash.1)),
        (zsh.0, of_zsh(&zsh.1)),
        (fish.0, of_fish(fish.1)),
        (nu.0, of_nu(&nu.1)),
    ]
    .map(|(name, text)| (Path::new(COMPLETIONS).join(name), text))
    .into()
}

/// The names that are offered for a signal. Others, and numbers, are taken all the same.
const SIGNALS: [&str; 7] = ["TERM", "INT", "HUP", "QUIT", "USR1", "USR2", "KILL"];

/// The definition, in which a value that has no hint is no file, and a signal has names.
fn definition() -> Command {
    let hinted = |arg: Arg| {
        if arg.get_id() == "signal" {
            return arg.value_parser(SIGNALS);
        }
        let is_plain = arg.get_value_hint() == ValueHint::Unknown;
        let takes_values = arg.get_action().takes_values();
        if is_plain && takes_values && arg.get_possible_values().is_empty() {
            arg.value_hint(ValueHint::Other)
        } else {
            arg
        }
    };
    definition::command().mut_subcommands(|verb| verb.mut_args(hinted))
}

/// The verbs that run a command of the user.
fn runners() -> Vec<String> {
    let runs = |verb: &&Command| {
        let mut args = verb.get_positionals();
        args.any(|arg| arg.get_value_hint() == ValueHint::CommandWithArguments)
    };
    let definition = definition();
    shown(&definition).filter(runs).map(|verb| verb.get_name().to_owned()).collect()
}

/// `text` with `new` for each `old`, which is there.
fn replaced(text: &str, old: &str, new: &str) -> String {
    assert!(text.contains(old), "clap no longer writes {old:?}");
    text.replace(old, new)
}

/// Behind "--" the words are handed to the completion of the command, where bash-completion is
/// loaded; else its name is completed, and then files are.
fn of_bash(text: &str) -> String {
    let begin = "    prev=\"$3\"\n";
    let behind_dashes = format!(
        "{begin}\
         \x20   case \"${{COMP_WORDS[1]}}\" in\n\
         \x20       {verbs})\n\
         \x20           for ((i = 2; i < COMP_CWORD; i++)); do\n\
         \x20               [[ ${{COMP_WORDS[i]}} == -- ]] || continue\n\
         \x20               if declare -F _command_offset >/dev/null; then\n\
         \x20                   _command_offset $((i + 1))\n\
         \x20               elif ((COMP_CWORD == i + 1)); then\n\
         \x20                   COMPREPLY=($(compgen -c -- \"${{cur}}\"))\n\
         \x20               fi\n\
         \x20               return 0\n\
         \x20           done\n\
         \x20           ;;\n\
         \x20   esac\n",
        verbs = runners().join("|")
    );
    replaced(text, begin, &behind_dashes)
}

/// Three colons: the words that `_cmdambivalent` sees are those of CMD, without KEY.
fn of_zsh(text: &str) -> String {
    replaced(text, "'*::cmd ", "'*:::cmd ")
}

fn of_fish(text: String) -> String {
    let behind_dashes = format!(
        "\n\
         function __fish_{OWN_NAME}_is_behind_dashes\n\
         \x20   contains -- -- (commandline -opc)\n\
         end\n\n\
         function __fish_{OWN_NAME}_complete_cmd\n\
         \x20   set -l words (commandline -opc)\n\
         \x20   set -l at (contains -i -- -- $words)\n\
         \x20   set -e words[1..$at]\n\
         \x20   complete -C (string join ' ' -- (string escape -- $words) (commandline -ct))\n\
         end\n\n"
    );
    let mut text = text + &behind_dashes;
    for verb in runners() {
        let is_this = format!("__fish_{OWN_NAME}_using_subcommand {verb}");
        let is_behind = format!("__fish_{OWN_NAME}_is_behind_dashes");
        text += &format!(
            "complete -c {OWN_NAME} -n \"{is_this}; and {is_behind}\" \
             -x -a \"(__fish_{OWN_NAME}_complete_cmd)\"\n"
        );
    }
    // clap leaves out the values of what stands without an option.
    for verb in shown(&definition()) {
        let values = verb.get_positionals().flat_map(Arg::get_possible_values);
        let values: Vec<_> = values.map(|value| value.get_name().to_owned()).collect();
        if !values.is_empty() {
            let is_this = format!("__fish_{OWN_NAME}_using_subcommand {}", verb.get_name());
            text +=
                &format!("complete -c {OWN_NAME} -n \"{is_this}\" -a \"{}\"\n", values.join(" "));
        }
    }
    // No verb takes a file in another place than an option, which says so itself.
    text + &format!("complete -c {OWN_NAME} -f\n")
}

/// Without `bool`, a word of CMD such as `true` is an error in Nushell; a `glob` is expanded where
/// it is not quoted, as for every program.
fn of_nu(text: &str) -> String {
    replaced(text, "...cmd: string", "...cmd: oneof<glob, bool>")
}
