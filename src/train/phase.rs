//! The phases of a rank's work: the current phase of each rank, for the error if it panics, and the
//! time that the rank spends in each.

use std::ops::AddAssign;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use crossbeam_utils::CachePadded;
use serde::{Deserialize, Serialize};

/// Defines the phases in one table: documentation, name, the text in errors, and the account to
/// which the time is charged.
macro_rules! phases {
    ($($(#[$doc:meta])+ $name:ident => $text:literal, $account:ident;)+) => {
        /// A phase of a rank's work, in a step and around it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[repr(u8)]
        pub(super) enum Phase {
            $($(#[$doc])+ $name,)+
        }

        impl Phase {
            /// All phases.
            pub(super) const ALL: &'static [Self] = &[$(Self::$name),+];

            /// Returns the account to which its time is charged.
            fn account(self) -> Account {
                match self { $(Self::$name => Account::$account),+ }
            }

            /// Returns the text in errors.
            pub(super) fn text(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

phases! {
    /// Reserving memory.
    Prepare => "preparing", Rest;
    /// Ordering the samples of an epoch.
    Order => "ordering the samples", Rest;
    /// Gathering the samples of its shards.
    Load => "gathering samples", Compute;
    /// Forward, loss and backward of the model.
    Gradient => "computing gradients", Compute;
    /// Done with its shards, about to wait for the other ranks.
    BeforeReduce => "before the reduction", Wait;
    /// Combining the shards of all ranks for its segment, or exchanging norms.
    Reduce => "in the reduction", ReduceUpdate;
    /// Updating its segment of the params.
    Update => "in the update", ReduceUpdate;
    /// Done with its segment, waiting for the others.
    AfterReduce => "after the reduction", Wait;
    /// Scoring test samples, and reporting the result of a step or an epoch.
    Score => "scoring and reporting", Rest;
    /// Copying its segment for a snapshot.
    Save => "copying the snapshot", Excluded;
    /// Done with its steps, waiting for the others.
    End => "at the end", Excluded;
}

/// The time that a rank spent in the phases of its steps.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct PhaseTimes {
    /// Gathering, forward pass, loss, backward pass; without the gradients of the params if the
    /// model reduces by segment.
    pub compute: Duration,
    /// Waiting for other ranks.
    pub wait: Duration,
    /// Combining shards, dividing, clipping, updating. If the model reduces by segment, as a
    /// perceptron usually does, this includes the gradients of the params, which are computed,
    /// combined and used in one pass.
    pub reduce_update: Duration,
}

impl AddAssign for PhaseTimes {
    fn add_assign(&mut self, other: Self) {
        self.compute += other.compute;
        self.wait += other.wait;
        self.reduce_update += other.reduce_update;
    }
}

/// The account to which time is charged.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Account {
    Compute,
    Wait,
    ReduceUpdate,
    /// Other work of an epoch.
    Rest,
    /// Not part of an epoch: scoring test samples, and saving.
    Excluded,
}

/// The current step and phase of one rank, written only by that rank, and read by others after it
/// has ended.
#[derive(Default)]
pub(super) struct PhaseRecord {
    /// The step, counted from 0, and in the low 8 bits the phase.
    word: CachePadded<AtomicU64>,
    /// Called in each phase that the rank enters.
    #[cfg(test)]
    pub(super) hook: Option<PhaseHook>,
}

/// A function of the step and the phase that a rank enters, for tests.
#[cfg(test)]
pub(super) type PhaseHook = Box<dyn Fn(u64, Phase) + Send + Sync>;

impl PhaseRecord {
    /// Returns the last recorded step, counted from 0, and phase.
    pub(super) fn last(&self) -> (u64, Phase) {
        let word = self.word.load(Ordering::Relaxed);
        (word >> 8, Phase::ALL[(word & 0xff) as usize])
    }
}

/// The clock of one rank: entering a phase records it, and charges the time since the previous one
/// to an account.
pub(super) struct PhaseClock {
    record: Arc<PhaseRecord>,
    account: Account,
    /// The time at which the current account was opened.
    since: Instant,
    spent: EpochTime,
}

/// The time that an epoch has taken so far.
#[derive(Clone, Copy, Default)]
pub(super) struct EpochTime {
    /// The total, without scoring and saving.
    pub(super) elapsed: Duration,
    pub(super) phases: PhaseTimes,
}

impl PhaseClock {
    pub(super) fn new(record: Arc<PhaseRecord>) -> Self {
        Self { record, account: Account::Excluded, since: Instant::now(), spent: EpochTime::default() }
    }

    /// Begins a step, counted from 0, with gathering samples.
    pub(super) fn begin_step(&mut self, step: u64) {
        self.record.word.store(step << 8 | Phase::Load as u64, Ordering::Relaxed);
        self.charge(Phase::Load.account());
    }

    /// Enters a phase of the current step.
    ///
    /// # Cost
    ///
    /// One store, which no rank waits for; the clock is read only if the account changes.
    pub(super) fn enter(&mut self, phase: Phase) {
        let step = self.record.word.load(Ordering::Relaxed) >> 8;
        self.record.word.store(step << 8 | phase as u64, Ordering::Relaxed);
        self.charge(phase.account());
        #[cfg(test)]
        self.record.hook.iter().for_each(|hook| hook(step, phase));
    }

    /// Charges the time from now on to waiting, within the current phase.
    pub(super) fn wait(&mut self) {
        self.charge(Account::Wait);
    }

    /// Charges the time from now on to combining and updating, within the current phase.
    pub(super) fn work(&mut self) {
        self.charge(Account::ReduceUpdate);
    }

    /// Excludes the time from now on from the epoch, until another phase is entered.
    pub(super) fn exclude(&mut self) {
        self.charge(Account::Excluded);
    }

    /// Begins an epoch, with no time spent, in the phase of ordering the samples for a step.
    pub(super) fn begin_epoch(&mut self, step: u64) {
        self.begin_step(step);
        self.spent = EpochTime::default();
        self.enter(Phase::Order);
    }

    /// Returns the time that the epoch has taken until now.
    pub(super) fn spent(&mut self) -> EpochTime {
        self.close_account();
        self.spent
    }

    fn charge(&mut self, account: Account) {
        if account != self.account {
            self.close_account();
            self.account = account;
        }
    }

    /// Charges the time since the last call to the current account.
    fn close_account(&mut self) {
        let now = Instant::now();
        let lap = now - std::mem::replace(&mut self.since, now);
        let EpochTime { elapsed, phases } = &mut self.spent;
        match self.account {
            Account::Compute => phases.compute += lap,
            Account::Wait => phases.wait += lap,
            Account::ReduceUpdate => phases.reduce_update += lap,
            Account::Rest => {}
            Account::Excluded => return,
        }
        *elapsed += lap;
    }
}
