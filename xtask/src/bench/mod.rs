//! `cargo xtask bench`: how long coldcase takes, and what else that reads the same file takes.
//!
//! Every program runs in turn with the others (A B C A B C ...), so that a machine whose speed drifts is fair
//! to all: what to compare are ratios of one run, never seconds of two.

mod agree;
mod captures;
mod load;
mod programs;
mod repeat;
mod run;
mod table;

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail, ensure};

use captures::Size;
use programs::Program;
use run::Measured;

pub use load::{busy, freeze};

/// What was asked for.
struct Asked {
    folder: PathBuf,
    sizes: Vec<Size>,
    turns: usize,
    /// Whether programs that take minutes run, too.
    slow: bool,
}

/// Measures, prints a table of medians and ratios on standard output, and says how the results agree.
pub fn run(root: &Path, arguments: &[&str]) -> Result<String> {
    let asked = asked(root, arguments)?;
    let coldcase = build(root)?;
    crate::print(&table::head())?;
    let mut agreement = Vec::new();
    for size in asked.sizes {
        let capture = captures::made(&asked.folder, size)?;
        let kallsyms = captures::kallsyms(&asked.folder)?;
        let mut programs = programs::installed(&coldcase, &capture, &kallsyms, &asked.folder);
        programs.retain(|program| asked.slow || !program.once);
        let measured = turns(&programs, asked.turns)?;
        crate::print(&table::rows(size, &capture, &measured)?)?;
        if asked.slow {
            agreement.extend(agree::check(&capture).context("cannot compare results")?);
        }
    }
    if !agreement.is_empty() {
        crate::print("\nThe same in all of them:\n\n")?;
    }
    agreement.iter().try_for_each(|line| crate::print(&format!("- {line}\n")))?;
    Ok("measured".to_owned())
}

fn asked(root: &Path, arguments: &[&str]) -> Result<Asked> {
    let folder = root.join("target/bench");
    let mut asked = Asked { folder, sizes: Size::ALL.to_vec(), turns: 5, slow: true };
    let mut words = arguments.iter();
    while let Some(&word) = words.next() {
        if word == "--fast" {
            asked.slow = false;
            continue;
        }
        let value = words.next().with_context(|| format!("{word} needs a value"))?;
        match word {
            "--captures" => asked.folder = PathBuf::from(value),
            "--turns" => asked.turns = value.parse().context("--turns needs a number")?,
            "--only" => {
                asked.sizes = value.split(',').map(Size::named).collect::<Result<_>>()?;
            }
            _ => bail!("unknown option {word}"),
        }
    }
    ensure!(asked.turns > 0, "--turns needs one at least");
    Ok(asked)
}

/// The program as it is released.
fn build(root: &Path) -> Result<PathBuf> {
    let mut cargo = std::process::Command::new(env!("CARGO"));
    cargo.args(["build", "--release", "--locked", "-p", "coldcase-cli"]).current_dir(root);
    if !cargo.status().context("cannot run cargo")?.success() {
        bail!("coldcase cannot be built");
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or(root.join("target"), PathBuf::from);
    Ok(target.join("release/coldcase"))
}

/// Every program once to warm up, and then in turn; slow ones only once, when the others have read the file.
fn turns(programs: &[Program], turns: usize) -> Result<Vec<(String, Measured)>> {
    let mut all: Vec<Vec<Measured>> = vec![Vec::new(); programs.len()];
    for turn in 0..=turns {
        for (program, runs) in programs.iter().zip(&mut all) {
            if program.once && turn != 1 {
                continue;
            }
            let measured = run::measure(program)?;
            if turn > 0 {
                runs.push(measured);
            }
        }
    }
    let medians = programs.iter().zip(all).map(|(program, mut runs)| {
        runs.sort_by(|a, b| a.seconds.total_cmp(&b.seconds));
        (program.name.clone(), runs.swap_remove(runs.len() / 2))
    });
    Ok(medians.collect())
}
