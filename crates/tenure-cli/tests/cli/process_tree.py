"""A tree of processes: CMD, a child in its group, a grandchild in a group of its own, and one
that called setsid and lost its parent. Each writes "NAME PID MICROSECONDS" (CLOCK_BOOTTIME) into
a file again and again, so that the file shows until when each was alive.

usage: process_tree.py FILE polite|stubborn      polite: SIGTERM is answered by "NAME-bye" and exit
"""

import os
import signal
import sys
import time

FILE = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
STUBBORN = sys.argv[2] == "stubborn"


def stamp(name):
    micros = time.clock_gettime_ns(time.CLOCK_BOOTTIME) // 1000
    os.write(FILE, f"{name} {os.getpid()} {micros}\n".encode())


def live(name):
    def bye(*_):
        stamp(name + "-bye")
        os._exit(0)

    signal.signal(signal.SIGTERM, signal.SIG_IGN if STUBBORN else bye)
    while True:
        stamp(name)
        time.sleep(0.002)


if os.fork() == 0:
    if os.fork() == 0:
        os.setpgid(0, 0)
        live("grandchild")
    live("child")
if os.fork() == 0:
    os.setsid()
    if os.fork() == 0:
        live("daemon")
    os._exit(0)
live("cmd")
