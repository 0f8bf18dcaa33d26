//! The contenders that are written in Rust: Tenure, the crate `rslock`, and the reference lines,
//! which are bare sockets. Each is this program, started again, that speaks the line protocol.

mod bare;
mod library;
mod rslock;
mod serve;
mod shape;
mod tenure;
mod wire;
mod work;

use crate::Failure;

use library::Threads;
use serve::serve;

/// Speaks for a contender until standard input ends. One whose name ends in `-current` is on a
/// current-thread runtime.
pub(crate) fn run(contender: &str) -> Result<(), Failure> {
    type BareOver<W> = wire::Direct<W, bare::Bare>;
    type ShapeOver<W> = wire::Direct<W, shape::Shape>;
    let (library, threads) = match contender.strip_suffix("-current") {
        Some(library) => (library, Threads::One),
        None => (contender, Threads::All),
    };
    match library {
        "tenure" => serve::<tenure::Async>(threads),
        "tenure-shared" => serve::<tenure::Shared>(threads),
        "tenure-direct" => serve::<tenure::Lone>(threads),
        "tenure-blocking" => serve::<tenure::Blocking>(threads),
        "rslock" => serve::<rslock::Rslock>(threads),
        "bare-blocking" => serve::<BareOver<wire::Blocking>>(threads),
        "bare-tokio" => serve::<BareOver<wire::Tokio>>(threads),
        "scripts-blocking" => serve::<ShapeOver<wire::Blocking>>(threads),
        "scripts-tokio" => serve::<ShapeOver<wire::Tokio>>(threads),
        _ => Err(format!("there is no adapter {contender:?}").into()),
    }
}
