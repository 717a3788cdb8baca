//! The command line.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};
use coldcase_analyze::Options;
use coldcase_ingest::capture::Format;
use coldcase_redact::Scope;
use coldcase_trap::HttpTarget;

/// Solves a freeze after the fact: reads a perf.data, its text, or an off-CPU profile and says who held which lock,
/// in which call, for how long, and who stood still because of it.
#[derive(Debug, Parser)]
#[command(name = "coldcase", version)]
pub struct Arguments {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Find the cause of a freeze and write a report
    Report(Box<ReportArguments>),
    /// Say what a capture holds, what can be told from it, and what to record next time
    Inspect(InspectArguments),
    /// Write the findings and every wait behind them in the formats of other tools
    Export(Box<ExportArguments>),
    /// Compare the verdicts on stored captures with what is expected of them
    Check(CheckArguments),
    /// Compare two captures of one system: what a change did to the freeze
    Diff(Box<DiffArguments>),
    /// Put the names back into a text that was written with --redact
    Unredact(UnredactArguments),
    /// Print the commands that record the best capture on this machine, or on a captured one, with what each can prove
    Recipe(RecipeArguments),
    /// Wait for a freeze on this live system and capture it, with its beginning, as a bundle
    Trap(Box<TrapArguments>),
}

/// One capture, and what is read beside it.
#[derive(Clone, Debug, Args)]
pub struct IncidentArguments {
    /// A perf.data, a text profile or a bundle of `coldcase trap`, also compressed (gz, xz, zst), or a folder of profiles; - for
    /// standard input. Logs of system calls may stand beside it
    #[arg(value_name = "CAPTURE", required = true)]
    pub captures: Vec<PathBuf>,
    /// Seconds to add to the times of a log of system calls, if its clock is not the capture's
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true)]
    pub log_offset: Option<String>,
}

/// Arguments of `report`.
#[derive(Clone, Debug, Args)]
pub struct ReportArguments {
    #[command(flatten)]
    pub incident: IncidentArguments,
    /// Write the report as one HTML file, or as Markdown or JSON if FILE ends in .md or .json; - for standard output. Where
    /// nothing is asked for, it goes to report.html
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write the findings as JSON; - for standard output
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the pictures as PNG files into a folder
    #[arg(long, value_name = "DIR")]
    pub png: Option<PathBuf>,
    /// Size of the pictures: 1 is 1600 pixels wide
    #[arg(long, value_name = "N", default_value_t = 1.0, value_parser = scale, requires = "png")]
    pub scale: f64,
    /// Print the answer as one paragraph, for a chat
    #[arg(long)]
    pub summary: bool,
    /// Write the report as Markdown; - for standard output
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Analyse a perf.data with far more events than these in chapters of so many, which takes less memory; 0 for all at once
    #[arg(long, value_name = "EVENTS", default_value_t = Self::CHAPTER)]
    pub chapter: usize,
    #[command(flatten)]
    pub reading: ReadingArguments,
    #[command(flatten)]
    pub analysis: AnalysisArguments,
    #[command(flatten)]
    pub redaction: RedactionArguments,
}

impl ReportArguments {
    /// Events of a chapter, if nothing is said: some 400 MB of memory.
    pub const CHAPTER: usize = 3_000_000;
}

/// Arguments of `export`.
#[derive(Debug, Args)]
pub struct ExportArguments {
    #[command(flatten)]
    pub incident: IncidentArguments,
    /// The format to write
    #[arg(long, value_name = "FORMAT")]
    pub to: ExportFormat,
    /// Where to: a folder for tables, else a file or - for standard output
    #[arg(short, long, value_name = "PATH")]
    pub output: PathBuf,
    /// In folded stacks, add who ended each wait and from where, as offwaketime does
    #[arg(long)]
    pub wakers: bool,
    #[command(flatten)]
    pub reading: ReadingArguments,
    #[command(flatten)]
    pub analysis: AnalysisArguments,
    #[command(flatten)]
    pub redaction: RedactionArguments,
}

/// Names of the export formats.
#[derive(Clone, Copy, PartialEq, Eq, Debug, ValueEnum)]
pub enum ExportFormat {
    /// Tables, a Parquet file each, for data frames and SQL
    Parquet,
    /// The same tables as CSV
    Csv,
    /// Folded off-CPU stacks with microseconds, for FlameGraph, inferno and speedscope
    Folded,
    /// A sampled profile of each thread's waits, for speedscope
    Speedscope,
    /// Tracks and markers, for the Firefox Profiler
    Firefox,
    /// A trace with tracks, slices and arrows, for ui.perfetto.dev
    Perfetto,
}

/// Arguments of `inspect`.
#[derive(Debug, Args)]
pub struct InspectArguments {
    /// A perf.data, a text profile or a log of system calls, also compressed (gz, xz, zst); - for standard input
    #[arg(value_name = "CAPTURE")]
    pub capture: PathBuf,
    #[command(flatten)]
    pub reading: ReadingArguments,
    #[command(flatten)]
    pub redaction: RedactionArguments,
}

/// Arguments of `recipe`.
#[derive(Debug, Args)]
pub struct RecipeArguments {
    /// A capture of the machine to record on; by default it is this machine. Nothing is started, and no root is needed
    #[arg(value_name = "CAPTURE")]
    pub capture: Option<PathBuf>,
    /// The text that `inspect` printed of a capture, where the capture itself is not at hand; - for standard input
    #[arg(long, value_name = "TEXT", conflicts_with = "capture")]
    pub described: Option<PathBuf>,
    #[command(flatten)]
    pub reading: ReadingArguments,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArguments {
    /// Folders with a capture and its expected.json; others are skipped
    #[arg(value_name = "FOLDER", required = true)]
    pub folders: Vec<PathBuf>,
}

/// Arguments of `diff`.
#[derive(Clone, Debug, Args)]
pub struct DiffArguments {
    /// A capture from before the change, or of a good day
    #[arg(value_name = "BEFORE")]
    pub before: PathBuf,
    /// A capture from after it, or of a bad day
    #[arg(value_name = "AFTER")]
    pub after: PathBuf,
    /// Write the comparison as one HTML file, or as Markdown or JSON if FILE ends in .md or .json; - for standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
    /// Write the comparison as JSON; - for standard output
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Write the comparison as Markdown; - for standard output
    #[arg(long, value_name = "FILE")]
    pub markdown: Option<PathBuf>,
    /// Exit with 1 if it got worse: a freeze where BEFORE shows that there was none, or a worst freeze that is longer by at
    /// least a quarter and 50 ms. A capture that cannot show a freeze is neither worse nor better
    #[arg(long)]
    pub fail_if_worse: bool,
    #[command(flatten)]
    pub reading: ReadingArguments,
    #[command(flatten)]
    pub analysis: AnalysisArguments,
    #[command(flatten)]
    pub redaction: RedactionArguments,
}

/// Arguments of `unredact`.
#[derive(Debug, Args)]
pub struct UnredactArguments {
    /// The file that --redact-key wrote
    #[arg(value_name = "KEY")]
    pub key: PathBuf,
    /// JSON, HTML or other text; - for standard input
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// Write there instead of to standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

/// What to leave out of all that is written.
#[derive(Clone, Debug, Default, Args)]
pub struct RedactionArguments {
    /// Replace names in everything that is written: of hosts, users, files, commands, processes, threads, and, unless
    /// `names` is given, the programs' own functions
    #[arg(long, value_name = "WHAT", num_args = 0..=1, require_equals = true, default_missing_value = "all")]
    pub redact: Option<ScopeName>,
    /// Keep what was replaced in a private file, for `coldcase unredact`; one that exists is used again, so that captures
    /// are redacted alike
    #[arg(long, value_name = "FILE", requires = "redact")]
    pub redact_key: Option<PathBuf>,
}

/// Which names are replaced.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ScopeName {
    /// All names that are not public
    All,
    /// All but the functions' names
    Names,
}

impl From<ScopeName> for Scope {
    fn from(name: ScopeName) -> Self {
        match name {
            ScopeName::All => Self::All,
            ScopeName::Names => Self::Names,
        }
    }
}

/// Arguments of `trap`.
#[derive(Debug, Args)]
pub struct TrapArguments {
    /// A command that checks the service: its failure or slowness raises the alarm
    #[arg(value_name = "HEALTH-COMMAND", last = true)]
    pub command: Vec<String>,
    /// A URL to check, whose failure or slowness raises the alarm: http://HOST[:PORT][/PATH]
    #[arg(long, value_name = "URL", value_parser = HttpTarget::parse)]
    pub http: Option<HttpTarget>,
    /// An address to connect to: if it refuses or is slow, that raises the alarm
    #[arg(long, value_name = "HOST:PORT")]
    pub tcp: Option<String>,
    /// Text to send to the address of --tcp, which has to answer something; \r and \n are line ends
    #[arg(long, value_name = "TEXT", requires = "tcp")]
    pub send: Option<String>,
    /// A process to watch: if its threads stop running, or pile up in state D or stopped, that raises the alarm (may be repeated)
    #[arg(long, value_name = "PID|NAME")]
    pub process: Vec<String>,
    /// Time between two checks, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(20..))]
    pub every: u64,
    /// An answer that takes longer than this raises the alarm, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 1000, value_parser = clap::value_parser!(u64).range(20..))]
    pub slower_than: u64,
    /// How many failures in a row raise the alarm
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    pub confirm: u32,
    /// How far back before the alarm a capture reaches, at most, in seconds
    #[arg(long, value_name = "S", default_value_t = 15)]
    pub seconds_before: u64,
    /// How long it goes on after the alarm, at most, in seconds; it ends when all is well again
    #[arg(long, value_name = "S", default_value_t = 30)]
    pub seconds_after: u64,
    /// How many captures an hour, at most
    #[arg(long, value_name = "N", default_value_t = 4)]
    pub at_most: usize,
    /// How long to wait after a capture before the next, in seconds
    #[arg(long, value_name = "S", default_value_t = 60)]
    pub quiet: u64,
    /// The folder that bundles go to
    #[arg(long, value_name = "DIR", default_value = "coldcase-bundles")]
    pub into: PathBuf,
    /// How many bundles to keep; the oldest are deleted
    #[arg(long, value_name = "N", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    pub keep: u32,
    /// How much space bundles may take, in mebibytes; the oldest are deleted
    #[arg(long, value_name = "MIB", default_value_t = 2048, value_parser = clap::value_parser!(u64).range(1..))]
    pub max_mib: u64,
    /// What the flight recorder may cost, in percent of one CPU; the costliest events are dropped first
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0, value_parser = percent)]
    pub budget: f64,
    /// Memory of the flight recorder's rings, all CPUs together, in mebibytes
    #[arg(long, value_name = "MIB", default_value_t = 64, value_parser = clap::value_parser!(u64).range(1..))]
    pub ring: u64,
    /// Put programs and libraries of the processes concerned, and their debug files, into the bundle; unpacked, they are for --symfs
    #[arg(long)]
    pub with_binaries: bool,
    /// The perf program to record with
    #[arg(long, value_name = "PATH", default_value = "perf")]
    pub perf: PathBuf,
    /// Say what the trap that writes into DIR is doing, and what it costs
    #[arg(long, conflicts_with_all = ["command", "http", "tcp", "process"])]
    pub status: bool,
}

/// A share of one CPU.
fn percent(text: &str) -> Result<f64, String> {
    let percent = text.parse().ok().filter(|percent| (0.0..=10_000.0).contains(percent));
    percent.ok_or_else(|| "not a number of percent".to_owned())
}

/// How to read a capture.
#[derive(Clone, Debug, Default, Args)]
pub struct ReadingArguments {
    /// The capture's format, if its first bytes are misleading; of several captures, the first one's
    #[arg(long, value_name = "NAME")]
    pub format: Option<FormatName>,
    /// How long each file of a folder of profiles covers, in milliseconds, if the times in their names do not tell
    #[arg(long, value_name = "MS", value_parser = clap::value_parser!(u64).range(1..))]
    pub every: Option<u64>,
    /// Kernel symbols of the captured machine: a copy of its /proc/kallsyms, also compressed (gz, xz, zst)
    #[arg(long, value_name = "FILE")]
    pub kallsyms: Option<PathBuf>,
    /// A folder with the captured machine's binaries, by path or by build id (may be repeated)
    #[arg(long, value_name = "DIR")]
    pub symfs: Vec<PathBuf>,
}

/// What to analyse.
#[derive(Clone, Debug, Default, Args)]
pub struct AnalysisArguments {
    /// Look only at this process
    #[arg(long, value_name = "PID|NAME")]
    pub process: Option<String>,
    /// Look only at this stretch, in seconds on the capture's clock
    #[arg(long, value_name = "A..B")]
    pub window: Option<String>,
    /// The shortest freeze to report, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = Options::MIN_FREEZE_MS)]
    pub min_freeze: u64,
    /// Further wait-site rules, tried before the built-in ones
    #[arg(long, value_name = "FILE")]
    pub rules: Option<PathBuf>,
}

/// Pictures from a quarter of the size to four times.
fn scale(text: &str) -> Result<f64, String> {
    let scale = text.parse().ok().filter(|scale| (0.25..=4.0).contains(scale));
    scale.ok_or_else(|| "not a number from 0.25 to 4".to_owned())
}

/// Names of the input formats.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum FormatName {
    /// perf.data, from a file or a pipe
    Perf,
    /// Folded stacks with microseconds
    Folded,
    /// The text of perf script
    PerfScript,
    /// The text of perf sched timehist
    Timehist,
    /// The kernel's own trace, or the text of trace-cmd report
    Ftrace,
    /// Blocks of frames by offcputime, offwaketime or wakeuptime
    Offcputime,
    /// Maps printed by bpftrace
    Bpftrace,
    /// A log of system calls by strace -f -ttt -T
    Strace,
    /// A log of system calls by perf trace
    PerfTrace,
    /// A log of system calls by contrib/memory-syscalls.bt
    MemorySyscalls,
    /// Reports of blocked tasks in a kernel log
    KernelLog,
}

impl From<FormatName> for Format {
    fn from(name: FormatName) -> Self {
        match name {
            FormatName::Perf => Self::PerfData,
            FormatName::Folded => Self::Folded,
            FormatName::PerfScript => Self::PerfScript,
            FormatName::Timehist => Self::Timehist,
            FormatName::Ftrace => Self::Ftrace,
            FormatName::Offcputime => Self::OffCpuBlocks,
            FormatName::Bpftrace => Self::Bpftrace,
            FormatName::Strace => Self::Strace,
            FormatName::PerfTrace => Self::PerfTrace,
            FormatName::MemorySyscalls => Self::MemorySyscalls,
            FormatName::KernelLog => Self::KernelLog,
        }
    }
}
