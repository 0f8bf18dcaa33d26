module completions {

  # Run a command under a distributed lock: waits in line, renews, ends the command in time
  export extern tenure [
    --help(-h)                # Print help (see more with '--help')
    --version(-V)             # Print version
  ]

  def "nu-complete tenure run signal" [] {
    [ "TERM" "INT" "HUP" "QUIT" "USR1" "USR2" "KILL" ]
  }

  def "nu-complete tenure run on_lost" [] {
    [ "kill" "ignore" ]
  }

  def "nu-complete tenure run log_format" [] {
    [ "text" "json" ]
  }

  # Run CMD while this process holds KEY
  export extern "tenure run" [
    --store: string           # The store's URL; given three times: a quorum
    --store-file: path        # The embedded store in this file
    --store-timeout: string   # Time limit for the store
    --require-network         # Refuse a store of this host alone
    --ttl: string             # Length of the lease
    --max-hold: string        # End CMD this time after the grant
    --kill-grace: string      # Time from the first signal to SIGKILL
    --signal(-s): string@"nu-complete tenure run signal" # First signal to end CMD
    --on-lost-exec: string    # Line for sh, run after a loss
    --on-lost: string@"nu-complete tenure run on_lost" # After a loss: kill or ignore CMD
    --wait-all                # Keep the lock until all that CMD left has ended
    --kill-rest               # When CMD has ended, end all that it left
    --report: path            # Write the result into FILE, as JSON
    --report-append: path     # Add the result to FILE, as one line of JSON
    --label: string           # Name for others
    --quiet(-q)               # Tell errors only
    --verbose(-v)             # Tell each step
    --log-format: string@"nu-complete tenure run log_format" # Messages as text or json
    --shared                  # Be one of many readers
    --permits: string         # Be one of N at a time
    --units: string           # Take K of the permits [default: 1]
    --steal                   # Take KEY from its holder, ahead of the line
    --wait: string            # Longest wait for the lock [default: none]
    -w: string                # --wait by a number of seconds, as flock -w
    --try(-n)                 # Do not wait at all, as flock -n
    --retry: string           # Wait N times the retry delay, in line
    --retry-delay: string     # Delay of --retry
    --min-hold: string        # Keep KEY at least so long
    --owner: string           # Owner value [default: a random one]
    --busy-exit: string       # Exit code for "busy"
    --key(-k): string         # A key in place of KEY; may be repeated
    --help(-h)                # Print help (see more with '--help')
    key?: string              # The key to lock
    ...cmd: oneof<glob, bool>            # The command and its arguments
  ]

  def "nu-complete tenure once signal" [] {
    [ "TERM" "INT" "HUP" "QUIT" "USR1" "USR2" "KILL" ]
  }

  def "nu-complete tenure once on_lost" [] {
    [ "kill" "ignore" ]
  }

  def "nu-complete tenure once log_format" [] {
    [ "text" "json" ]
  }

  # Run CMD once per tick, on one of the hosts that try
  export extern "tenure once" [
    --every: string           # Length of a tick
    --since-last-run          # Count a tick from the last run
    --retry-failed            # Run CMD again if the last run failed
    --skip-exit: string       # Exit code for "skipped"
    --store: string           # The store's URL; given three times: a quorum
    --store-file: path        # The embedded store in this file
    --store-timeout: string   # Time limit for the store
    --require-network         # Refuse a store of this host alone
    --ttl: string             # Length of the lease
    --max-hold: string        # End CMD this time after the grant
    --kill-grace: string      # Time from the first signal to SIGKILL
    --signal(-s): string@"nu-complete tenure once signal" # First signal to end CMD
    --on-lost-exec: string    # Line for sh, run after a loss
    --on-lost: string@"nu-complete tenure once on_lost" # After a loss: kill or ignore CMD
    --wait-all                # Keep the lock until all that CMD left has ended
    --kill-rest               # When CMD has ended, end all that it left
    --report: path            # Write the result into FILE, as JSON
    --report-append: path     # Add the result to FILE, as one line of JSON
    --label: string           # Name for others
    --quiet(-q)               # Tell errors only
    --verbose(-v)             # Tell each step
    --log-format: string@"nu-complete tenure once log_format" # Messages as text or json
    --busy-exit: string       # Exit code for "busy"
    --help(-h)                # Print help (see more with '--help')
    key: string               # The key of the job
    ...cmd: oneof<glob, bool>            # The command and its arguments
  ]

  def "nu-complete tenure elect signal" [] {
    [ "TERM" "INT" "HUP" "QUIT" "USR1" "USR2" "KILL" ]
  }

  def "nu-complete tenure elect log_format" [] {
    [ "text" "json" ]
  }

  # Keep CMD running exactly while this host leads
  export extern "tenure elect" [
    --store: string           # The store's URL; given three times: a quorum
    --store-file: path        # The embedded store in this file
    --store-timeout: string   # Time limit for the store
    --require-network         # Refuse a store of this host alone
    --ttl: string             # Length of the leadership
    --value: string           # Text for others, such as an address
    --check: string           # Line for sh; 0: CMD is healthy
    --every: string           # Time between two checks
    --fails: string           # Failed checks that end the leadership
    --kill-grace: string      # Time from the first signal to SIGKILL
    --signal(-s): string@"nu-complete tenure elect signal" # First signal to end CMD
    --on-lost-exec: string    # Line for sh, run after a loss
    --owner: string           # Owner value [default: a random one]
    --label: string           # Name for others
    --quiet(-q)               # Tell errors only
    --verbose(-v)             # Tell each step
    --log-format: string@"nu-complete tenure elect log_format" # Messages as text or json
    --help(-h)                # Print help (see more with '--help')
    key: string               # The key of the role
    ...cmd: oneof<glob, bool>            # The command and its arguments
  ]

  # Show who holds KEY and who waits for it
  export extern "tenure status" [
    --store: string           # The store's URL; given three times: a quorum
    --store-file: path        # The embedded store in this file
    --store-timeout: string   # Time limit for the store
    --require-network         # Refuse a store of this host alone
    --json                    # One JSON object
    --exit-code               # End with 1 if somebody holds KEY
    --help(-h)                # Print help (see more with '--help')
    key: string               # The key
  ]

  # List the keys in use, all or those that begin with PREFIX
  export extern "tenure list" [
    --store: string           # The store's URL; given three times: a quorum
    --store-file: path        # The embedded store in this file
    --store-timeout: string   # Time limit for the store
    --require-network         # Refuse a store of this host alone
    --json                    # One JSON object per line
    --all                     # Locks of other programs as well
    --help(-h)                # Print help (see more with '--help')
    prefix?: string           # Only keys that begin with this text
  ]

  # Take KEY, and print a ticket that holds it
  export extern "tenure acquire" [
    --store: string           # The store's URL; given three times: a quorum
    --store-file: path        # The embedded store in this file
    --store-timeout: string   # Time limit for the store
    --require-network         # Refuse a store of this host alone
    --wait: string            # Longest wait for the lock [default: none]
    -w: string                # --wait by a number of seconds, as flock -w
    --try(-n)                 # Do not wait at all, as flock -n
    --as: string              # The holder's name for others [default: the calling script]
    --quiet(-q)               # Tell errors only
    --json                    # One JSON object
    --shell                   # Lines for a shell, which export the outcome as variables
    --ttl: string             # How long the ticket is good: 10ms to 30d [default: 30m]
    --help(-h)                # Print help (see more with '--help')
    key: string               # The key to lock: 1 to 512 bytes of UTF-8 without control characters
  ]

  # Let the lock of a ticket last for a fresh time from now on
  export extern "tenure renew" [
    --store: string           # The store's URL; given three times: a quorum
    --store-file: path        # The embedded store in this file
    --store-timeout: string   # Time limit for the store
    --require-network         # Refuse a store of this host alone
    --quiet(-q)               # Print nothing but errors
    --json                    # The state afterwards, as one JSON object
    --ttl: string             # Its time from now on [default: as acquired]
    --help(-h)                # Print help (see more with '--help')
    ticket?: string           # The ticket; "-" reads it from stdin [default: TENURE_TICKET]
  ]

  # Let the lock of a ticket last longer than now
  export extern "tenure extend" [
    --store: string           # The store's URL; given three times: a quorum
    --store-file: path        # The embedded store in this file
    --store-timeout: string   # Time limit for the store
    --require-network         # Refuse a store of this host alone
    --quiet(-q)               # Print nothing but errors
    --json                    # The state afterwards, as one JSON object
    --by: string              # Add this to the time that is left
    --to: string              # Make it last at least so long from now on
    --help(-h)                # Print help (see more with '--help')
    ticket?: string           # The ticket; "-" reads it from stdin [default: TENURE_TICKET]
  ]

  # Say whether a ticket still holds its lock
  export extern "tenure check" [
    --store: string           # The store's URL; given three times: a quorum
    --store-file: path        # The embedded store in this file
    --store-timeout: string   # Time limit for the store
    --require-network         # Refuse a store of this host alone
    --quiet(-q)               # Print nothing but errors
    --json                    # One JSON object
    --help(-h)                # Print help (see more with '--help')
    ticket?: string           # The ticket; "-" reads it from stdin [default: TENURE_TICKET]
  ]

  # Give the lock of a ticket back
  export extern "tenure release" [
    --store: string           # The store's URL; given three times: a quorum
    --store-file: path        # The embedded store in this file
    --store-timeout: string   # Time limit for the store
    --require-network         # Refuse a store of this host alone
    --quiet(-q)               # Print nothing but errors
    --json                    # The state afterwards, as one JSON object
    --help(-h)                # Print help (see more with '--help')
    ticket?: string           # The ticket; "-" reads it from stdin [default: TENURE_TICKET]
  ]

  def "nu-complete tenure hold signal" [] {
    [ "TERM" "INT" "HUP" "QUIT" "USR1" "USR2" "KILL" ]
  }

  # Hold KEY in the background until a process ends
  export extern "tenure hold" [
    --store: string           # The store's URL; given three times: a quorum
    --store-file: path        # The embedded store in this file
    --store-timeout: string   # Time limit for the store
    --require-network         # Refuse a store of this host alone
    --wait: string            # Longest wait for the lock [default: none]
    -w: string                # --wait by a number of seconds, as flock -w
    --try(-n)                 # Do not wait at all, as flock -n
    --as: string              # The holder's name for others [default: the calling script]
    --quiet(-q)               # Tell errors only
    --json                    # One JSON object
    --shell                   # Lines for a shell, which export the outcome as variables
    --ttl: string             # How long the lease lasts without renewal: 10ms to 30d [default: 30s]
    --pid: string             # Hold the lock until this process ends
    --while: string           # Hold the lock until this line for sh does not end with 0
    --every: string           # Time between two runs of the --while line, and its limit
    --signal(-s): string@"nu-complete tenure hold signal" # Send this signal to PID if the lock is lost [default: none]
    --log: path               # Append what the background process has to tell to this file
    --help(-h)                # Print help (see more with '--help')
    key: string               # The key to lock: 1 to 512 bytes of UTF-8 without control characters
  ]

  # Take KEY away from its holders, and release it
  export extern "tenure force-release" [
    --store: string           # The store's URL; given three times: a quorum
    --store-file: path        # The embedded store in this file
    --store-timeout: string   # Time limit for the store
    --require-network         # Refuse a store of this host alone
    --yes(-y)                 # Do not ask
    --fence: string           # Only from a holder with this fence or an older one
    --help(-h)                # Print help (see more with '--help')
    key: string               # The key
  ]

  # Wait until nobody holds KEY
  export extern "tenure wait" [
    --store: string           # The store's URL; given three times: a quorum
    --store-file: path        # The embedded store in this file
    --store-timeout: string   # Time limit for the store
    --require-network         # Refuse a store of this host alone
    --timeout: string         # Longest wait [default: none]
    --quiet(-q)               # Tell errors only
    --help(-h)                # Print help (see more with '--help')
    key: string               # The key
  ]

  # Show each change of the keys in use, line by line
  export extern "tenure watch" [
    --store: string           # The store's URL; given three times: a quorum
    --store-file: path        # The embedded store in this file
    --store-timeout: string   # Time limit for the store
    --require-network         # Refuse a store of this host alone
    --json                    # One JSON object per line
    --interval: string        # Time between two looks at the store: 10ms at least
    --help(-h)                # Print help (see more with '--help')
    prefix?: string           # Only keys that begin with this text
  ]

  # Change the number of permits of KEY to N
  export extern "tenure permits" [
    --store: string           # The store's URL; given three times: a quorum
    --store-file: path        # The embedded store in this file
    --store-timeout: string   # Time limit for the store
    --require-network         # Refuse a store of this host alone
    --json                    # Print KEY after the change, as JSON
    --help(-h)                # Print help (see more with '--help')
    key: string               # The key
    permits: string           # The number of permits from now on
  ]

  # Show the keys in use on a full screen, kept up to date
  export extern "tenure top" [
    --store: string           # The store's URL; given three times: a quorum
    --store-file: path        # The embedded store in this file
    --store-timeout: string   # Time limit for the store
    --require-network         # Refuse a store of this host alone
    --interval: string        # Time between looks
    --no-color                # No colours
    --help(-h)                # Print help (see more with '--help')
    prefix?: string           # Only keys that begin with this text
  ]

  # Serve the locks to a coding agent, by MCP
  export extern "tenure mcp" [
    --store: string           # The store's URL; given three times: a quorum
    --store-file: path        # The embedded store in this file
    --store-timeout: string   # Time limit for the store
    --require-network         # Refuse a store of this host alone
    --as: string              # Name for others
    --help(-h)                # Print help (see more with '--help')
  ]

  # Examine the store: what endangers locks there
  export extern "tenure doctor" [
    --store: string           # The store's URL; given three times: a quorum
    --store-file: path        # The embedded store in this file
    --store-timeout: string   # Time limit for the store
    --require-network         # Refuse a store of this host alone
    --ttl: string             # The longest ttl that a program uses there
    --json                    # One JSON object
    --help(-h)                # Print help (see more with '--help')
  ]

  def "nu-complete tenure acl without" [] {
    [ "ack" "restart-guard" "database" ]
  }

  # Print the ACL rule with the least rights for Tenure
  export extern "tenure acl" [
    --user: string            # The user at the server
    --prefix: string          # Only for the keys that begin with this text [default: all keys]
    --cluster                 # For the nodes of a cluster
    --sentinel                # With the rule of a user at the Sentinels
    --read-only               # For status and list alone: nothing can be locked
    --without: string@"nu-complete tenure acl without" # Leave out ack, restart-guard or database
    --help(-h)                # Print help (see more with '--help')
  ]

  def "nu-complete tenure help about" [] {
    [ "run" "once" "elect" "status" "list" "acquire" "renew" "extend" "check" "release" "hold" "force-release" "wait" "watch" "permits" "top" "mcp" "doctor" "acl" "help" "stores" "environment" "exit-codes" "kinds" "durations" "signals" ]
  }

  # Show the help of a verb, or a topic
  export extern "tenure help" [
    --help(-h)                # Print help (see more with '--help')
    about?: string@"nu-complete tenure help about" # A verb or a topic
  ]

}

export use completions *
