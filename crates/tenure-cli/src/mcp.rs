//! `tenure mcp`: the locks as tools of a coding agent, by the Model Context Protocol over stdin and
//! stdout. It starts no command, and touches no lock of another session.
//!
//! ```text
//! server       the protocol: which tools there are, and one call
//! tools        the names, descriptions and schemas of the tools
//! arguments    the arguments as they come
//! answer       the answers as they go: structured, and as a text
//! session      the locks of this session, and those that it lost
//! client       the client, for the message about a loss
//! watch        whether the store still has a lock
//! connection   the store, opened by the first call that needs it
//! acquire, give_back, look
//!              the tools
//! label        the name that others see
//! stdio        stdin and stdout, and the end of both
//! lines        the messages as lines; the answers to lines that are none
//! ```

#![expect(deprecated, reason = "clients show log messages, which the newest revision gives up")]

mod acquire;
mod answer;
mod arguments;
mod client;
mod connection;
mod give_back;
mod label;
mod lines;
mod look;
mod server;
mod session;
mod stdio;
mod tools;
mod watch;

use std::io::IsTerminal;
use std::sync::Arc;
use std::time::Duration;

use rmcp::ServiceExt;
use rmcp::service::{QuitReason, ServerInitializeError};
use rustix::process::Signal;
use tenure::runtime::Runtime;

use crate::args::McpArgs;
use crate::exit::{Exit, Refusal};
use crate::output::{Level, Output};
use crate::plan::check_store_timeout;
use crate::run::Termination;
use crate::signals::{self, Signals};
use crate::store::Choice;
use crate::{variables, warnings};

use lines::Lines;
use server::Server;
use session::Session;

/// How long the answers of the calls that were cut by the client's end may take.
const LAST_ANSWERS: Duration = Duration::from_secs(6);

/// Serves until the client is gone, or a signal comes. Then all locks of the session are given
/// back, but those that were asked to stay.
pub(crate) fn serve(args: &McpArgs) -> Result<Termination, Refusal> {
    check_store_timeout(&args.store)?;
    let choice = Choice::of(&args.store, |name| std::env::var_os(name))?;
    let output = Output(Level::Normal);
    warnings::tell(output);
    choice.warn(output, variables::names());
    if std::io::stdin().is_terminal() {
        output.notice(
            "an agent's client talks to this by the Model Context Protocol, on stdin; for \
             people: tenure run, tenure status",
        );
    }
    let store = choice.located()?;
    let defect = |e: std::io::Error| Refusal { exit: Exit::INTERNAL, message: e.to_string() };
    let runtime = tenure::runtime::machine().map_err(defect)?;
    let tokio_runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let tokio_runtime = tokio_runtime.map_err(defect)?;
    let session = Session::new(store, args.store.store_timeout, args.name.clone(), runtime);
    let done = tokio_runtime.block_on(async {
        let mut signals = Signals::listen().map_err(defect)?;
        until_end(&session, &mut signals).await
    });
    // A read of stdin that is under way cannot be ended, and is not waited for.
    tokio_runtime.shutdown_background();
    done
}

async fn until_end(session: &Arc<Session>, signals: &mut Signals) -> Result<Termination, Refusal> {
    let over = session.over();
    let (reader, writer) = stdio::open(&over);
    let mut served = std::pin::pin!(async {
        match Server::new(Arc::clone(session)).serve(Lines::new(reader, writer)).await {
            Ok(running) => match running.waiting().await {
                Ok(QuitReason::Closed | QuitReason::Cancelled) => Ok(()),
                other => Err(internal(format!("the server ended: {other:?}"))),
            },
            Err(e) => of_start(e),
        }
    });
    let (signal, served_as) = tokio::select! {
        biased;
        signal = ended_by(signals) => (Some(signal), None),
        done = &mut served => (None, Some(done)),
        () = over.reached() => (None, None),
    };
    over.set();
    let closed = session.close().await;
    let served_as = match (signal, served_as) {
        (_, Some(done)) => done,
        (Some(_), None) => Ok(()),
        (None, None) => last_answers(session.runtime(), served).await,
    };
    if let Err(error) = closed {
        return Err(Refusal { exit: Exit::of_error(&error), message: error.to_string() });
    }
    served_as?;
    Ok(match signal {
        Some(Signal::INT) => Termination::Interrupt { whole_job: false },
        Some(signal) => Termination::Exit(Exit::of_signal(signal.as_raw())),
        None => Termination::Exit(Exit::SUCCESS),
    })
}

async fn last_answers(
    runtime: &dyn Runtime,
    served: impl Future<Output = Result<(), Refusal>>,
) -> Result<(), Refusal> {
    tokio::select! {
        done = served => done,
        () = runtime.sleep_until(runtime.now() + LAST_ANSWERS) => Ok(()),
    }
}

/// The next signal that would have ended this process.
async fn ended_by(signals: &mut Signals) -> Signal {
    loop {
        match signals.next().await {
            Signal::TSTP | Signal::TTIN | Signal::TTOU => signals::stop_self(),
            signal if signals::is_passed_on(signal) => return signal,
            _ => {}
        }
    }
}

fn of_start(error: ServerInitializeError) -> Result<(), Refusal> {
    match error {
        // A client that goes before it begins has no session.
        ServerInitializeError::ConnectionClosed(_) | ServerInitializeError::Cancelled => Ok(()),
        ServerInitializeError::ExpectedInitializeRequest(_) => Err(Refusal::usage(
            "the first message on stdin is no \"initialize\" of the Model Context Protocol; \
             tenure mcp is for an agent's client, which starts it",
        )),
        other => Err(internal(format!("no session began: {other}"))),
    }
}

fn internal(message: String) -> Refusal {
    Refusal { exit: Exit::INTERNAL, message }
}
