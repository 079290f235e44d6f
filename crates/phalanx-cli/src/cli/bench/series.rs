//! The flags of `train`, with a list of thread counts in place of one.

use clap::error::Error;
use clap::{ArgMatches, Args, Command, FromArgMatches};

use super::super::auto::Auto;
use super::super::failure::Failure;
use super::super::flags::TrainFlags;
use super::super::settings;

/// Training runs that differ in their thread count alone.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Series {
    /// What `--threads` lists; nothing if it is not given.
    threads: Vec<Auto<usize>>,
    /// All other flags; their own thread count is not given.
    pub(super) train: TrainFlags,
}

/// Flags of `train` about a run directory, which a measurement does not make.
const OF_A_RUN: [&str; 9] = [
    "output_dir",
    "log_every",
    "tensorboard",
    "save_every",
    "keep",
    "resume",
    "allow_changed",
    "print_config",
    "log_format",
];

impl Series {
    /// The thread counts; without a list 1, 2, 4 ... and all cores.
    pub(super) fn counts(&self) -> Result<Vec<usize>, Failure> {
        if self.threads.is_empty() {
            return Ok(doubling(settings::threads(None)?));
        }
        self.threads.iter().map(|count| settings::threads(Some(*count))).collect()
    }

    /// Refuses flags that would have no effect. In a file they are let pass: the options of a run are to be measured as they are.
    pub(super) fn check(&self) -> Result<(), Failure> {
        let flag = match &self.train {
            TrainFlags { output_dir: Some(_), .. } => "--output-dir",
            TrainFlags { log_every: Some(_), .. } => "--log-every",
            TrainFlags { tensorboard: Some(_), .. } => "--tensorboard",
            TrainFlags { save_every: Some(_), .. } => "--save-every",
            TrainFlags { keep: Some(_), .. } => "--keep",
            TrainFlags { resume: Some(_), .. } => "--resume",
            TrainFlags { allow_changed: Some(_), .. } => "--allow-changed",
            TrainFlags { log_format: Some(_), .. } => "--log-format",
            TrainFlags { print_config: true, .. } => "--print-config",
            _ => return Ok(()),
        };
        Err(Failure::usage(format!("bench scaling saves no run, so {flag} has no effect; drop it")))
    }
}

/// 1, 2, 4 ... below `cores`, then `cores`.
pub(super) fn doubling(cores: usize) -> Vec<usize> {
    let powers = (0..).map(|power| 1 << power).take_while(|count| *count < cores);
    powers.chain([cores]).collect()
}

/// The flags as a measurement takes them.
fn adapted(command: Command) -> Command {
    let command = command.mut_arg("threads", |threads| {
        let help = "Thread counts to compare, such as 1,2,4 or 1,auto [default: 1, 2, 4 ... and all cores]";
        threads.value_delimiter(',').value_name("N,N...").help(help)
    });
    let command =
        command.mut_arg("epochs", |epochs| epochs.help("Passes over the training samples [default: 1]"));
    OF_A_RUN.into_iter().fold(command, |command, id| command.mut_arg(id, |flag| flag.hide(true)))
}

impl Args for Series {
    fn augment_args(command: Command) -> Command {
        adapted(TrainFlags::augment_args(command))
    }

    fn augment_args_for_update(command: Command) -> Command {
        adapted(TrainFlags::augment_args_for_update(command))
    }
}

impl FromArgMatches for Series {
    fn from_arg_matches(matches: &ArgMatches) -> Result<Self, Error> {
        let threads = matches.get_many("threads").map(|counts| counts.copied().collect()).unwrap_or_default();
        Ok(Self { threads, train: TrainFlags { threads: None, ..TrainFlags::from_arg_matches(matches)? } })
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
        series: Series,
    }

    fn series(arguments: &[&str]) -> Result<Series, Error> {
        Only::try_parse_from([&["scaling"], arguments].concat()).map(|only| only.series)
    }

    #[test]
    fn thread_counts_are_a_list_and_all_other_flags_are_those_of_train() {
        let found = series(&["digits", "-t", "4,1,2", "-b", "32", "--lr", "0.5"]).unwrap();
        assert_eq!(found.counts().unwrap(), [4, 1, 2]);
        let train = found.train;
        assert_eq!((train.threads, train.batch_size, train.lr), (None, Some(32), Some(0.5)));
        assert_eq!(train.data.as_deref(), Some("digits"));
    }

    #[test]
    fn all_cores_are_a_thread_count_too() {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        assert_eq!(series(&["--threads", "3,auto"]).unwrap().counts().unwrap(), [3, cores]);
        assert_eq!(series(&[]).unwrap().counts().unwrap().last(), Some(&cores));
    }

    #[test]
    fn counts_double_up_to_all_cores() {
        assert_eq!([1, 2, 6, 8].map(doubling), [vec![1], vec![1, 2], vec![1, 2, 4, 6], vec![1, 2, 4, 8]]);
    }

    #[test]
    fn what_is_no_thread_count_is_refused() {
        for text in ["x", "1,x", "-1", "1.5", ""] {
            assert!(series(&[&format!("--threads={text}")]).is_err(), "{text}");
        }
    }

    #[test]
    fn flags_of_a_run_directory_are_refused() {
        for flags in [
            ["-o", "out"],
            ["--log-every", "3"],
            ["--save-every", "1s"],
            ["--resume", "auto"],
            ["--keep", "1"],
        ] {
            assert!(series(&flags).unwrap().check().is_err(), "{flags:?}");
        }
    }
}
