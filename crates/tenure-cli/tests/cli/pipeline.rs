//! `tenure run` as one member of a shell's job on a terminal: whoever uses the terminal gets it,
//! CMD and the other members alike.

use std::fs;

use crate::place::{Place, is_alive, state_of, until};
use crate::screen::Screen;

/// A shell script for the other end of a pipeline: once CMD runs, it asks for a password, writes
/// it, and then copies its stdin.
const ASKS: &str = "while ! test -e pid; do sleep 0.01; done; stty -echo < /dev/tty; \
                    printf \"pass\"word: > /dev/tty; read x < /dev/tty; stty echo < /dev/tty; \
                    echo \"got=$x\"; echo > go; cat";

/// A shell script for CMD: it writes its number and waits for the file `go`.
const WAITS: &str = "echo $$ > pid; while ! test -e go; do sleep 0.01; done; echo done";

fn is_missing(screen: &mut Screen, program: &str) -> bool {
    let missing = screen.command(&format!("command -v {program}")).is_empty();
    if missing {
        println!("SKIPPED: this machine has no {program}");
    }
    missing
}

#[test]
fn a_pager_behind_cmd_gets_the_keys() {
    let place = Place::new();
    let mut screen = Screen::open(&place);
    if is_missing(&mut screen, "less") {
        return;
    }
    for _ in 0..3 {
        screen.keys("TERM=xterm LESS= $TENURE run k -- seq 1000 | TERM=xterm LESS= less\n");
        until("less reads keys", || screen.is_raw().then_some(()));
        screen.expect("10\r\n");
        screen.keys("G");
        screen.expect("1000\r\n");
        screen.keys("q");
        assert_eq!(screen.status(), "status=0\n");
    }
}

#[test]
fn the_other_end_of_a_pipeline_asks_for_a_password() {
    let place = Place::new();
    let mut screen = Screen::open(&place);
    screen.keys(&format!("$TENURE run k -- sh -c '{WAITS}' | sh -c '{ASKS}'\n"));
    screen.expect("password:");
    screen.keys("hunter2\n");
    screen.expect("got=hunter2");
    screen.expect("done");
    assert_eq!(screen.status(), "status=0\n");

    // The same before CMD.
    fs::remove_file(place.path("pid")).expect("it was written");
    let cmd = "sh -c 'echo > pid; exec cat'";
    screen.keys(&format!("sh -c '{ASKS}' < /dev/null | $TENURE run k -- {cmd}\n"));
    screen.expect("password:");
    screen.keys("hunter3\n");
    screen.expect("got=hunter3");
    assert_eq!(screen.status(), "status=0\n");
}

#[test]
fn cmd_in_a_pipeline_gets_the_terminal_when_it_asks() {
    let place = Place::new();
    let mut screen = Screen::open(&place);
    let reads = "stty -echo < /dev/tty; printf \"na\"me: > /dev/tty; read x < /dev/tty; \
                 stty echo < /dev/tty; echo \"got=$x\"";
    for (before, behind) in [("", "| cat"), ("echo |", ""), ("echo |", "| cat")] {
        screen.keys(&format!("{before} $TENURE run k -- sh -c '{reads}' {behind}\n"));
        screen.expect("name:");
        screen.keys("ada\n");
        screen.expect("got=ada");
        assert_eq!(screen.status(), "status=0\n", "{before} CMD {behind}");
    }
    // Stdin is the terminal, stdout is a file.
    screen.keys("$TENURE run k -- sh -c 'echo $$ > pid; exec cat' > copy\n");
    let cmd = place.number_in("pid");
    until("cat has the terminal", || (screen.foreground() == cmd).then_some(()));
    screen.keys("text\n\x04");
    assert_eq!(screen.status(), "status=0\n");
    assert_eq!(place.read("copy"), "text\n");
}

#[test]
fn cmd_and_the_other_end_take_turns_at_the_terminal() {
    let place = Place::new();
    let mut screen = Screen::open(&place);
    let read = |name: &str| format!("printf \"{name}\"? > /dev/tty; read x < /dev/tty");
    let cmd = format!(
        "{}; echo $x; while ! test -e go; do sleep 0.01; done; {}; echo $x",
        read("one"),
        read("three")
    );
    let other = format!("read a; {}; echo > go; read b; echo $a-$x-$b", read("two"));
    screen.keys(&format!("$TENURE run k -- sh -c '{cmd}' | sh -c '{other}'\n"));
    for word in ["one", "two", "three"] {
        screen.expect(&format!("{word}?"));
        screen.keys(&format!("{word}\n"));
    }
    screen.expect("one-two-three");
    assert_eq!(screen.status(), "status=0\n");
}

#[test]
fn a_program_that_handles_the_stop_gets_its_password_too() {
    let place = Place::new();
    let mut screen = Screen::open(&place);
    // As ssh does: SIGTTOU is caught, the modes are put back, then it stops itself alone. It does
    // so late here, when the rest of its group was continued already: more than once.
    let script = "import os, signal, termios, time\n\
        caught = []\n\
        signal.signal(signal.SIGTTOU, lambda *_: caught.append(1))\n\
        tty = os.open('/dev/tty', os.O_RDWR)\n\
        while True:\n\
        \x20   try:\n\
        \x20       termios.tcsetattr(tty, termios.TCSAFLUSH, termios.tcgetattr(tty))\n\
        \x20       break\n\
        \x20   except InterruptedError: pass\n\
        \x20   except termios.error: pass\n\
        \x20   if caught:\n\
        \x20       time.sleep(0.2)\n\
        \x20       caught.clear()\n\
        \x20       os.kill(os.getpid(), signal.SIGSTOP)\n\
        os.write(tty, b'ask' + b'ed\\n')\n\
        print('got=' + os.read(tty, 100).decode())\n";
    fs::write(place.path("asks.py"), script).expect("a file");
    screen.keys("$TENURE run k -- sh -c 'python3 asks.py; true' | cat\n");
    screen.expect("asked");
    screen.keys("ada\n");
    screen.expect("got=ada");
    assert_eq!(screen.status(), "status=0\n");
}

#[test]
fn ctrl_c_and_ctrl_z_reach_all_of_a_pipeline() {
    let place = Place::new();
    let mut screen = Screen::open(&place);
    screen.keys("$TENURE run k -- sh -c 'echo $$ > pid; exec sleep 600' | cat\n");
    let cmd = place.number_in("pid");
    screen.keys("\x1a");
    screen.expect("Stopped");
    screen.expect("@@ ");
    until("CMD is stopped too", || (state_of(cmd) == Some('T')).then_some(()));
    screen.keys("fg\n");
    until("CMD goes on", || (state_of(cmd) != Some('T')).then_some(()));
    screen.keys("\x03");
    assert_eq!(screen.status(), "status=130\n");
    until("CMD is gone", || (!is_alive(cmd)).then_some(()));
}
