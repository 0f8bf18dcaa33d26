//! Keeps the cores awake while contenders are measured. A virtual machine gives a core back when
//! it has nothing to do, and gets it again after tens of microseconds: more than a message there
//! and back. That would meet the contenders by chance, by where the system places their threads.

use std::hint::black_box;
use std::io::Read;
use std::process::{Child, Command, Stdio};

use crate::Failure;

/// A process that spins on each core in the class of idle tasks: all others go before it at once.
#[derive(Debug)]
pub(crate) struct Awake(Child);

impl Awake {
    /// Starts it; without the program `chrt` the cores sleep, and the output says so.
    pub(crate) fn start() -> Option<Self> {
        let program = std::env::current_exe().ok()?;
        let mut command = Command::new("chrt");
        command.args(["--idle", "0"]).arg(program).args(["worker", "spin"]);
        match command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn() {
            Ok(child) => Some(Self(child)),
            Err(error) => {
                eprintln!("cores may sleep while contenders are measured: chrt: {error}");
                None
            }
        }
    }
}

impl Drop for Awake {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Spins until standard input ends, which it does with the process that started this one.
pub(crate) fn spin() -> Result<(), Failure> {
    let cores = std::thread::available_parallelism()?;
    for _ in 0..cores.get() {
        std::thread::spawn(|| {
            let mut count = 0_u64;
            loop {
                // Without an instruction that tells a virtual machine of the waiting.
                count = black_box(count).wrapping_add(1);
            }
        });
    }
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}
