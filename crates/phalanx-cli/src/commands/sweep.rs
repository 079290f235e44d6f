//! `phalanx sweep`: the flags, files and printed text of a sweep.

use std::fs;
use std::path::Path;
use std::process::ExitCode;
use std::sync::atomic::Ordering;

use anyhow::anyhow;
use clap::error::Error;
use clap::{Arg, ArgMatches, Args, Command, FromArgMatches};
use phalanx::internals::write_whole;
use phalanx::log::RunDir;
use phalanx::model::Mlp;
use phalanx::optim::{Framework, Reduction};
use serde::{Deserialize, Serialize};

use crate::args::flags::{TrainFlags, shortened};
use crate::args::values::{Auto, auto, number};
use crate::args::{layers, parser};
use crate::numbers::{grouped, measured, short_number};
use crate::progress::{CountProgress, ProgressStyle};
use crate::record_log::RecordLog;
use crate::run::data::{data_name, training_data, warn_of_scales};
use crate::run::{like, settings, tables};
use crate::sweep::{Findings, Sweep, SweepOptions, SweepRecord, best_rate, csv, losses, page, to_the_goal};
use crate::terminal::failure::{Failure, usage};
use crate::terminal::output;
use crate::terminal::signals::Signals;
use crate::text::{TextTable, shell_word};

/// Measure how the best learning rate depends on the batch size; the data needs test samples
///
/// Every batch size is trained with every rate, reduction and seed; the best rate is the one with
/// the fewest steps to the goal, a given test loss. Without arguments, the built-in digits are
/// used. Most other flags are those of train; one that has no effect on a sweep is an error. A
/// --config file and variables such as PHALANX_EPOCHS
/// may be those of a run: their batch size, rate, reduction, seed and threads are ignored.
#[derive(Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{RESULTS}\n\n{EXAMPLES}"))]
pub struct SweepFlags {
    /// Number of concurrent runs, each on one thread [default: auto, all cores]
    #[arg(short, long, value_name = "N|auto", value_parser = auto::<usize>, help_heading = "Sweep", display_order = 100)]
    jobs: Option<Auto<usize>>,
    /// Test loss that runs should reach; with --resume, another goal for the same runs [default:
    /// 1.2 times the lowest that every batch size reaches]
    #[arg(long, value_name = "LOSS", help_heading = "Sweep", display_order = 101, value_parser = number)]
    goal: Option<f64>,
    #[command(flatten)]
    lists: SweepLists,
}

const RESULTS: &str = "Results: sweep.json, the options; runs.jsonl, the curve of each run, written as it ends; runs.csv, a line per \
run; results.json, best rates, laws and noise scale; report.html, a page with everything and figures; the figures as SVG.";

const EXAMPLES: &str = "Examples:
  phalanx sweep                                                   the digits, in less than a minute
  phalanx sweep data/mnist -b 16,64,256,1024,4096 --epochs 5      a few minutes
  phalanx sweep --resume sweeps/1                                 resume after Ctrl-C
  phalanx sweep --resume sweeps/1 --goal 0.2                      another goal for the same runs";

/// Flags in the short help.
const COMMON: &str = "data test test_split label_column standardize hidden activation loss batch_size reduction epochs max_steps seed \
                      optimizer lr momentum l2 weight_decay lr_schedule output_dir resume quiet config help \
                      jobs goal";

/// The lists and flags of a sweep; saved with it, so that it can be resumed.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SweepLists {
    batch_sizes: Vec<usize>,
    rates: Vec<f64>,
    reductions: Vec<Reduction>,
    seeds: Vec<u64>,
    /// All other flags.
    #[serde(with = "parser")]
    train: TrainFlags,
}

impl SweepLists {
    /// Returns an error for flags that would have no effect.
    fn check(&self) -> Result<(), Failure> {
        if self.train.drop_last == Some(false) {
            return Err(usage!(
                "--drop-last=false has no effect on a sweep: short last batches are always dropped, so that rates are exactly equivalent \
                 under sum and mean; drop it",
            ));
        }
        let given = UNUSED.iter().find_map(|(ids, why)| Some((self.train.first_given(ids)?, why)));
        match given {
            Some((flag, why)) => Err(usage!("--{flag} has no effect on a sweep: {why}; drop it")),
            None => Ok(()),
        }
    }
}

/// Flags of `train` that have no effect on a sweep, and the reason.
const UNUSED: [(&str, &str); 13] = [
    ("threads", "each run uses one thread, and --jobs is the number of concurrent runs"),
    ("init", "each seed has its own initial params"),
    ("log_every tensorboard", "runs of a sweep have no log"),
    ("save_every keep", "runs of a sweep have no checkpoints"),
    ("early_stop min_gain", "its runs are compared at their ends"),
    ("metric", "the goal is a loss"),
    ("noise_scale", "it measures the noise scale of its best runs"),
    ("momentum_unit", "its batch sizes differ, and with them the momentum of a batch"),
    ("timeout", "each run is one process"),
    ("restore_best", "runs of a sweep save no model"),
    ("allow_changed", "a sweep is resumed with the same options"),
    ("log_format", "it has no log; its results are files"),
    ("print_config", "it is for phalanx train"),
];

/// Adapts the flags of `train` for a sweep.
fn adapted(command: Command) -> Command {
    let list = |alias: &'static str, values: &'static str, help: &'static str| {
        move |arg: Arg| {
            arg.value_delimiter(',')
                .value_name(values)
                .help(help)
                .long_help(None)
                .alias(alias)
                .help_heading("Sweep")
        }
    };
    let command = command
        .mut_arg("batch_size", list(
            "batch-sizes",
            "N,N...",
            "Batch sizes [default: powers of two from 4 to an eighth of the samples, at most 9; 1 if there are fewer than 32 samples]",
        ))
        .mut_arg("lr", list("lrs", "RATE,RATE...", "Learning rates, in the convention of each reduction [default: 19 values around the optimizer's default, a factor 1.4 apart]"))
        .mut_arg("reduction", list("reductions", "NAME,NAME...", "Reductions, such as mean,sum [default: mean]"))
        .mut_arg("seed", list("seeds", "SEED,SEED...", "Seeds; each combination is run once per seed [default: 42,43,44,45,46]"))
        .mut_arg("resume", |arg| {
            let new = ["data", "batch_size", "lr", "reduction", "seed", "epochs", "max_steps", "output_dir"];
            let help = "Resume the sweep in this folder";
            arg.value_name("DIR").help(help).long_help(None).help_heading("Sweep").conflicts_with_all(new)
        })
        .mut_arg("output_dir", |arg| {
            arg.help("Folder to create; must not exist [default: sweeps/1, sweeps/2 ...]").long_help(None)
        })
        .mut_args(|arg| shortened(arg, COMMON));
    let unused = UNUSED.iter().flat_map(|(ids, _)| ids.split(' ')).chain(["drop_last"]);
    unused.fold(command, |command, id| command.mut_arg(id, |flag| flag.hide(true)))
}

impl Args for SweepLists {
    fn augment_args(command: Command) -> Command {
        adapted(TrainFlags::augment_args(command))
    }

    fn augment_args_for_update(command: Command) -> Command {
        adapted(TrainFlags::augment_args_for_update(command))
    }
}

impl FromArgMatches for SweepLists {
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

/// The options of a sweep, saved alongside its records.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct SweepRequest {
    version: String,
    /// The command line that started the sweep.
    command: String,
    goal: Option<f64>,
    #[serde(flatten)]
    lists: SweepLists,
}

/// Runs a sweep, reports and saves.
pub fn run(mut flags: SweepFlags) -> Result<ExitCode, Failure> {
    flags.lists.check()?;
    // In a variable or a file, `resume` refers to a run.
    let resume = flags.lists.train.resume.take();
    flags.lists.train = layers::given(flags.lists.train)?.flags;
    let (quiet, jobs) = (flags.lists.train.quiet == Some(true), settings::threads(flags.jobs)?);
    let style = progress_style(&flags.lists.train);
    let mut request = match &resume {
        Some(dir) => {
            let request = read_request(dir)?;
            SweepRequest { goal: flags.goal.or(request.goal), ..request }
        }
        None => request(flags)?,
    };
    let data = training_data(&request.lists.train, None)?;
    settings::record_targets(&mut request.lists.train, &data);
    let train = &request.lists.train;
    let test = data.test.as_ref().ok_or_else(|| {
        anyhow!("a sweep needs test samples, but {} has none; set some aside with --test-split 0.2, or give --test", data_name(train))
    })?;
    if resume.is_none() {
        warn_of_scales(train, &data.train)?;
    }
    let base = settings::options(train)?;
    let model = settings::model(train, &data, &base)?;
    let sweep = Sweep::new(&model, &data.train, test, base, options(&request, jobs))?;

    let signals = Signals::register()?;
    let mut created = None;
    let dir = match &resume {
        Some(dir) => dir.to_path_buf(),
        None => created.insert(new_dir(train, &request)?).path().to_owned(),
    };
    let (mut log, done) = RecordLog::open(&dir.join("runs.jsonl"))?;
    let about = about(&request, &model, &sweep, test.len());
    if !quiet {
        output::info(table(&about, &dir));
    }
    let mut progress = CountProgress::new(style, "runs", done.len() as u64, sweep.runs().len() as u64);
    let mut failed = None;
    let records = sweep.run(&done, &signals.stop, |record| {
        progress.one(outcome(record));
        if let (Err(error), None) = (log.append(record), &failed) {
            failed = Some(error);
            signals.stop.store(true, Ordering::Relaxed);
        }
    });
    progress.finish();
    if let Some(dir) = created.as_mut().filter(|_| records.is_ok()) {
        dir.keep();
    }
    failed.map_or(Ok(()), Err)?;
    let records = records?;
    if records.len() < sweep.runs().len() {
        let (done, all, dir) = (records.len(), sweep.runs().len(), dir.display());
        output::info(format!(
            "stopped after {done} of {all} runs; resume with: phalanx sweep --resume {dir}"
        ));
        return Ok(signals.exit_code(false));
    }
    let findings = Findings::new(&sweep, &records)?;
    save(&dir, &sweep, &findings, &records, &about, &request.command)?;
    if !quiet {
        output::results(|out| write!(out, "{}", summary(&findings, &dir)))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn progress_style(train: &TrainFlags) -> ProgressStyle {
    let hidden = train.quiet == Some(true) || train.no_progress == Some(true);
    if hidden { ProgressStyle::Hidden } else { ProgressStyle::automatic() }
}

/// Returns the request with all defaults.
fn request(flags: SweepFlags) -> Result<SweepRequest, Failure> {
    let mut lists = flags.lists;
    let standard = SweepOptions::default();
    let merged = TrainFlags { reduction: None, resume: None, ..lists.train };
    if let (Some(framework), false) = (merged.like, lists.reductions.is_empty()) {
        return Err(usage!("--like {framework} implies a reduction; drop --reduction or --like"));
    }
    if let Some(Framework::Cntk) = merged.like {
        return Err(usage!(
            "--like cntk multiplies each rate by 1 - momentum, and its L2 by the batch size, which sweep does not do; drop it, and give --reduction sum"
        ));
    }
    let train = like::resolve(merged)?;
    if lists.reductions.is_empty() {
        lists.reductions.extend(train.reduction);
    }
    let train = settings::complete(&train);
    lists.train = TrainFlags {
        threads: None,
        batch_size: None,
        lr: None,
        reduction: None,
        seed: None,
        log_every: None,
        save_every: None,
        keep: None,
        drop_last: None,
        ..train
    };
    if lists.reductions.is_empty() {
        lists.reductions = standard.reductions;
    }
    if lists.seeds.is_empty() {
        lists.seeds = standard.seeds;
    }
    let given = std::env::args_os().skip(1).map(|argument| shell_word(&argument.to_string_lossy()));
    let command = format!("phalanx {}", given.collect::<Vec<_>>().join(" "));
    Ok(SweepRequest { version: env!("CARGO_PKG_VERSION").to_owned(), command, goal: flags.goal, lists })
}

fn read_request(dir: &Path) -> Result<SweepRequest, Failure> {
    let path = dir.join("sweep.json");
    let name = path.display();
    let text = fs::read_to_string(&path)
        .map_err(|error| anyhow!("cannot read {name}: {error}; give the folder of a sweep"))?;
    let mut request: SweepRequest = serde_json::from_str(&text).map_err(|error| {
        anyhow!("cannot read the options of the sweep in {name}: {error}; start a new sweep")
    })?;
    settings::as_recorded(&mut request.lists.train);
    Ok(request)
}

fn options(request: &SweepRequest, jobs: usize) -> SweepOptions {
    let SweepLists { batch_sizes, rates, reductions, seeds, .. } = request.lists.clone();
    SweepOptions { batch_sizes, rates, reductions, seeds, goal: request.goal, jobs }
}

fn new_dir(train: &TrainFlags, request: &SweepRequest) -> Result<RunDir, Failure> {
    let dir = match &train.output_dir {
        Some(path) => RunDir::create(path)?,
        None => RunDir::create_next(Path::new("sweeps"))?,
    };
    let text = serde_json::to_string_pretty(request).expect("flags are plain data") + "\n";
    write_whole(&dir.path().join("sweep.json"), text.as_bytes())?;
    Ok(dir)
}

/// Describes the sweep, as names and values.
fn about(
    request: &SweepRequest,
    model: &Mlp,
    sweep: &Sweep<'_, Mlp>,
    test_samples: usize,
) -> Vec<(String, String)> {
    let train = &request.lists.train;
    let count = |n: usize| grouped(n as u64);
    let (samples, test) = (count(sweep.train_samples()), count(test_samples));
    let length = match (train.max_steps, train.epochs) {
        (Some(steps), _) => format!("{} steps", grouped(steps)),
        (None, epochs) => format!("{} epochs", epochs.unwrap_or(10)),
    };
    let optimizer = sweep.base().optimizer;
    let momentum = optimizer.momentum.map_or_else(String::new, |momentum| format!(", momentum {momentum:?}"));
    let mut sizes: Vec<usize> = sweep.runs().iter().map(|run| run.cell.batch_size).collect();
    sizes.dedup();
    let rates = sweep.runs().iter().map(|run| run.cell.rate);
    let (low, high) =
        rates.fold((f64::INFINITY, 0.0), |(low, high), rate| (f64::min(low, rate), f64::max(high, rate)));
    let reductions: Vec<String> = request.lists.reductions.iter().map(Reduction::to_string).collect();
    let rows = [
        ("data", format!("{}: {samples} training samples, {test} test samples", data_name(train))),
        ("model", tables::layers(model.shape())),
        ("length", length),
        ("optimizer", format!("{}{momentum}", optimizer.kind)),
        ("reductions", reductions.join(", ")),
        ("batch sizes", sizes.iter().map(usize::to_string).collect::<Vec<_>>().join(", ")),
        ("rates", format!("{} to {}", short_number(low), short_number(high))),
        ("seeds", request.lists.seeds.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")),
        ("runs", count(sweep.runs().len())),
    ];
    rows.map(|(name, value)| (name.to_owned(), value)).to_vec()
}

fn table(about: &[(String, String)], dir: &Path) -> TextTable {
    let mut table = TextTable::default();
    about.iter().for_each(|(name, value)| table.row(name.clone(), value));
    table.row("output", dir.display());
    table
}

/// Returns the outcome of a run in a few words.
fn outcome(record: &SweepRecord) -> String {
    let cell = record.run.cell;
    let end = record
        .final_loss()
        .map_or_else(|| "diverged".to_owned(), |loss| format!("test loss {}", measured(loss)));
    format!("{} B {} rate {}  {end}", cell.reduction, cell.batch_size, short_number(cell.rate))
}

fn save(
    dir: &Path,
    sweep: &Sweep<'_, Mlp>,
    findings: &Findings,
    records: &[SweepRecord],
    about: &[(String, String)],
    command: &str,
) -> Result<(), Failure> {
    let results = serde_json::to_string_pretty(findings).expect("findings are plain data") + "\n";
    let mut files = vec![
        ("runs.csv".to_owned(), csv(records, findings.goal)),
        ("results.json".to_owned(), results),
        ("report.html".to_owned(), page(sweep, findings, about, command)),
    ];
    for &reduction in &sweep.options().reductions {
        files.push((format!("best-rate-{reduction}.svg"), best_rate(findings, reduction).svg()));
        files.push((format!("to-the-goal-{reduction}.svg"), to_the_goal(findings, reduction).svg()));
        files.push((format!("losses-{reduction}.svg"), losses(findings, reduction).svg()));
    }
    files.iter().try_for_each(|(name, text)| Ok(write_whole(&dir.join(name), text.as_bytes())?))
}

fn summary(findings: &Findings, dir: &Path) -> String {
    let mut grid =
        TextTable::of_numbers("reduction, batch, best rate under mean, under sum, steps, samples, lr tried");
    for best in &findings.best {
        let end = if best.at_end { " (end of the range)" } else { "" };
        let numbers = [best.rate_under_mean, best.rate_under_sum, best.steps, best.samples].map(short_number);
        let names = [best.cell.reduction.to_string(), best.cell.batch_size.to_string()];
        grid.cells([names.to_vec(), numbers.to_vec(), vec![short_number(best.cell.rate) + end]].concat());
    }
    let goal = findings.goal.map_or_else(String::new, |goal| {
        format!("steps and samples to a test loss of {}\n\n", short_number(goal))
    });
    let answer = findings.answer.join("\n");
    format!("{goal}{grid}\n{answer}\n\nreport  {}\n", dir.join("report.html").display())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::parser::parsed;

    fn lists(arguments: &[&str]) -> Result<SweepLists, Error> {
        parsed(arguments)
    }

    #[test]
    fn list_flags_accept_lists_and_all_other_flags_are_those_of_train() {
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
    fn flags_without_effect_are_rejected() {
        for flags in [["-t", "2"], ["--init", "x"], ["--log-every", "3"]] {
            assert!(lists(&flags).unwrap().check().is_err(), "{flags:?}");
        }
        assert!(lists(&["--drop-last=false"]).unwrap().check().is_err());
        assert!(lists(&["--drop-last"]).unwrap().check().is_ok());
    }
}
