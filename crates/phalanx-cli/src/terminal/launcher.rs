//! The launcher of an MPI job, such as `mpirun`: its environment variables about this process and
//! the others.

use std::fmt::Display;

use super::failure::{Failure, usage};

/// Variables with the number of processes, of Open MPI, of MPICH and its derivatives, and of Slurm.
const SIZES: [&str; 3] = ["OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"];

/// Variables with the number of processes on this host.
const LOCAL_SIZES: [&str; 3] = ["OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "SLURM_NTASKS_PER_NODE"];

/// Variables with the rank of this process.
const RANKS: [&str; 3] = ["OMPI_COMM_WORLD_RANK", "PMI_RANK", "SLURM_PROCID"];

/// Returns the value of the first of these variables that is a number.
fn number(variables: &[&str]) -> Option<usize> {
    variables.iter().find_map(|name| std::env::var(name).ok()?.parse().ok())
}

/// Returns the number of processes that were started together.
pub fn started() -> usize {
    number(&SIZES).unwrap_or(1).max(1)
}

/// Returns the number of processes of the job on this host, which share its cores.
pub fn local_processes() -> usize {
    if started() > 1 { number(&LOCAL_SIZES).unwrap_or(1).max(1) } else { 1 }
}

/// Returns an error for a command that would do the same work in each process.
pub fn refuse(command: &str) -> Result<(), Failure> {
    match started() {
        1 => Ok(()),
        size => Err(usage!(
            "{size} processes were started together, but {command} cannot share its work; start it in a single process (only train and \
             bench run in several)"
        )),
    }
}

/// Returns whether this process is one of several but not the first.
pub fn is_follower() -> bool {
    started() > 1 && number(&RANKS).is_some_and(|rank| rank > 0)
}

/// Returns a message of this process, prefixed with its rank if there are several processes.
pub fn marked(text: impl Display) -> String {
    match number(&RANKS) {
        Some(rank) if started() > 1 => format!("process {rank}: {text}"),
        _ => text.to_string(),
    }
}
