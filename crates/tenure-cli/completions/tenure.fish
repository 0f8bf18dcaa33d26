# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_tenure_global_optspecs
    string join \n h/help V/version
end

function __fish_tenure_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_tenure_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_tenure_using_subcommand
    set -l cmd (__fish_tenure_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c tenure -n "__fish_tenure_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tenure -n "__fish_tenure_needs_command" -s V -l version -d 'Print version'
complete -c tenure -n "__fish_tenure_needs_command" -f -a "run" -d 'Run CMD while this process holds KEY'
complete -c tenure -n "__fish_tenure_needs_command" -f -a "once" -d 'Run CMD once per tick, on one of the hosts that try'
complete -c tenure -n "__fish_tenure_needs_command" -f -a "elect" -d 'Keep CMD running exactly while this host leads'
complete -c tenure -n "__fish_tenure_needs_command" -f -a "status" -d 'Show who holds KEY and who waits for it'
complete -c tenure -n "__fish_tenure_needs_command" -f -a "list" -d 'List the keys in use, all or those that begin with PREFIX'
complete -c tenure -n "__fish_tenure_needs_command" -f -a "acquire" -d 'Take KEY, and print a ticket that holds it'
complete -c tenure -n "__fish_tenure_needs_command" -f -a "renew" -d 'Let the lock of a ticket last for a fresh time from now on'
complete -c tenure -n "__fish_tenure_needs_command" -f -a "extend" -d 'Let the lock of a ticket last longer than now'
complete -c tenure -n "__fish_tenure_needs_command" -f -a "check" -d 'Say whether a ticket still holds its lock'
complete -c tenure -n "__fish_tenure_needs_command" -f -a "release" -d 'Give the lock of a ticket back'
complete -c tenure -n "__fish_tenure_needs_command" -f -a "hold" -d 'Hold KEY in the background until a process ends'
complete -c tenure -n "__fish_tenure_needs_command" -f -a "force-release" -d 'Take KEY away from its holders, and release it'
complete -c tenure -n "__fish_tenure_needs_command" -f -a "wait" -d 'Wait until nobody holds KEY'
complete -c tenure -n "__fish_tenure_needs_command" -f -a "watch" -d 'Show each change of the keys in use, line by line'
complete -c tenure -n "__fish_tenure_needs_command" -f -a "permits" -d 'Change the number of permits of KEY to N'
complete -c tenure -n "__fish_tenure_needs_command" -f -a "top" -d 'Show the keys in use on a full screen, kept up to date'
complete -c tenure -n "__fish_tenure_needs_command" -f -a "mcp" -d 'Serve the locks to a coding agent, by MCP'
complete -c tenure -n "__fish_tenure_needs_command" -f -a "doctor" -d 'Examine the store: what endangers locks there'
complete -c tenure -n "__fish_tenure_needs_command" -f -a "acl" -d 'Print the ACL rule with the least rights for Tenure'
complete -c tenure -n "__fish_tenure_needs_command" -f -a "help" -d 'Show the help of a verb, or a topic'
complete -c tenure -n "__fish_tenure_using_subcommand run" -l store -d 'The store\'s URL; given three times: a quorum' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand run" -l store-file -d 'The embedded store in this file' -r -F
complete -c tenure -n "__fish_tenure_using_subcommand run" -l store-timeout -d 'Time limit for the store' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand run" -l ttl -d 'Length of the lease' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand run" -l max-hold -d 'End CMD this time after the grant' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand run" -l kill-grace -d 'Time from the first signal to SIGKILL' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand run" -s s -l signal -d 'First signal to end CMD' -r -f -a "TERM\t''
INT\t''
HUP\t''
QUIT\t''
USR1\t''
USR2\t''
KILL\t''"
complete -c tenure -n "__fish_tenure_using_subcommand run" -l on-lost-exec -d 'Line for sh, run after a loss' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand run" -l on-lost -d 'After a loss: kill or ignore CMD' -r -f -a "kill\t'CMD and all it started are ended by the deadline'
ignore\t'CMD goes on, without a sentry; its code is ours'"
complete -c tenure -n "__fish_tenure_using_subcommand run" -l report -d 'Write the result into FILE, as JSON' -r -F
complete -c tenure -n "__fish_tenure_using_subcommand run" -l report-append -d 'Add the result to FILE, as one line of JSON' -r -F
complete -c tenure -n "__fish_tenure_using_subcommand run" -l label -d 'Name for others' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand run" -l log-format -d 'Messages as text or json' -r -f -a "text\t''
json\t''"
complete -c tenure -n "__fish_tenure_using_subcommand run" -l permits -d 'Be one of N at a time' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand run" -l units -d 'Take K of the permits [default: 1]' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand run" -l wait -d 'Longest wait for the lock [default: none]' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand run" -s w -d '--wait by a number of seconds, as flock -w' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand run" -l retry -d 'Wait N times the retry delay, in line' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand run" -l retry-delay -d 'Delay of --retry' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand run" -l min-hold -d 'Keep KEY at least so long' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand run" -l owner -d 'Owner value [default: a random one]' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand run" -l busy-exit -d 'Exit code for "busy"' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand run" -s k -l key -d 'A key in place of KEY; may be repeated' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand run" -l require-network -d 'Refuse a store of this host alone'
complete -c tenure -n "__fish_tenure_using_subcommand run" -l wait-all -d 'Keep the lock until all that CMD left has ended'
complete -c tenure -n "__fish_tenure_using_subcommand run" -l kill-rest -d 'When CMD has ended, end all that it left'
complete -c tenure -n "__fish_tenure_using_subcommand run" -s q -l quiet -d 'Tell errors only'
complete -c tenure -n "__fish_tenure_using_subcommand run" -s v -l verbose -d 'Tell each step'
complete -c tenure -n "__fish_tenure_using_subcommand run" -l shared -d 'Be one of many readers'
complete -c tenure -n "__fish_tenure_using_subcommand run" -l steal -d 'Take KEY from its holder, ahead of the line'
complete -c tenure -n "__fish_tenure_using_subcommand run" -s n -l try -d 'Do not wait at all, as flock -n'
complete -c tenure -n "__fish_tenure_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tenure -n "__fish_tenure_using_subcommand once" -l every -d 'Length of a tick' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand once" -l skip-exit -d 'Exit code for "skipped"' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand once" -l store -d 'The store\'s URL; given three times: a quorum' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand once" -l store-file -d 'The embedded store in this file' -r -F
complete -c tenure -n "__fish_tenure_using_subcommand once" -l store-timeout -d 'Time limit for the store' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand once" -l ttl -d 'Length of the lease' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand once" -l max-hold -d 'End CMD this time after the grant' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand once" -l kill-grace -d 'Time from the first signal to SIGKILL' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand once" -s s -l signal -d 'First signal to end CMD' -r -f -a "TERM\t''
INT\t''
HUP\t''
QUIT\t''
USR1\t''
USR2\t''
KILL\t''"
complete -c tenure -n "__fish_tenure_using_subcommand once" -l on-lost-exec -d 'Line for sh, run after a loss' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand once" -l on-lost -d 'After a loss: kill or ignore CMD' -r -f -a "kill\t'CMD and all it started are ended by the deadline'
ignore\t'CMD goes on, without a sentry; its code is ours'"
complete -c tenure -n "__fish_tenure_using_subcommand once" -l report -d 'Write the result into FILE, as JSON' -r -F
complete -c tenure -n "__fish_tenure_using_subcommand once" -l report-append -d 'Add the result to FILE, as one line of JSON' -r -F
complete -c tenure -n "__fish_tenure_using_subcommand once" -l label -d 'Name for others' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand once" -l log-format -d 'Messages as text or json' -r -f -a "text\t''
json\t''"
complete -c tenure -n "__fish_tenure_using_subcommand once" -l busy-exit -d 'Exit code for "busy"' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand once" -l since-last-run -d 'Count a tick from the last run'
complete -c tenure -n "__fish_tenure_using_subcommand once" -l retry-failed -d 'Run CMD again if the last run failed'
complete -c tenure -n "__fish_tenure_using_subcommand once" -l require-network -d 'Refuse a store of this host alone'
complete -c tenure -n "__fish_tenure_using_subcommand once" -l wait-all -d 'Keep the lock until all that CMD left has ended'
complete -c tenure -n "__fish_tenure_using_subcommand once" -l kill-rest -d 'When CMD has ended, end all that it left'
complete -c tenure -n "__fish_tenure_using_subcommand once" -s q -l quiet -d 'Tell errors only'
complete -c tenure -n "__fish_tenure_using_subcommand once" -s v -l verbose -d 'Tell each step'
complete -c tenure -n "__fish_tenure_using_subcommand once" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tenure -n "__fish_tenure_using_subcommand elect" -l store -d 'The store\'s URL; given three times: a quorum' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand elect" -l store-file -d 'The embedded store in this file' -r -F
complete -c tenure -n "__fish_tenure_using_subcommand elect" -l store-timeout -d 'Time limit for the store' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand elect" -l ttl -d 'Length of the leadership' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand elect" -l value -d 'Text for others, such as an address' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand elect" -l check -d 'Line for sh; 0: CMD is healthy' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand elect" -l every -d 'Time between two checks' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand elect" -l fails -d 'Failed checks that end the leadership' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand elect" -l kill-grace -d 'Time from the first signal to SIGKILL' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand elect" -s s -l signal -d 'First signal to end CMD' -r -f -a "TERM\t''
INT\t''
HUP\t''
QUIT\t''
USR1\t''
USR2\t''
KILL\t''"
complete -c tenure -n "__fish_tenure_using_subcommand elect" -l on-lost-exec -d 'Line for sh, run after a loss' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand elect" -l owner -d 'Owner value [default: a random one]' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand elect" -l label -d 'Name for others' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand elect" -l log-format -d 'Messages as text or json' -r -f -a "text\t''
json\t''"
complete -c tenure -n "__fish_tenure_using_subcommand elect" -l require-network -d 'Refuse a store of this host alone'
complete -c tenure -n "__fish_tenure_using_subcommand elect" -s q -l quiet -d 'Tell errors only'
complete -c tenure -n "__fish_tenure_using_subcommand elect" -s v -l verbose -d 'Tell each step'
complete -c tenure -n "__fish_tenure_using_subcommand elect" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tenure -n "__fish_tenure_using_subcommand status" -l store -d 'The store\'s URL; given three times: a quorum' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand status" -l store-file -d 'The embedded store in this file' -r -F
complete -c tenure -n "__fish_tenure_using_subcommand status" -l store-timeout -d 'Time limit for the store' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand status" -l require-network -d 'Refuse a store of this host alone'
complete -c tenure -n "__fish_tenure_using_subcommand status" -l json -d 'One JSON object'
complete -c tenure -n "__fish_tenure_using_subcommand status" -l exit-code -d 'End with 1 if somebody holds KEY'
complete -c tenure -n "__fish_tenure_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tenure -n "__fish_tenure_using_subcommand list" -l store -d 'The store\'s URL; given three times: a quorum' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand list" -l store-file -d 'The embedded store in this file' -r -F
complete -c tenure -n "__fish_tenure_using_subcommand list" -l store-timeout -d 'Time limit for the store' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand list" -l require-network -d 'Refuse a store of this host alone'
complete -c tenure -n "__fish_tenure_using_subcommand list" -l json -d 'One JSON object per line'
complete -c tenure -n "__fish_tenure_using_subcommand list" -l all -d 'Locks of other programs as well'
complete -c tenure -n "__fish_tenure_using_subcommand list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tenure -n "__fish_tenure_using_subcommand acquire" -l store -d 'The store\'s URL; given three times: a quorum' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand acquire" -l store-file -d 'The embedded store in this file' -r -F
complete -c tenure -n "__fish_tenure_using_subcommand acquire" -l store-timeout -d 'Time limit for the store' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand acquire" -l wait -d 'Longest wait for the lock [default: none]' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand acquire" -s w -d '--wait by a number of seconds, as flock -w' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand acquire" -l as -d 'The holder\'s name for others [default: the calling script]' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand acquire" -l ttl -d 'How long the ticket is good: 10ms to 30d [default: 30m]' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand acquire" -l require-network -d 'Refuse a store of this host alone'
complete -c tenure -n "__fish_tenure_using_subcommand acquire" -s n -l try -d 'Do not wait at all, as flock -n'
complete -c tenure -n "__fish_tenure_using_subcommand acquire" -s q -l quiet -d 'Tell errors only'
complete -c tenure -n "__fish_tenure_using_subcommand acquire" -l json -d 'One JSON object'
complete -c tenure -n "__fish_tenure_using_subcommand acquire" -l shell -d 'Lines for a shell, which export the outcome as variables'
complete -c tenure -n "__fish_tenure_using_subcommand acquire" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tenure -n "__fish_tenure_using_subcommand renew" -l store -d 'The store\'s URL; given three times: a quorum' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand renew" -l store-file -d 'The embedded store in this file' -r -F
complete -c tenure -n "__fish_tenure_using_subcommand renew" -l store-timeout -d 'Time limit for the store' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand renew" -l ttl -d 'Its time from now on [default: as acquired]' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand renew" -l require-network -d 'Refuse a store of this host alone'
complete -c tenure -n "__fish_tenure_using_subcommand renew" -s q -l quiet -d 'Print nothing but errors'
complete -c tenure -n "__fish_tenure_using_subcommand renew" -l json -d 'The state afterwards, as one JSON object'
complete -c tenure -n "__fish_tenure_using_subcommand renew" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tenure -n "__fish_tenure_using_subcommand extend" -l store -d 'The store\'s URL; given three times: a quorum' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand extend" -l store-file -d 'The embedded store in this file' -r -F
complete -c tenure -n "__fish_tenure_using_subcommand extend" -l store-timeout -d 'Time limit for the store' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand extend" -l by -d 'Add this to the time that is left' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand extend" -l to -d 'Make it last at least so long from now on' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand extend" -l require-network -d 'Refuse a store of this host alone'
complete -c tenure -n "__fish_tenure_using_subcommand extend" -s q -l quiet -d 'Print nothing but errors'
complete -c tenure -n "__fish_tenure_using_subcommand extend" -l json -d 'The state afterwards, as one JSON object'
complete -c tenure -n "__fish_tenure_using_subcommand extend" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tenure -n "__fish_tenure_using_subcommand check" -l store -d 'The store\'s URL; given three times: a quorum' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand check" -l store-file -d 'The embedded store in this file' -r -F
complete -c tenure -n "__fish_tenure_using_subcommand check" -l store-timeout -d 'Time limit for the store' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand check" -l require-network -d 'Refuse a store of this host alone'
complete -c tenure -n "__fish_tenure_using_subcommand check" -s q -l quiet -d 'Print nothing but errors'
complete -c tenure -n "__fish_tenure_using_subcommand check" -l json -d 'One JSON object'
complete -c tenure -n "__fish_tenure_using_subcommand check" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tenure -n "__fish_tenure_using_subcommand release" -l store -d 'The store\'s URL; given three times: a quorum' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand release" -l store-file -d 'The embedded store in this file' -r -F
complete -c tenure -n "__fish_tenure_using_subcommand release" -l store-timeout -d 'Time limit for the store' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand release" -l require-network -d 'Refuse a store of this host alone'
complete -c tenure -n "__fish_tenure_using_subcommand release" -s q -l quiet -d 'Print nothing but errors'
complete -c tenure -n "__fish_tenure_using_subcommand release" -l json -d 'The state afterwards, as one JSON object'
complete -c tenure -n "__fish_tenure_using_subcommand release" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tenure -n "__fish_tenure_using_subcommand hold" -l store -d 'The store\'s URL; given three times: a quorum' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand hold" -l store-file -d 'The embedded store in this file' -r -F
complete -c tenure -n "__fish_tenure_using_subcommand hold" -l store-timeout -d 'Time limit for the store' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand hold" -l wait -d 'Longest wait for the lock [default: none]' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand hold" -s w -d '--wait by a number of seconds, as flock -w' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand hold" -l as -d 'The holder\'s name for others [default: the calling script]' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand hold" -l ttl -d 'How long the lease lasts without renewal: 10ms to 30d [default: 30s]' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand hold" -l pid -d 'Hold the lock until this process ends' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand hold" -l while -d 'Hold the lock until this line for sh does not end with 0' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand hold" -l every -d 'Time between two runs of the --while line, and its limit' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand hold" -s s -l signal -d 'Send this signal to PID if the lock is lost [default: none]' -r -f -a "TERM\t''
INT\t''
HUP\t''
QUIT\t''
USR1\t''
USR2\t''
KILL\t''"
complete -c tenure -n "__fish_tenure_using_subcommand hold" -l log -d 'Append what the background process has to tell to this file' -r -F
complete -c tenure -n "__fish_tenure_using_subcommand hold" -l require-network -d 'Refuse a store of this host alone'
complete -c tenure -n "__fish_tenure_using_subcommand hold" -s n -l try -d 'Do not wait at all, as flock -n'
complete -c tenure -n "__fish_tenure_using_subcommand hold" -s q -l quiet -d 'Tell errors only'
complete -c tenure -n "__fish_tenure_using_subcommand hold" -l json -d 'One JSON object'
complete -c tenure -n "__fish_tenure_using_subcommand hold" -l shell -d 'Lines for a shell, which export the outcome as variables'
complete -c tenure -n "__fish_tenure_using_subcommand hold" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tenure -n "__fish_tenure_using_subcommand force-release" -l store -d 'The store\'s URL; given three times: a quorum' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand force-release" -l store-file -d 'The embedded store in this file' -r -F
complete -c tenure -n "__fish_tenure_using_subcommand force-release" -l store-timeout -d 'Time limit for the store' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand force-release" -l fence -d 'Only from a holder with this fence or an older one' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand force-release" -l require-network -d 'Refuse a store of this host alone'
complete -c tenure -n "__fish_tenure_using_subcommand force-release" -s y -l yes -d 'Do not ask'
complete -c tenure -n "__fish_tenure_using_subcommand force-release" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tenure -n "__fish_tenure_using_subcommand wait" -l store -d 'The store\'s URL; given three times: a quorum' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand wait" -l store-file -d 'The embedded store in this file' -r -F
complete -c tenure -n "__fish_tenure_using_subcommand wait" -l store-timeout -d 'Time limit for the store' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand wait" -l timeout -d 'Longest wait [default: none]' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand wait" -l require-network -d 'Refuse a store of this host alone'
complete -c tenure -n "__fish_tenure_using_subcommand wait" -s q -l quiet -d 'Tell errors only'
complete -c tenure -n "__fish_tenure_using_subcommand wait" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tenure -n "__fish_tenure_using_subcommand watch" -l store -d 'The store\'s URL; given three times: a quorum' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand watch" -l store-file -d 'The embedded store in this file' -r -F
complete -c tenure -n "__fish_tenure_using_subcommand watch" -l store-timeout -d 'Time limit for the store' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand watch" -l interval -d 'Time between two looks at the store: 10ms at least' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand watch" -l require-network -d 'Refuse a store of this host alone'
complete -c tenure -n "__fish_tenure_using_subcommand watch" -l json -d 'One JSON object per line'
complete -c tenure -n "__fish_tenure_using_subcommand watch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tenure -n "__fish_tenure_using_subcommand permits" -l store -d 'The store\'s URL; given three times: a quorum' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand permits" -l store-file -d 'The embedded store in this file' -r -F
complete -c tenure -n "__fish_tenure_using_subcommand permits" -l store-timeout -d 'Time limit for the store' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand permits" -l require-network -d 'Refuse a store of this host alone'
complete -c tenure -n "__fish_tenure_using_subcommand permits" -l json -d 'Print KEY after the change, as JSON'
complete -c tenure -n "__fish_tenure_using_subcommand permits" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tenure -n "__fish_tenure_using_subcommand top" -l store -d 'The store\'s URL; given three times: a quorum' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand top" -l store-file -d 'The embedded store in this file' -r -F
complete -c tenure -n "__fish_tenure_using_subcommand top" -l store-timeout -d 'Time limit for the store' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand top" -l interval -d 'Time between looks' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand top" -l require-network -d 'Refuse a store of this host alone'
complete -c tenure -n "__fish_tenure_using_subcommand top" -l no-color -d 'No colours'
complete -c tenure -n "__fish_tenure_using_subcommand top" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tenure -n "__fish_tenure_using_subcommand mcp" -l store -d 'The store\'s URL; given three times: a quorum' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand mcp" -l store-file -d 'The embedded store in this file' -r -F
complete -c tenure -n "__fish_tenure_using_subcommand mcp" -l store-timeout -d 'Time limit for the store' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand mcp" -l as -d 'Name for others' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand mcp" -l require-network -d 'Refuse a store of this host alone'
complete -c tenure -n "__fish_tenure_using_subcommand mcp" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tenure -n "__fish_tenure_using_subcommand doctor" -l store -d 'The store\'s URL; given three times: a quorum' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand doctor" -l store-file -d 'The embedded store in this file' -r -F
complete -c tenure -n "__fish_tenure_using_subcommand doctor" -l store-timeout -d 'Time limit for the store' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand doctor" -l ttl -d 'The longest ttl that a program uses there' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand doctor" -l require-network -d 'Refuse a store of this host alone'
complete -c tenure -n "__fish_tenure_using_subcommand doctor" -l json -d 'One JSON object'
complete -c tenure -n "__fish_tenure_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tenure -n "__fish_tenure_using_subcommand acl" -l user -d 'The user at the server' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand acl" -l prefix -d 'Only for the keys that begin with this text [default: all keys]' -r -f
complete -c tenure -n "__fish_tenure_using_subcommand acl" -l without -d 'Leave out ack, restart-guard or database' -r -f -a "ack\t'Grants that replicas acknowledge (?ack=N)'
restart-guard\t'The restart guard (?restart_guard=DUR), and quorums'
database\t'A database other than 0'"
complete -c tenure -n "__fish_tenure_using_subcommand acl" -l cluster -d 'For the nodes of a cluster'
complete -c tenure -n "__fish_tenure_using_subcommand acl" -l sentinel -d 'With the rule of a user at the Sentinels'
complete -c tenure -n "__fish_tenure_using_subcommand acl" -l read-only -d 'For status and list alone: nothing can be locked'
complete -c tenure -n "__fish_tenure_using_subcommand acl" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c tenure -n "__fish_tenure_using_subcommand help" -s h -l help -d 'Print help (see more with \'--help\')'

function __fish_tenure_is_behind_dashes
    contains -- -- (commandline -opc)
end

function __fish_tenure_complete_cmd
    set -l words (commandline -opc)
    set -l at (contains -i -- -- $words)
    set -e words[1..$at]
    complete -C (string join ' ' -- (string escape -- $words) (commandline -ct))
end

complete -c tenure -n "__fish_tenure_using_subcommand run; and __fish_tenure_is_behind_dashes" -x -a "(__fish_tenure_complete_cmd)"
complete -c tenure -n "__fish_tenure_using_subcommand once; and __fish_tenure_is_behind_dashes" -x -a "(__fish_tenure_complete_cmd)"
complete -c tenure -n "__fish_tenure_using_subcommand elect; and __fish_tenure_is_behind_dashes" -x -a "(__fish_tenure_complete_cmd)"
complete -c tenure -n "__fish_tenure_using_subcommand help" -a "run once elect status list acquire renew extend check release hold force-release wait watch permits top mcp doctor acl help stores environment exit-codes kinds durations signals"
complete -c tenure -f
