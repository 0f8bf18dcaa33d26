//! CMD as `tenure` sees it: behind a sentry, or (with `--on-lost ignore`) as its own child. If the
//! sentry dies, `tenure` adopts its orphans, as a subreaper, and ends them. Nothing here waits.

use std::time::Duration;

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions};
use tenure::runtime::{Moment, Runtime};

use crate::clock;
use crate::command::{Cmd, Environment};
use crate::link::{Order, Start};
use crate::sentry_client::{Heard, NotStarted, Sentry, SentryClient, Silence};
use crate::watch::{Cause, End, Event, LOOK_AGAIN, Lease, Watch};

/// CMD.
#[derive(Debug)]
pub(crate) struct Child {
    cmd: Pid,
    /// The first signal, and the time between it and SIGKILL.
    signal: Signal,
    grace: Duration,
    lease: Option<Lease>,
    /// The reason why CMD was told to end.
    told: Option<Cause>,
    parent: Parent,
}

#[derive(Debug)]
enum Parent {
    Sentry(SentryClient),
    Us(Watch),
}

impl Child {
    /// Starts CMD behind a sentry, or as our own child, which no lease limits.
    pub(crate) fn start(
        cmd: &Cmd,
        env: &Environment,
        start: &Start,
        guarded: bool,
    ) -> Result<Self, NotStarted> {
        let signal = Signal::from_named_raw(start.signal).unwrap_or(Signal::TERM);
        let grace = Duration::from_micros(start.grace_us);
        if guarded {
            let (client, cmd) = SentryClient::start(cmd, env, start).map_err(Self::not_started)?;
            let (lease, parent) = (Some(start.lease), Parent::Sentry(client));
            return Ok(Self { cmd, signal, grace, lease, told: None, parent });
        }
        let child = cmd.spawn(start.foreground, None, env).map_err(NotStarted::Cmd)?;
        let cmd = Pid::from_child(&child);
        let watch = Watch::over(Some(cmd), signal, grace, None).with_rest(start.on_rest);
        let parent = Parent::Us(watch);
        Ok(Self { cmd, signal, grace, lease: None, told: None, parent })
    }

    /// CMD's process number, which is that of its group.
    pub(crate) fn group(&self) -> Pid {
        self.cmd
    }

    /// Ends when [`Child::look`] may have news. A SIGCHLD is another reason to look.
    pub(crate) async fn ready(&self, runtime: &dyn Runtime) {
        match &self.parent {
            Parent::Sentry(client) => client.ready().await,
            Parent::Us(watch) => match watch.next_look() {
                Some(at) => runtime.sleep_until(at).await,
                None => std::future::pending().await,
            },
        }
    }

    /// The news of CMD. If the sentry has died, CMD and its descendants are ended from here.
    pub(crate) fn look(&mut self, now: Moment) -> Vec<Event> {
        let mut events = vec![];
        if let Parent::Sentry(client) = &mut self.parent {
            let Heard { events: heard, sentry } = client.hear();
            events = heard;
            if matches!(events.last(), Some(Event::Ended(_))) {
                client.wait();
                return events;
            }
            if sentry == Sentry::Lives {
                return events;
            }
            client.kill();
            // Only then its children are ours.
            client.wait();
            events.extend(self.adopt(now));
        }
        if let Parent::Us(watch) = &mut self.parent {
            events.extend(watch.look(now));
        }
        events
    }

    /// Sends a signal to CMD's group.
    pub(crate) fn signal(&self, signal: Signal) {
        match &self.parent {
            Parent::Sentry(client) => client.tell(&Order::Signal { signal: signal.as_raw() }),
            Parent::Us(watch) => watch.signal(signal),
        }
    }

    /// Passes a signal that came to us on to CMD's group. Without a sentry nobody can tell whether
    /// CMD has it already.
    pub(crate) fn pass_on(&self, signal: Signal) {
        match &self.parent {
            Parent::Sentry(client) => client.tell(&Order::PassOn { signal: signal.as_raw() }),
            Parent::Us(watch) => watch.signal(signal),
        }
    }

    /// The lease was renewed.
    pub(crate) fn extend(&mut self, deadline: Moment) {
        let deadline_us = deadline.as_micros();
        if let Some(lease) = &mut self.lease {
            lease.deadline_us = deadline_us;
        }
        match &mut self.parent {
            Parent::Sentry(client) => client.tell(&Order::Extend { deadline_us }),
            Parent::Us(watch) => watch.extend(deadline_us),
        }
    }

    /// Ends CMD and its descendants.
    pub(crate) fn end(&mut self, cause: Cause, now: Moment) {
        self.told.get_or_insert(cause);
        match &mut self.parent {
            Parent::Sentry(client) => client.tell(&Order::End { cause }),
            Parent::Us(watch) => drop(watch.end(cause, now)),
        }
    }

    /// When to check that the sentry runs; `NEVER` while it answers.
    pub(crate) fn check_at(&self) -> Moment {
        match &self.parent {
            Parent::Sentry(client) => client.check_at(),
            Parent::Us(_) => Moment::NEVER,
        }
    }

    /// Continues a sentry that does not answer, and later kills it.
    pub(crate) fn check_sentry(&mut self, now: Moment) -> Option<Silence> {
        match &mut self.parent {
            Parent::Sentry(client) => client.check(now),
            Parent::Us(_) => None,
        }
    }

    /// Kills the sentry, whatever keeps it from its work. The rest follows from [`Child::look`].
    pub(crate) fn kill_sentry(&self) {
        if let Parent::Sentry(client) = &self.parent {
            client.kill();
        }
    }

    /// Kills a sentry that does not do its work since it is stopped; `false` if it is not. The rest
    /// follows from [`Child::look`]. Without a sentry there is nothing to kill.
    pub(crate) fn kill_stopped_sentry(&self) -> bool {
        match &self.parent {
            Parent::Sentry(client) => client.kill_stopped(),
            Parent::Us(_) => true,
        }
    }

    /// A sentry that did not say that it has started CMD may have done so, and is dead now.
    fn not_started(why: NotStarted) -> NotStarted {
        let NotStarted::Sentry { error, .. } = why else { return why };
        let mut watch = Watch::over(None, Signal::KILL, Duration::ZERO, None);
        watch.ended_unseen(clock::now());
        watch.end(Cause::SentryDied, clock::now());
        loop {
            for event in watch.look(clock::now()) {
                if let Event::Ended(End { left, .. }) = event {
                    return NotStarted::Sentry { error, left };
                }
            }
            clock::sleep(LOOK_AGAIN);
        }
    }

    /// Takes the dead sentry's place, and ends all that it has left.
    fn adopt(&mut self, now: Moment) -> Option<Event> {
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        let is_ours = rustix::process::waitid(WaitId::Pid(self.cmd), options).is_ok();
        let cmd = is_ours.then_some(self.cmd);
        let mut watch = Watch::over(cmd, self.signal, self.grace, self.lease);
        if !is_ours {
            watch.ended_unseen(now);
        }
        let event = watch.end(self.told.unwrap_or(Cause::SentryDied), now);
        self.parent = Parent::Us(watch);
        event
    }
}
