//! What the system says of this process (proc(5)).

use std::fs;

use crate::journal::metrics::ProcessReport;
use crate::shell::sys;

/// Ticks of a second in times that the kernel tells: USER_HZ, the same wherever this builds.
const TICKS: f64 = 100.0;

/// Figures of the process now; 0 where /proc does not say.
pub fn report() -> ProcessReport {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (stat, status) = (read("/proc/self/stat"), read("/proc/self/status"));
    let own = fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
    ProcessReport {
        cpu_seconds: (stat_field(&stat, 14) + stat_field(&stat, 15)) as f64 / TICKS,
        start_time_seconds: field(&read("/proc/stat"), "btime ") as f64
            + stat_field(&stat, 22) as f64 / TICKS,
        open_fds: (own as u64).saturating_sub(1), // the folder itself
        max_fds: sys::descriptor_limit(),
        resident_memory_bytes: field(&status, "VmRSS:") << 10,
        virtual_memory_bytes: field(&status, "VmSize:") << 10,
        threads: field(&status, "Threads:"),
    }
}

/// The number behind a word at the start of a line.
fn field(text: &str, word: &str) -> u64 {
    let line = text.lines().find_map(|line| line.strip_prefix(word));
    line.and_then(|rest| rest.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

/// A field of /proc/self/stat by its number in proc(5). The second one is the program's name,
/// which may hold anything.
fn stat_field(stat: &str, number: usize) -> u64 {
    let (_, behind_name) = stat.rsplit_once(')').unwrap_or_default();
    behind_name.split_whitespace().nth(number - 3).and_then(|field| field.parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_behind_an_odd_name() {
        let stat = "7 (a) b (c) S 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19";
        assert_eq!([4, 14, 15, 22].map(|n| stat_field(stat, n)), [1, 11, 12, 19]);
        assert_eq!(stat_field("", 14), 0);
    }

    #[test]
    fn lines_by_their_word() {
        let status = "Name:\tx\nVmRSS:\t  12 kB\nThreads:\t3\n";
        assert_eq!((field(status, "VmRSS:"), field(status, "Threads:")), (12, 3));
        assert_eq!(field(status, "VmSize:"), 0);
    }

    #[test]
    fn this_process() {
        let now = report();
        assert!(now.open_fds >= 3 && now.threads >= 1 && now.start_time_seconds > 1e9, "{now:?}");
        assert!(now.resident_memory_bytes > 1 << 16 && now.max_fds >= now.open_fds, "{now:?}");
    }
}
