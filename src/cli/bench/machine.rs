//! What the numbers were measured on. No names of machines or people.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::disk::system_text;

/// The machine, as far as the numbers depend on it.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Machine {
    pub(super) cores: usize,
    pub(super) processor: String,
    /// Whether the processor hashes SHA-256 by itself.
    pub(super) sha_ni: bool,
    pub(super) kernel: String,
    /// The file system that the ledger was on.
    pub(super) file_system: String,
    pub(super) memory_mib: u64,
    /// `release` or `debug`.
    pub(super) build: &'static str,
    /// Processes that wanted to run when the bench started, a minute's mean: other work on the machine.
    pub(super) load_before: f64,
}

impl Machine {
    pub(super) fn of(directory: &Path) -> Self {
        let read = |path: &str| system_text(Path::new(path)).unwrap_or_default();
        let cpu = read("/proc/cpuinfo");
        let field = |text: &str, name: &str| {
            let line = text.lines().find(|line| line.starts_with(name)).unwrap_or_default();
            line.split_once(':').map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
        };
        let memory = field(&read("/proc/meminfo"), "MemTotal");
        let memory = memory.split_whitespace().next().and_then(|kib| kib.parse::<u64>().ok());
        let load = read("/proc/loadavg");
        Self {
            cores: std::thread::available_parallelism().map_or(1, usize::from),
            processor: field(&cpu, "model name"),
            sha_ni: field(&cpu, "flags").split_whitespace().any(|flag| flag == "sha_ni"),
            kernel: read("/proc/sys/kernel/osrelease").trim().to_owned(),
            file_system: file_system(directory, &read("/proc/self/mountinfo")),
            memory_mib: memory.unwrap_or_default() / 1_024,
            build: if cfg!(debug_assertions) { "debug" } else { "release" },
            load_before: load.split_whitespace().next().and_then(|n| n.parse().ok()).unwrap_or_default(),
        }
    }
}

impl fmt::Display for Machine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sha = if self.sha_ni { "with SHA-NI" } else { "without SHA-NI" };
        write!(
            f,
            "{} cores ({}, {sha}), {} MiB, Linux {}, {}; {} build; load average before: {:.2}",
            self.cores,
            self.processor,
            self.memory_mib,
            self.kernel,
            self.file_system,
            self.build,
            self.load_before
        )
    }
}

/// The type of the mount that holds a directory (proc(5), mountinfo: the field behind `-`).
fn file_system(directory: &Path, mounts: &str) -> String {
    let mounts = mounts.lines().filter_map(|line| {
        let (place, kind) = line.split_once(" - ")?;
        let point = place.split(' ').nth(4)?;
        directory.starts_with(point).then(|| (point.len(), kind.split(' ').next().unwrap_or_default()))
    });
    mounts.max().map_or_else(|| "an unknown file system".to_owned(), |(_, kind)| kind.to_owned())
}

/// Memory in use by a process that is not also another's, and what it shares: resident, in MiB.
pub(super) fn resident_mib(process: u32) -> Option<f64> {
    let status = system_text(Path::new(&format!("/proc/{process}/status"))).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse::<f64>().ok().map(|kib| kib / 1_024.0)
}

/// Processor time that this process has used, in seconds.
pub(super) fn processor_s() -> f64 {
    // proc(5), stat: user and system time in ticks of 10 ms, fields 14 and 15; the name in field 2 may hold spaces.
    let stat = system_text(Path::new("/proc/self/stat")).unwrap_or_default();
    let after = stat.rsplit_once(')').map(|(_, after)| after).unwrap_or_default();
    let ticks = after.split_whitespace().skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok());
    ticks.sum::<f64>() / 100.0
}

/// Processor time that this thread has used, in seconds.
pub(super) fn thread_s() -> f64 {
    // Documentation/scheduler/sched-stats.rst: the first number is the time spent on a processor, in nanoseconds.
    let stat = system_text(Path::new("/proc/thread-self/schedstat")).unwrap_or_default();
    stat.split_whitespace().next().and_then(|ns| ns.parse::<f64>().ok()).unwrap_or_default() / 1e9
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mount_with_the_longest_name_holds_the_directory() {
        let mounts = "1 0 8:1 / / rw - ext4 /dev/a rw\n2 1 0:5 / /tmp rw shared:1 - tmpfs tmpfs rw\n";
        assert_eq!(file_system(Path::new("/tmp/x"), mounts), "tmpfs");
        assert_eq!(file_system(Path::new("/home"), mounts), "ext4");
        assert_eq!(file_system(Path::new("/home"), ""), "an unknown file system");
    }

    #[test]
    fn this_process_has_memory() {
        assert!(resident_mib(std::process::id()).is_some_and(|mib| mib > 1.0));
    }
}
