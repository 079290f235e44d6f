//! The flags of `train`, with lists in place of a batch size, a rate, a reduction and a seed.

use clap::error::Error;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use phalanx::optim::Reduction;
use serde::{Deserialize, Serialize};

use super::super::failure::Failure;
use super::super::flags::TrainFlags;

/// What a sweep is asked for; kept with it, so that it can go on.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Lists {
    pub(super) batch_sizes: Vec<usize>,
    pub(super) rates: Vec<f64>,
    pub(super) reductions: Vec<Reduction>,
    pub(super) seeds: Vec<u64>,
    /// All other flags.
    pub(super) train: TrainFlags,
}

impl Lists {
    /// Refuses flags that would have no effect.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let (flag, why) = match &self.train {
            TrainFlags { threads: Some(_), .. } => {
                ("--threads", "each run has one thread, and --jobs says how many run at a time")
            }
            TrainFlags { init: Some(_), .. } => ("--init", "each seed has initial params of its own"),
            TrainFlags { log_every: Some(_), .. } => ("--log-every", "runs of a sweep have no log"),
            TrainFlags { tensorboard: Some(_), .. } => ("--tensorboard", "runs of a sweep have no log"),
            TrainFlags { save_every: Some(_), .. } => ("--save-every", "runs of a sweep have no checkpoints"),
            TrainFlags { keep: Some(_), .. } => ("--keep", "runs of a sweep have no checkpoints"),
            TrainFlags { early_stop: Some(_), .. } => ("--early-stop", "its runs are compared at their ends"),
            TrainFlags { metric: Some(_), .. } => ("--metric", "the goal is a loss"),
            TrainFlags { min_gain: Some(_), .. } => ("--min-gain", "its runs are compared at their ends"),
            TrainFlags { restore_best: Some(_), .. } => ("--restore-best", "runs of a sweep save no model"),
            TrainFlags { allow_changed: Some(_), .. } => {
                ("--allow-changed", "a sweep goes on as it was begun")
            }
            TrainFlags { log_format: Some(_), .. } => {
                ("--log-format", "it has no log; its results are files")
            }
            TrainFlags { print_config: true, .. } => ("--print-config", "it prints that of phalanx train"),
            TrainFlags { drop_last: Some(false), .. } => (
                "--drop-last=false",
                "short last batches are left out, so that a rate is the same under sum and mean",
            ),
            _ => return Ok(()),
        };
        Err(Failure::usage(format!("{flag} has no effect on a sweep: {why}; drop it")))
    }
}

/// Flags of `train` that a sweep does not have.
const HIDDEN: [&str; 15] = [
    "threads",
    "init",
    "log_every",
    "tensorboard",
    "drop_last",
    "early_stop",
    "metric",
    "min_gain",
    "restore_best",
    "noise_scale",
    "save_every",
    "keep",
    "allow_changed",
    "print_config",
    "log_format",
];

/// The flags as a sweep takes them.
fn adapted(command: Command) -> Command {
    let list = |name: &'static str, alias: &'static str, help: &'static str| {
        move |arg: Arg| {
            let _ = name;
            arg.value_delimiter(',').value_name("N,N...").help(help).alias(alias).help_heading("Sweep")
        }
    };
    let command = command
        .mut_arg("batch_size", list(
            "batch_size",
            "batch-sizes",
            "Batch sizes [default: powers of two from 4 to an eighth of the samples, at most 9]",
        ))
        .mut_arg("lr", list("lr", "lrs", "Learning rates, as each reduction says them [default: 19 around the optimizer's, a factor 1.4 apart]"))
        .mut_arg("reduction", list("reduction", "reductions", "Reductions, such as mean,sum [default: mean]"))
        .mut_arg("seed", list("seed", "seeds", "Seeds; a run of each cell for each [default: 42,43,44,45,46]"))
        .mut_arg("resume", |arg| {
            let new = ["data", "batch_size", "lr", "reduction", "seed", "epochs", "max_steps", "output_dir"];
            let help = "Go on with the sweep in this folder";
            arg.value_name("DIR").help(help).help_heading("Sweep").conflicts_with_all(new)
        })
        .mut_arg("output_dir", |arg| arg.help("Where to save; must not exist [default: sweeps/1, sweeps/2 ...]"));
    HIDDEN.into_iter().fold(command, |command, id| command.mut_arg(id, |flag| flag.hide(true)))
}

impl Args for Lists {
    fn augment_args(command: Command) -> Command {
        adapted(TrainFlags::augment_args(command))
    }

    fn augment_args_for_update(command: Command) -> Command {
        adapted(TrainFlags::augment_args_for_update(command))
    }
}

impl FromArgMatches for Lists {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        fn all<T: Clone + Send + Sync + 'static>(matches: &ArgMatches, id: &str) -> Vec<T> {
            matches.get_many(id).map(|values| values.cloned().collect()).unwrap_or_default()
        }
        let train = TrainFlags::from_arg_matches(matches)?;
        Ok(Self {
            batch_sizes: all(matches, "batch_size"),
            rates: all(matches, "lr"),
            reductions: all(matches, "reduction"),
            seeds: all(matches, "seed"),
            train: TrainFlags { batch_size: None, lr: None, reduction: None, seed: None, ..train },
        })
    }

    fn update_from_arg_matches(&mut self, matches: &ArgMatches) -> Result<(), Error> {
        *self = Self::from_arg_matches(matches)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    #[command(disable_help_flag = true)]
    struct Only {
        #[command(flatten)]
        lists: Lists,
    }

    fn lists(arguments: &[&str]) -> Result<Lists, Error> {
        Only::try_parse_from([&["sweep"], arguments].concat()).map(|only| only.lists)
    }

    #[test]
    fn lists_are_lists_and_all_other_flags_are_those_of_train() {
        let found = lists(&[
            "digits",
            "-b",
            "8,16",
            "--lr",
            "0.5",
            "--reductions",
            "mean,sum",
            "--seed",
            "1,2",
            "--epochs",
            "3",
        ]);
        let found = found.unwrap();
        assert_eq!((found.batch_sizes, found.rates, found.seeds), (vec![8, 16], vec![0.5], vec![1, 2]));
        assert_eq!(found.reductions, [Reduction::Mean, Reduction::Sum]);
        assert_eq!((found.train.epochs, found.train.batch_size, found.train.lr), (Some(3), None, None));
    }

    #[test]
    fn what_has_no_effect_is_refused() {
        for flags in [["-t", "2"], ["--init", "x"], ["--log-every", "3"]] {
            assert!(lists(&flags).unwrap().check().is_err(), "{flags:?}");
        }
        assert!(lists(&["--drop-last=false"]).unwrap().check().is_err());
        assert!(lists(&["--drop-last"]).unwrap().check().is_ok());
    }
}
