//! The worker loop: claims what is due, does it under a lease, and says when it is due again.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;

use super::{Trouble, notify, pull, push, relocate, shape};
use crate::app::App;
use crate::ical::{Instant, Window};
use crate::secrets;
use crate::store::calendars::{INDEX_AHEAD, INDEX_BACK};
use crate::store::jobs::{self, Duty, LEASE, Lease, NEVER};
use crate::store::{self, instances, prune, resources};

/// Duties that are done at once.
const AT_ONCE: usize = 32;
/// Between two looks at the list of calendars.
const DISCOVER: i64 = 3600;
/// Between two looks at the horizon, and at what was deleted long ago.
const DAILY: i64 = 86_400;
/// The longest wait after failures in a row.
const LONGEST: i64 = 15 * 60;

/// Runs the workers until `stop` is told; returns when the jobs in hand are done, or after ten seconds: their leases end
/// by themselves, and everything can be done again.
pub async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let mut going = JoinSet::new();
    while !*stop.borrow() {
        while going.len() < AT_ONCE
            && let Some(lease) = claim(&app).await
        {
            going.spawn(work(app.clone(), lease));
        }
        let rest = if going.len() < AT_ONCE { until_next(&app).await } else { Duration::from_secs(30) };
        tokio::select! {
            () = app.wake.notified() => {}
            () = tokio::time::sleep(rest) => {}
            Some(_) = going.join_next() => {}
            told = stop.changed() => if told.is_err() { break },
        }
    }
    let finish = async { while going.join_next().await.is_some() {} };
    if tokio::time::timeout(Duration::from_secs(10), finish).await.is_err() {
        tracing::info!("some jobs were left in the middle; they are done again at the next start");
    }
}

async fn claim(app: &App) -> Option<Lease> {
    let (holder, now) = (format!("{}/{}", app.node, secrets::new_token()), app.clock.now());
    match app.store.write(move |tx| jobs::claim(tx, &holder, now)).await {
        Ok(lease) => lease,
        Err(e) => {
            let e: store::Error = e;
            tracing::warn!(error = %e, "no duty could be claimed");
            None
        }
    }
}

/// How long there is nothing to do, at most half a minute: another node or a command may make something due.
async fn until_next(app: &App) -> Duration {
    let most = Duration::from_secs(30);
    match app.store.read(jobs::next).await {
        Ok(Some(at)) => {
            let rest = at.0.saturating_sub(app.clock.now().0);
            Duration::from_secs(rest.max(0) as u64).clamp(Duration::from_millis(50), most)
        }
        Ok(None) => most,
        Err(e) => {
            let e: store::Error = e;
            tracing::warn!(error = %e, "the duties could not be read");
            Duration::from_secs(5)
        }
    }
}

/// Does one duty while renewing its lease, and says when it is due again.
async fn work(app: Arc<App>, lease: Lease) {
    let done = async {
        tokio::select! {
            done = perform(&app, &lease) => done,
            () = keep(&app, &lease) => Err(Trouble { why: "another node has taken over".to_owned(), after: None }),
        }
    };
    let done = done.await;
    let interval = app.config.load().sync.interval.as_secs() as i64;
    let (rest, failed) = match (&done, lease.duty) {
        (Ok(Some(at)), _) => (Some(at.0.saturating_sub(app.clock.now().0)), false),
        (Ok(None), Duty::Push(_) | Duty::Notify(_) | Duty::Shape) => (None, false),
        (Ok(None), Duty::Pull(_)) => (Some(spread(interval)), false),
        (Ok(None), Duty::Discover(_)) => (Some(spread(DISCOVER)), false),
        (Ok(None), Duty::Horizon | Duty::Prune) => (Some(DAILY), false),
        (Err(trouble), _) => {
            tracing::warn!(duty = %lease.duty, tries = lease.tries + 1, "{} failed: {}", lease.duty, trouble.why);
            let after = trouble.after.map_or(0, |d| d.as_secs() as i64);
            (Some(backoff(lease.tries).max(after)), true)
        }
    };
    let next = rest.map_or(NEVER, |seconds| app.clock.now().plus(seconds.max(1)));
    if let Err(e) = app.store.write(move |tx| jobs::finish(tx, &lease, next, failed)).await {
        let e: store::Error = e;
        tracing::warn!(error = %e, "a lease could not be given back; it ends by itself");
    }
    app.wake.notify_one();
}

/// Renews the lease for as long as we have it.
async fn keep(app: &App, lease: &Lease) {
    loop {
        tokio::time::sleep(Duration::from_secs(LEASE as u64 / 3)).await;
        let (lease, now) = (lease.clone(), app.clock.now());
        // A store that does not answer is no sign that the lease is lost: the writing transactions ask again.
        if let Ok(false) = app.store.write::<_, store::Error, _>(move |tx| jobs::renew(tx, &lease, now)).await {
            return;
        }
    }
}

/// `Some`: when it is due again, where it knows that itself.
async fn perform(app: &Arc<App>, lease: &Lease) -> Result<Option<Instant>, Trouble> {
    match lease.duty {
        Duty::Discover(account) => pull::discover_leased(app, lease, account).await.map(|_| ())?,
        Duty::Pull(calendar) => {
            let report = pull::leased(app, lease, calendar, &pull::Quiet).await?;
            if report != pull::Report::default() {
                let pull::Report { changed, removed, set_aside } = report;
                tracing::info!(
                    calendar = calendar.0,
                    changed,
                    removed,
                    set_aside,
                    "took {changed} changes, {removed} removals"
                );
            }
        }
        Duty::Push(calendar) => push::run(app, lease, calendar).await?,
        Duty::Notify(user) => return notify::run(app, user).await,
        Duty::Horizon => move_horizon(app).await?,
        Duty::Prune => forget_deleted(app).await?,
        Duty::Shape => shape::run(app, lease).await?,
    }
    Ok(None)
}

/// Moves the time index of every calendar that has used up half a year of what lies ahead.
async fn move_horizon(app: &App) -> Result<(), Trouble> {
    let now = app.clock.now();
    let short = app.store.read(move |tx| instances::short_of(tx, now.plus(INDEX_AHEAD - 183 * 86_400))).await?;
    let horizon = Window { start: now.plus(-INDEX_BACK), end: now.plus(INDEX_AHEAD) };
    for calendar in short {
        app.store.write(move |tx| instances::reindex(tx, calendar, horizon)).await?;
    }
    Ok(())
}

/// Tombstones that are forgotten in one transaction: others write in between.
const AT_A_TIME: u32 = 500;

/// Gives back what was moved to where nothing is any more, and forgets what was deleted longer ago than the configuration
/// says.
async fn forget_deleted(app: &App) -> Result<(), Trouble> {
    // One that can not be given back holds up nothing else.
    let mut done = Ok(());
    for row in app.store.read(resources::bereft).await? {
        done = relocate::give_back(app, row).await.and(done);
    }
    let keep = i64::try_from(app.config.load().sync.keep_deleted.as_secs()).unwrap_or(i64::MAX);
    let before = app.clock.now().plus(-keep);
    for calendar in app.store.read(prune::calendars).await? {
        let forget = move |tx: &mut store::Tx<'_>| prune::tombstones(tx, calendar, before, prune::MOST, AT_A_TIME);
        while app.store.write(forget).await? {}
    }
    done
}

/// 5 s, 10 s, 20 s … up to a quarter of an hour, with full jitter: accounts of one upstream do not come back in step.
fn backoff(tries: i64) -> i64 {
    let most = (5 << tries.clamp(0, 10)).min(LONGEST);
    1 + secrets::random_epoch() % most
}

/// An interval, give or take a tenth of it.
fn spread(seconds: i64) -> i64 {
    seconds - seconds / 10 + secrets::random_epoch() % (seconds / 5 + 1)
}
