//! The lines after training: what came of it, and what to do next.

use std::path::Path;

use phalanx::report::{Results, Stopped, Table};

/// Lays the results out.
pub(super) fn table(results: &Results, path: &Path, data: &str) -> Table {
    let mut table = Table::default();
    if let Some(accuracy) = results.test_accuracy {
        table.row("test accuracy", format!("{accuracy:.4}"));
    }
    if let Some(loss) = results.test_loss {
        table.row("test loss", format!("{loss:.4}"));
    }
    if let Some(loss) = results.train_loss {
        table.row("train loss", format!("{loss:.4}"));
    }
    table.row("time", time(results));
    table.row("params", format!("{}, sha256 {}", results.params, results.params_sha256));
    table.row("saved in", path.display());
    table.row("next", next(results, path, data));
    table
}

fn time(results: &Results) -> String {
    let (steps, secs) = (results.steps, results.epoch_secs.iter().sum::<f64>());
    let phases = results.phase_secs;
    let total = (phases.compute + phases.wait + phases.reduce_update).max(f64::MIN_POSITIVE);
    let share = |secs: f64| 100.0 * secs / total;
    format!(
        "{secs:.2} s for {steps} steps, {:.0} samples/s; {:.0} % computing, {:.0} % waiting, {:.0} % reducing and updating",
        results.samples_per_sec,
        share(phases.compute),
        share(phases.wait),
        share(phases.reduce_update),
    )
}

fn next(results: &Results, path: &Path, data: &str) -> String {
    let path = path.display();
    match results.stopped {
        Stopped::Diverged => {
            format!("lower the rate (--lr) and train again; {path} holds the params before the loss broke")
        }
        _ if results.test_samples > 0 => format!("phalanx predict {path}"),
        _ => format!("phalanx predict {path} {data}"),
    }
}
